"""Round trips over tcp-tls: one small call at a time, between two processes.

python benchmarks/round_trips.py [--quick] [--unpinned] [--json FILE] [--peers none|all|a,b]
"""

from _measure import PER_SECOND, Bar
from _network import run_workload
from contestants import TRIO

if __name__ == "__main__":
    run_workload(__doc__, "round trips", unit=PER_SECOND, bars=[Bar(1.2, TRIO), Bar(3, "pycapnp")])
