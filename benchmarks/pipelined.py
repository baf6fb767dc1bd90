"""Pipelined calls: 1,000 in flight between two processes.

python benchmarks/pipelined.py [--quick] [--unpinned] [--json FILE] [--peers none|all|a,b]
"""

from _measure import PER_SECOND, PURE, Bar
from _network import ours, run_workload
from contestants import ASYNCIO

if __name__ == "__main__":
    run_workload(
        __doc__,
        "pipelined",
        unit=PER_SECOND,
        bars=[Bar(0.7, ASYNCIO), Bar(0.3, ASYNCIO, of=PURE)],
        also=[ours("pipelined from turns", "goblins_py, sent from turns")],
    )
