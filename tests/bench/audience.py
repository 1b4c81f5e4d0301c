"""A whole audience at once: a page, a WebSocket and a vote for each of 10,000 people, through nginx, on one machine."""

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from tests.bench.measures import cpu, descendants, machine_cpu, milliseconds, postgres_cpu
from tests.support.processes import command, serving
from tests.support.site import nginx_in_front_of

CHECKOUT = Path(__file__).parents[2]
PROCESSES, CLIENTS = 2, 2
PAUSE, SECONDS = 2, 3  # between the last arrival and the first vote; within which all vote
ADDRESSES = 64  # for each client
CONFIG = {"postgres": {"embedded": "var/postgres"}, "trusted_proxies": 1, "log": {"access": False, "level": "warning"}}
POLL, CHOICES = 95, (9501, 9502, 9503)
ADD_POLL = f"""
    INSERT INTO question (id, question_text, pub_date) VALUES ({POLL}, 'How do you like the talk?', now());
    INSERT INTO choice (id, question_id, choice_text)
    SELECT id, {POLL}, 'Choice ' || id FROM generate_series({CHOICES[0]}, {CHOICES[-1]}) AS id;
"""


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Let everybody open the poll, and then vote; print how long all took, and what is stored."""
    with _site(folder) as (front, servers), ExitStack() as stack:
        clients = [stack.enter_context(_client(front, number, options.people)) for number in range(CLIENTS)]
        started = monotonic()
        for client in clients:
            assert _line_of(client) == "ready\n"
        seconds = monotonic() - started
        print(f"\n{options.people:,} people have opened a page and a WebSocket in {seconds:.0f} s", flush=True)
        parts = {
            "polls": servers,
            "nginx": descendants(int((folder / "front/var/nginx.pid").read_text())),
            "the clients": [client.pid for client in clients],
        }
        before, postgres = {name: cpu(pids) for name, pids in parts.items()}, postgres_cpu(folder / "var/postgres")
        machine = machine_cpu()
        start = monotonic() + PAUSE
        for client in clients:
            _send(client, f"{start}\n")
        reports = [json.loads(_line_of(client)) for client in clients]
        spent = {name: cpu(pids) - before[name] for name, pids in parts.items()}
        spent["PostgreSQL"] = postgres_cpu(folder / "var/postgres") - postgres
        spent["others on this machine"] = machine_cpu() - machine - sum(spent.values())
        _print(start, reports, options.people)
        print("CPU in s: " + ", ".join(f"{name} {used / 1_000_000:.1f}" for name, used in spent.items()))
        print(command(folder, "verify", "--config=polls.yaml", f"--poll={POLL}").stdout, end="", flush=True)


@contextmanager
def _site(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Run the processes behind nginx, with a new poll; yield nginx's URL and the processes' ids."""
    sockets = [folder / f"{number}.sock" for number in range(PROCESSES)]
    urls = [f"unix:{path}" for path in sockets]
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(folder, f"--path={path}", config=CONFIG)) for path in sockets]
        command(folder, "psql", "--config=polls.yaml", "--", "-c", ADD_POLL).check_returncode()
        front = stack.enter_context(nginx_in_front_of(urls[0], folder / "front", *urls[1:]))
        yield front, [polls.process.pid for polls in servers]


def _client(front: str, number: int, people: int) -> subprocess.Popen[str]:
    parts = urlsplit(front)
    choices = ",".join(map(str, CHOICES))
    arguments = [parts.hostname, parts.port, POLL, choices, people // CLIENTS, people, SECONDS, 2 + ADDRESSES * number]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.bench.people", *map(str, arguments)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _line_of(client: subprocess.Popen[str]) -> str:
    assert client.stdout is not None
    return client.stdout.readline()


def _send(client: subprocess.Popen[str], line: str) -> None:
    assert client.stdin is not None
    client.stdin.write(line)
    client.stdin.flush()


def _print(start: float, reports: Sequence[dict[str, Any]], people: int) -> None:
    for kind in ("page", "vote", "results"):
        slowest = max((report["seconds"][kind] for report in reports), key=lambda seconds: seconds.get("p99", 0))
        print(f"{kind}, in ms: {milliseconds(slowest)}")
    answers = sum((Counter(report["answers"]) for report in reports), Counter())
    print("answers: " + ", ".join(f"{answer} {count:,}" for answer, count in sorted(answers.items())))
    last_vote, last_answer, last_screen = (
        max(report[name] for report in reports) for name in ("last_sent", "last_answered", "last_screen")
    )
    print(f"from the first vote to the last {last_vote - start:.2f} s, to the last page {last_answer - start:.2f} s")
    right = sum(report["complete"] for report in reports)
    after = f", the last one {last_screen - last_vote:.2f} s after the last vote" if right == people else ""
    print(f"{right:,} of {people:,} screens show all votes{after}")
