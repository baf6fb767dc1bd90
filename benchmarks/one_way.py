"""One-way sends: messages without answers, in bursts of 1,000.

python benchmarks/one_way.py [--quick] [--unpinned] [--json FILE] [--peers none|all|a,b]
"""

from _measure import PER_SECOND, Bar
from _network import ours, run_workload

PIPELINED = "goblins_py, pipelined calls"

if __name__ == "__main__":
    run_workload(
        __doc__, "one-way", unit=PER_SECOND, bars=[Bar(2, PIPELINED)], also=[ours("pipelined", PIPELINED)]
    )
