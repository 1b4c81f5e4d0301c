"""Requests a second and CPU a request of polls, compared with a bare aiohttp server (`make bench`).

Pages, votes, and a mix of nine readers to one voter are measured in turns: polls, then the bare server, which returns
the same bytes and headers. It prints medians of several rounds; look at the ratios, since machines are noisy. Every
vote is the first ballot of a new voter, with one answer in /poll/1 and with five scores in /poll/91. Then follow:
cached pages behind nginx; the delay from a vote to thousands of WebSockets, and of page reads meanwhile; the admin's
list of 200,000 polls, and sign-ins. Only if named: the limits of one PostgreSQL (`growth`), and a whole audience that
votes at once (`audience`).
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from tests.bench import admin, audience, growth
from tests.bench.measures import cpu, milliseconds, quantiles, resident
from tests.bench.wrk import VOTERS, run_wrk
from tests.support.processes import Polls, command, free_port, processes_in, serving
from tests.support.site import nginx_in_front_of

CHECKOUT = Path(__file__).parents[2]
HIDDEN = 92  # the id of a poll like the first one, but with hidden results
PAGES = ("/", "/poll/1", "/poll/1/results", f"/poll/{HIDDEN}/results", "/ask")
RESULTS, VOTE = "/poll/1/results", "/poll/1/vote"
VOTES = {  # {path: form}: one answer, and five scores
    VOTE: "choice=1",
    "/poll/91/vote": "&".join(f"points.{choice}={choice % 6}" for choice in range(9101, 9106)),
}
OTHER_POLLS = f"""
    INSERT INTO question (id, question_text, pub_date) VALUES (91, 'How do you like them?', now());
    INSERT INTO choice (id, question_id, choice_text)
    SELECT id, 91, 'Choice ' || id FROM generate_series(9101, 9105) AS id;
    INSERT INTO poll_settings (question_id, method, most_marks, most_points) VALUES (91, 'score', NULL, 5);

    INSERT INTO question (id, question_text, pub_date)
    SELECT {HIDDEN}, question_text, now() FROM question WHERE id = 1;
    INSERT INTO choice (id, question_id, choice_text)
    SELECT {100 * HIDDEN} + id, {HIDDEN}, choice_text FROM choice WHERE question_id = 1;
    INSERT INTO poll_settings (question_id, results) VALUES ({HIDDEN}, 'after_close')
"""
FEW, MANY = 64, 256  # connections
READERS = 9  # for each voter
NGINX_THREADS = 2  # of wrk: one saturates an aiohttp server, but not nginx
# Watchers, seconds, votes a second, and the poll.
WATCHERS = ((1000, 20, 0, 1), (3000, 20, 100, 1), (3000, 20, 100, HIDDEN), (5000, 60, 100, 1))
READ_PAUSE = 0.05  # seconds between two page reads while clients watch
CONFIG = {
    "postgres": {"embedded": "var/postgres"},
    "creating": {"who": "anyone"},
    "log": {"access": False, "level": "warning"},
}
LIMITS = {"growth": growth.measure, "audience": audience.measure}  # only if they are named
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Load:
    """A load of wrk: requests for `path`, or votes with `readers` page reads each, over `connections`."""

    name: str
    path: str
    connections: int
    readers: int | None = None


LOADS = {
    "pages": [Load(f"GET {page}", page, FEW) for page in PAGES],
    "mix": [Load(f"{READERS} readers to a voter", RESULTS, FEW, READERS)],
    "votes": [Load(f"POST {path}", path, connections, 0) for connections in (FEW, MANY) for path in VOTES],
}
CACHED = [Load(f"GET {page}", page, FEW) for page in ("/", RESULTS)]


@dataclass(frozen=True, slots=True)
class Measure:
    """The result of one run: requests a second, and CPU a request of the server and of PostgreSQL in µs."""

    rate: float
    cpu: float
    postgres: float


def main() -> None:
    """Run the parts chosen with --only, and print a line for each load."""
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if set(options.only) - set(LIMITS):
            (folder / "usual").mkdir()
            _measure_usual_parts(folder / "usual", options)
        for part, measure in LIMITS.items():
            if part in options.only:
                (folder / part).mkdir()
                measure(folder / part, options)


def _measure_usual_parts(folder: Path, options: argparse.Namespace) -> None:
    with serving(folder, config=CONFIG) as polls:
        _add_polls(folder, polls)
        if loads := [load for part in options.only for load in LOADS.get(part, ())]:
            _compare(polls, folder / "var/postgres", loads, options)
        if "nginx" in options.only:
            with nginx_in_front_of(polls.url, folder / "front") as front:
                print("\nBehind nginx, which caches pages for a second; CPU is that of polls only")
                _compare(polls, folder / "var/postgres", CACHED, options, front)
        if "watchers" in options.only:
            _watch(polls)
        if "admin" in options.only:
            admin.measure(polls, folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="how long a run of wrk takes")
    usual = [*LOADS, "nginx", "watchers", "admin"]
    parser.add_argument("--only", nargs="+", choices=[*usual, *LIMITS], default=usual, help="measure these alone")
    parser.add_argument(
        "--ballots",
        nargs="+",
        type=int,
        default=[1_000, 1_000_000],
        help="sizes of polls, for growth (default: %(default)s)",
    )
    parser.add_argument(
        "--shared-buffers", default="1GB", help="PostgreSQL's setting, for growth (default: %(default)s)"
    )
    parser.add_argument("--people", type=int, default=10_000, help="for audience (default: %(default)s)")
    return parser.parse_args()


def _add_polls(folder: Path, polls: Polls) -> None:
    command(folder, "psql", "--config=polls.yaml", "--", "-c", OTHER_POLLS).check_returncode()
    while _status(f"{polls.url}/poll/{HIDDEN}") != 200:
        sleep(0.1)


def _status(url: str) -> int:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc)
    connection.request("GET", parts.path)
    status = connection.getresponse().status
    connection.close()
    return status


def _compare(
    polls: Polls, data: Path, loads: list[Load], options: argparse.Namespace, front: str | None = None
) -> None:
    """Measure polls, or the proxy at `front` before it, and the bare server in turns."""
    print(
        f"{options.seconds} s a run, medians of {options.rounds} rounds; CPU in µs a request\n"
        f"{'':38}{'requests a second':^30}{'CPU of the server':^30}{'of PostgreSQL':>15}\n"
        f"{'':38}{'polls':>10}{'bare':>10}{'ratio':>10}{'polls':>10}{'bare':>10}{'ratio':>10}{'polls':>15}"
    )
    with _bare(polls.url) as (bare_url, bare_pid):
        for load in loads:
            ours, bare = [], []
            for _ in range(options.rounds):
                url, threads = (front, NGINX_THREADS) if front else (polls.url, 1)
                ours.append(_measure(url, load, polls.process.pid, processes_in(data), options.seconds, threads))
                bare.append(_measure(bare_url, load, bare_pid, [], options.seconds))
            _print(f"{load.name}, {load.connections} connections", ours, bare)


@contextmanager
def _bare(url: str) -> Iterator[tuple[str, int]]:
    """Run a bare server that returns the same bytes and headers as polls at `url`; yield its URL and process id."""
    ballot = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"polls_voter={'0' * 32}"}
    answers = {
        **{page: _answer("GET", url + page) for page in PAGES},
        **{path: _answer("POST", url + path, form, ballot) for path, form in VOTES.items()},
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
    """Return body and headers of a response, without the headers that aiohttp adds itself."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port)
    connection.request(method, parts.path, body, dict(headers))
    response = connection.getresponse()
    answer = {
        "body": response.read().decode(),
        "headers": [header for header in response.getheaders() if header[0] not in {"Date", "Content-Length"}],
    }
    connection.close()
    return answer


def _measure(url: str, load: Load, server: int, postgres: list[int], seconds: int, threads: int = 1) -> Measure:
    script = None if load.readers is None else VOTERS
    arguments = [] if load.readers is None else [str(load.readers), VOTES.get(load.path, VOTES[VOTE])]
    before = cpu([server]), cpu(postgres)
    requests, rate = run_wrk(url + load.path, load.connections, seconds, script, *arguments, threads=threads)
    after = cpu([server]), cpu(postgres)
    return Measure(rate, (after[0] - before[0]) / requests, (after[1] - before[1]) / requests)


def _print(name: str, ours: list[Measure], bare: list[Measure]) -> None:
    """Print a line of medians. The ratios are medians of the ratios of consecutive runs."""
    rate, bare_rate = (median(measure.rate for measure in measures) for measures in (ours, bare))
    cpu, bare_cpu = (median(measure.cpu for measure in measures) for measures in (ours, bare))
    pairs = list(zip(ours, bare, strict=True))
    rates, cpus = (
        median(our.rate / reference.rate for our, reference in pairs),
        median(our.cpu / reference.cpu for our, reference in pairs),
    )
    postgres = median(measure.postgres for measure in ours)
    print(
        f"{name:38}{rate:10,.0f}{bare_rate:10,.0f}{rates:10.2f}{cpu:10.0f}{bare_cpu:10.0f}{cpus:10.2f}{postgres:15.0f}",
        flush=True,
    )


def _watch(polls: Polls) -> None:
    """Print the delays from votes to thousands of WebSockets, and of page reads meanwhile."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    print("\nFrom sending a vote to receiving it, over all votes and WebSockets, in ms")
    for count, seconds, rate, poll in WATCHERS:
        before = resident(polls.process.pid)
        with subprocess.Popen(
            [sys.executable, "-m", "tests.support.watchers", polls.url, *map(str, (count, seconds, rate, poll))],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as watchers:
            assert watchers.stdin is not None
            assert watchers.stdout is not None
            assert watchers.stdout.readline() == "ready\n"
            memory = (resident(polls.process.pid) - before) / count
            watchers.stdin.write("go\n")
            watchers.stdin.flush()
            before_cpu, started = cpu([polls.process.pid]), monotonic()
            # Without votes, the CPU of idle WebSockets is measured: reading pages would add to it.
            pages = _read(polls.url, f"/poll/{poll}/results", seconds) if rate else sleep(seconds) or []
            share = (cpu([polls.process.pid]) - before_cpu) / (monotonic() - started) / 1_000_000
            report = json.loads(watchers.stdout.readline())
        print(
            f"{count:,} watchers of {'hidden' if poll == HIDDEN else 'shown'} results, "
            f"{rate} votes a second for {seconds} s: {milliseconds(report['delays'])}; "
            f"{report['open']:,} connected, {report['current']:,} current, {report['went_back']:,} went back; "
            f"a page {milliseconds(quantiles(pages))}; {memory:.0f} kB a watcher; CPU {share:.1%}",
            flush=True,
        )


def _read(url: str, path: str, seconds: int) -> list[float]:
    """Read the page at `path` repeatedly for some seconds, and return the durations."""
    connection = HTTPConnection(urlsplit(url).netloc)
    durations = []
    end = monotonic() + seconds
    while monotonic() < end:
        started = monotonic()
        connection.request("GET", path)
        connection.getresponse().read()
        durations.append(monotonic() - started)
        sleep(READ_PAUSE)
    connection.close()
    return durations


if __name__ == "__main__":
    main()
