"""Runs of wrk, the HTTP load generator."""

import re
import subprocess
import sys
from pathlib import Path

VOTERS = Path(__file__).parent / "voters.lua"


def run_wrk(
    url: str, connections: int, seconds: int, script: Path | None = None, *arguments: str, threads: int = 1
) -> tuple[int, float]:
    """Return the number of requests, and of those a second; end the program if one wasn't answered as it should."""
    scripted = [] if script is None else ["-s", str(script)]
    rest = ["--", *arguments] if arguments else []
    done = subprocess.run(
        ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", *scripted, url, *rest],
        capture_output=True,
        text=True,
        check=True,
    )
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        sys.exit(f"{url} did not answer every request:\n{done.stdout}")
    requests = re.search(r"(\d+) requests in", done.stdout)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert requests, done.stdout
    assert rate, done.stdout
    return int(requests[1]), float(rate[1])
