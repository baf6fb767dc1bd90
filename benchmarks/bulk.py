"""Byte strings of 1 MiB: four in flight, answered by their size.

python benchmarks/bulk.py [--quick] [--unpinned] [--json FILE] [--peers none|all|a,b]
"""

from _measure import MIB_PER_SECOND, Bar
from _network import run_workload
from contestants import TRIO

if __name__ == "__main__":
    run_workload(__doc__, "bulk", unit=MIB_PER_SECOND, floor=TRIO, bars=[Bar(0.9, TRIO)])
