"""How fast polls is beside a bare aiohttp server on the same machine in the same minute.

`make bench` runs it. Each page is measured in turns, ours and the bare server's, several rounds of it; what is printed
are medians, and the ratios are what counts: the machine is as noisy as it likes to be. The vote is measured with many
connections, too: every request is the first ballot of another voter.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from tests.processes import free_port, serving, working_in

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
PAGES = ("/", "/poll/1", "/poll/1/results")
VOTE = "/poll/1/vote"
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
FEW, MANY = 64, 256  # connections
CONFIG = {"postgres": {"embedded": "var/postgres"}, "log": {"access": False, "level": "warning"}}
TICK = 1_000_000 / os.sysconf("SC_CLK_TCK")  # microseconds


@dataclass(frozen=True, slots=True)
class Measure:
    """What one run showed: requests a second, and microseconds of CPU a request of the server and of PostgreSQL."""

    rate: float
    cpu: float
    postgres: float


def main() -> None:
    """Measure every page and the vote, and print a line for each."""
    options = _options()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), config=CONFIG) as polls,
        _bare(polls.url) as (bare_url, bare_pid),
    ):
        data = Path(folder, "var/postgres")
        print(
            f"{options.seconds} s a run, medians of {options.rounds} rounds; CPU in µs a request\n"
            f"{'':36}{'requests a second':^30}{'CPU of the server':^30}{'of PostgreSQL':>15}\n"
            f"{'':36}{'polls':>10}{'bare':>10}{'ratio':>10}{'polls':>10}{'bare':>10}{'ratio':>10}{'polls':>15}"
        )
        for address, connections in [*((page, FEW) for page in options.pages), (VOTE, FEW), (VOTE, MANY)]:
            ours, theirs = [], []
            for _ in range(options.rounds):
                ours.append(_measure(polls.url + address, connections, polls.process.pid, working_in(data), options))
                theirs.append(_measure(bare_url + address, connections, bare_pid, [], options))
            method = "POST" if address == VOTE else "GET"
            _print(f"{method} {address}, {connections} connections", ours, theirs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="how long a run takes")
    parser.add_argument(
        "--votes", dest="pages", action="store_const", const=(), default=PAGES, help="measure votes alone"
    )
    return parser.parse_args()


@contextmanager
def _bare(url: str) -> Iterator[tuple[str, int]]:
    """The address and process of a bare server that answers as polls does at `url`: as many bytes, the same headers."""
    ballot = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"voter={'0' * 32}"}
    answers = {
        **{page: _answer("GET", url + page) for page in PAGES},
        VOTE: _answer("POST", url + VOTE, "choice=1", ballot),
    }
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.bare", str(port)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(answers))
        process.stdin.close()
        try:
            assert process.stdout.readline() == "ready\n"
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()


def _answer(method: str, url: str, body: str | None = None, headers: Mapping[str, str] = NO_HEADERS) -> dict[str, Any]:
    """What polls answers, without the headers that aiohttp adds to every answer."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port)
    connection.request(method, parts.path, body, dict(headers))
    answer = connection.getresponse()
    said = {
        "body": answer.read().decode(),
        "headers": [header for header in answer.getheaders() if header[0] not in {"Date", "Content-Length"}],
    }
    connection.close()
    return said


def _measure(url: str, connections: int, server: int, postgres: list[int], options: argparse.Namespace) -> Measure:
    script = ["-s", str(HERE / "vote.lua")] if url.endswith(VOTE) else []
    before = _cpu([server]), _cpu(postgres)
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{options.seconds}s", *script, url],
        capture_output=True,
        text=True,
        check=True,
    )
    after = _cpu([server]), _cpu(postgres)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        sys.exit(f"{url} did not answer every request:\n{done.stdout}")
    requests = int(re.search(r"(\d+) requests in", done.stdout)[1])  # type: ignore[index]
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])  # type: ignore[index]
    return Measure(rate, (after[0] - before[0]) / requests, (after[1] - before[1]) / requests)


def _cpu(processes: list[int]) -> float:
    """Microseconds of CPU that the processes have used, in user and kernel."""
    ticks = 0
    for pid in processes:
        with suppress(FileNotFoundError):  # PostgreSQL's helpers come and go
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks * TICK


def _print(what: str, ours: list[Measure], theirs: list[Measure]) -> None:
    """A line of medians. The ratios are medians, too, of runs that followed upon each other."""
    rate, bare_rate = (median(measure.rate for measure in measures) for measures in (ours, theirs))
    cpu, bare_cpu = (median(measure.cpu for measure in measures) for measures in (ours, theirs))
    pairs = list(zip(ours, theirs, strict=True))
    rates, cpus = (
        median(our.rate / their.rate for our, their in pairs),
        median(our.cpu / their.cpu for our, their in pairs),
    )
    postgres = median(measure.postgres for measure in ours)
    print(
        f"{what:36}{rate:10,.0f}{bare_rate:10,.0f}{rates:10.2f}{cpu:10.0f}{bare_cpu:10.0f}{cpus:10.2f}{postgres:15.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
