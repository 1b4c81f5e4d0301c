"""How long each fault of three hosts with Patroni stops voting, and whether votes are lost by it.

Run it as root: `.venv/bin/python -m tests.bench.failover --rounds 5`.
"""

import argparse
import json
import tempfile
from pathlib import Path

from tests.support.failover import FAULTS, survive
from tests.support.three_hosts import site


def main() -> None:
    """Print a line for each fault and round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="only faults whose name contains this")
    parser.add_argument(
        "--set", type=json.loads, default={}, help="""other settings: '{"synchronous_mode": "quorum"}'"""
    )
    options = parser.parse_args()
    print(f"{'fault':56}{'gap in s':>10}{'acknowledged':>14}{'stored':>8}{'slowest answer in s':>21}")
    with tempfile.TemporaryDirectory() as folder, site(Path(folder), **options.set) as three_hosts:
        for name, fault in FAULTS.items():
            for _ in range(options.rounds if options.only in name else 0):
                outcome = survive(three_hosts, fault)
                figures = f"{outcome.gap:10.1f}{outcome.acknowledged:14}{outcome.stored:8}{outcome.slowest:21.1f}"
                print(f"{name:56}{figures}", *outcome.went_back[:1], flush=True)


if __name__ == "__main__":
    main()
