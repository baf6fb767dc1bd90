"""Connect, session and first answer: of a new peer each time.

python benchmarks/connect.py [--quick] [--unpinned] [--json FILE] [--peers none|all|a,b]
"""

from _measure import MILLISECONDS, Bar
from _network import run_workload
from contestants import ASYNCIO

if __name__ == "__main__":
    run_workload(__doc__, "connect", unit=MILLISECONDS, bars=[Bar(2, ASYNCIO)])
