"""How fast polls is beside a bare aiohttp server on the same machine in the same minute.

`make bench` runs it. Pages, votes, and nine readers of the results to one voter are measured in turns, ours and the
bare server's, which answers with the very bytes and headers of ours; what is printed are medians of several rounds, and
the ratios are what counts: the machine is as noisy as it likes to be. Every vote is the first ballot of another voter.
The same pages behind nginx, beside the bare server alone. Then come watchers: how long it takes until a vote is on all
screens, and how long readers wait meanwhile. In the end, the admin's list of very many polls, and sign-ins.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from tests.bench import admin
from tests.support.processes import Polls, free_port, serving, working_in
from tests.support.site import nginx_before

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
PAGES = ("/", "/poll/1", "/poll/1/results")
RESULTS, VOTE = "/poll/1/results", "/poll/1/vote"
FEW, MANY = 64, 256  # connections
READERS = 9  # to a voter
ENOUGH_FOR_NGINX = 2  # threads of wrk; one has time left beside any aiohttp server, and none beside nginx
WATCHING = ((1000, 20, 0), (3000, 20, 100), (5000, 60, 100))  # watchers, seconds, votes a second
READ_PAUSE = 0.05  # seconds between two pages that are read while others watch
CONFIG = {"postgres": {"embedded": "var/postgres"}, "log": {"access": False, "level": "warning"}}
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
TICK = 1_000_000 / os.sysconf("SC_CLK_TCK")  # microseconds


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk sends: requests for `address`, or votes with so many readers each, over so many connections."""

    name: str
    address: str
    connections: int
    readers: int | None = None


LOADS = {
    "pages": [Load(f"GET {page}", page, FEW) for page in PAGES],
    "mix": [Load(f"{READERS} readers to a voter", RESULTS, FEW, READERS)],
    "votes": [Load(f"POST {VOTE}", VOTE, connections, 0) for connections in (FEW, MANY)],
}
CACHED = [Load(f"GET {page}", page, FEW) for page in ("/", RESULTS)]


@dataclass(frozen=True, slots=True)
class Measure:
    """What one run showed: requests a second, and microseconds of CPU a request of the server and of PostgreSQL."""

    rate: float
    cpu: float
    postgres: float


def main() -> None:
    """Measure, and print a line for each load."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), config=CONFIG) as polls:
        if loads := [load for part in options.only for load in LOADS.get(part, ())]:
            _compare(polls, Path(folder, "var/postgres"), loads, options)
        if "nginx" in options.only:
            with nginx_before(polls.url, Path(folder, "front")) as front:
                print("\nBehind nginx, which keeps pages for a second; CPU is that of polls alone")
                _compare(polls, Path(folder, "var/postgres"), CACHED, options, front)
        if "watchers" in options.only:
            _watch(polls)
        if "admin" in options.only:
            admin.measure(polls, Path(folder))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="how long a run of wrk takes")
    parts = [*LOADS, "nginx", "watchers", "admin"]
    parser.add_argument("--only", nargs="+", choices=parts, default=parts, help="measure these alone")
    return parser.parse_args()


def _compare(
    polls: Polls, data: Path, loads: list[Load], options: argparse.Namespace, front: str | None = None
) -> None:
    """Measure polls, or what stands at `front` before it, and the bare server alone, in turns."""
    print(
        f"{options.seconds} s a run, medians of {options.rounds} rounds; CPU in µs a request\n"
        f"{'':38}{'requests a second':^30}{'CPU of the server':^30}{'of PostgreSQL':>15}\n"
        f"{'':38}{'polls':>10}{'bare':>10}{'ratio':>10}{'polls':>10}{'bare':>10}{'ratio':>10}{'polls':>15}"
    )
    with _bare(polls.url) as (bare_url, bare_pid):
        for load in loads:
            ours, theirs = [], []
            for _ in range(options.rounds):
                at, threads = (front, ENOUGH_FOR_NGINX) if front else (polls.url, 1)
                ours.append(_measure(at, load, polls.process.pid, working_in(data), options.seconds, threads))
                theirs.append(_measure(bare_url, load, bare_pid, [], options.seconds))
            _print(f"{load.name}, {load.connections} connections", ours, theirs)


@contextmanager
def _bare(url: str) -> Iterator[tuple[str, int]]:
    """The address and process of a bare server that answers as polls does at `url`: the same bytes and headers."""
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


def _measure(url: str, load: Load, server: int, postgres: list[int], seconds: int, threads: int = 1) -> Measure:
    script = [] if load.readers is None else ["-s", str(HERE / "crowd.lua")]
    arguments = [] if load.readers is None else ["--", str(load.readers)]
    before = _cpu([server]), _cpu(postgres)
    done = subprocess.run(
        ["wrk", f"-t{threads}", f"-c{load.connections}", f"-d{seconds}s", *script, url + load.address, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    after = _cpu([server]), _cpu(postgres)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        sys.exit(f"{url}{load.address} did not answer every request:\n{done.stdout}")
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
        f"{what:38}{rate:10,.0f}{bare_rate:10,.0f}{rates:10.2f}{cpu:10.0f}{bare_cpu:10.0f}{cpus:10.2f}{postgres:15.0f}",
        flush=True,
    )


def _watch(polls: Polls) -> None:
    """Let thousands watch, and print when they see what is voted, while somebody reads the results."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print("\nFrom the sending of a vote to its being on a screen, over all votes and screens, in ms")
    for count, seconds, rate in WATCHING:
        before = _resident(polls.process.pid)
        with subprocess.Popen(
            [sys.executable, "-m", "tests.support.watchers", polls.url, *map(str, (count, seconds, rate))],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as watchers:
            assert watchers.stdin is not None
            assert watchers.stdout is not None
            assert watchers.stdout.readline() == "ready\n"
            memory = (_resident(polls.process.pid) - before) / count
            watchers.stdin.write("go\n")
            watchers.stdin.flush()
            cpu, begun = _cpu([polls.process.pid]), monotonic()
            # Who only watches is to cost nothing; reading would.
            pages = _read(polls.url, seconds) if rate else sleep(seconds) or []
            share = (_cpu([polls.process.pid]) - cpu) / (monotonic() - begun) / 1_000_000
            saw = json.loads(watchers.stdout.readline())
        print(
            f"{count:,} watchers, {rate} votes a second for {seconds} s: {_milliseconds(saw['delays'])}; "
            f"{saw['open']:,} stayed, {saw['right']:,} right in the end, {saw['fell']:,} saw a step back; "
            f"a page {_milliseconds(_quantiles(pages))}; {memory:.0f} kB a watcher; CPU {share:.1%}",
            flush=True,
        )


def _read(url: str, seconds: int) -> list[float]:
    """Read the results again and again, and return how long each took."""
    connection = HTTPConnection(urlsplit(url).netloc)
    took = []
    end = monotonic() + seconds
    while monotonic() < end:
        begun = monotonic()
        connection.request("GET", RESULTS)
        connection.getresponse().read()
        took.append(monotonic() - begun)
        sleep(READ_PAUSE)
    connection.close()
    return took


def _quantiles(values: list[float]) -> dict[str, float]:
    in_order = sorted(values)
    places = {"median": 0.5, "p99": 0.99, "most": 1.0}
    return {name: in_order[int(share * (len(values) - 1))] for name, share in places.items()} if values else {}


def _milliseconds(delays: dict[str, float]) -> str:
    return ", ".join(f"{name} {1000 * seconds:.0f}" for name, seconds in delays.items()) or "-"


def _resident(pid: int) -> int:
    """Kilobytes of memory that a process has."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])  # type: ignore[index]


if __name__ == "__main__":
    main()
