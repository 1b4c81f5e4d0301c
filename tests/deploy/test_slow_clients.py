"""Four hundred clients that drip what they send and what they read, and visitors who don't notice."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from polls.config.settings import Postgres
from tests.conftest import empty_database
from tests.support.processes import Polls, command, serving, write
from tests.support.site import nginx_before

CHECKOUT = Path(__file__).parents[2]
CONNECTIONS = 150  # of each kind
TOGETHER = 400  # at least
SECONDS = 11  # for which visitors come: longer than any of the slow may stay
PATIENCE = 14  # seconds after which the slow go by themselves
QUICK = 0.5  # seconds within which 99 of 100 visitors are served

# What drips: headers, bodies, and the reading of answers.
SLOW = {
    "headers": ["-H", "-i", "1", "-u", "{url}/"],
    "bodies": ["-B", "-i", "1", "-s", "8192", "-u", "{url}/poll/1/vote"],
    "reading": ["-X", "-k", "10", "-n", "2", "-w", "256", "-y", "512", "-z", "32", "-u", "{url}/poll/1/results"],
}

Front = Callable[[Path, Polls], AbstractContextManager[str]]


@contextmanager
def directly(folder: Path, polls: Polls) -> Iterator[str]:  # noqa: ARG001 - another front has files in it
    """Nothing stands in front."""
    yield polls.url


def behind_nginx(folder: Path, polls: Polls) -> AbstractContextManager[str]:
    """nginx with the file that we ship."""
    return nginx_before(polls.url, folder / "front")


# What stands between visitors and `python -m polls`: each is handed a folder for its files and the process behind it,
# and yields the address that visitors use.
FRONTS: dict[str, Front] = {
    "polls": directly,
    "nginx": behind_nginx,
}


@pytest.fixture
def polls(postgres: Postgres, tmp_path: Path) -> Iterator[Polls]:
    """A process with its default limits, and the sample polls."""
    with empty_database(postgres, "slow") as own:
        address = {key: value for key, value in asdict(own).items() if value is not None}
        config: dict[str, object] = {"postgres": address}
        assert command(tmp_path, "sample", f"--config={write(tmp_path, config)}").returncode == 0
        with serving(tmp_path, config=config) as polls:
            yield polls


@contextmanager
def slow_clients(folder: Path, url: str) -> Iterator[dict[str, Path]]:
    """Clients that are slow in every way, while the `with` lasts and at the most for PATIENCE; what they say."""
    assert urlsplit(url).hostname == "127.0.0.1"
    said = {kind: folder / f"{kind}.txt" for kind in SLOW}
    with ExitStack() as ending:
        for kind, words in SLOW.items():
            often = ["-c", str(CONNECTIONS), "-r", "200", "-l", str(PATIENCE), "-v", "1"]
            arguments = ["slowhttptest", *often, *(word.format(url=url) for word in words)]
            output = ending.enter_context(said[kind].open("w"))
            process = ending.enter_context(subprocess.Popen(arguments, cwd=folder, stdout=output, stderr=output))
            ending.callback(process.wait, 3 * PATIENCE)
        yield said


def visits_among_slow_clients(folder: Path, url: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What visitors found meanwhile, and what the slow clients said in the end."""
    with slow_clients(folder, url) as files:
        arguments = [sys.executable, "-m", "tests.support.visitors", url, str(SECONDS)]
        visitors = subprocess.run(arguments, cwd=CHECKOUT, stdout=subprocess.PIPE, check=True, timeout=5 * SECONDS)
    return json.loads(visitors.stdout), {kind: file.read_text() for kind, file in files.items()}


def most_connected(said: str) -> int:
    return max(map(int, re.findall(r"connected:\s+(\d+)", re.sub(r"\x1b\[[0-9;]*\w", "", said))), default=0)


@pytest.mark.skipif(shutil.which("slowhttptest") is None, reason="slowhttptest is not installed")
@pytest.mark.parametrize("front", FRONTS)
def test_visitors_do_not_notice_four_hundred_slow_clients(polls: Polls, tmp_path: Path, front: str) -> None:
    with FRONTS[front](tmp_path, polls) as url:
        found, said = visits_among_slow_clients(tmp_path, url)
        if found["p99"] >= QUICK:
            # The machine may have been busy with something else for half a second; not twice.
            found, said = visits_among_slow_clients(tmp_path, url)

    assert found["p99"] < QUICK, found
    assert found["faults"] == {}
    assert "Traceback" not in polls.log.read_text()
    if front == "polls":
        assert sum(map(most_connected, said.values())) >= TOGETHER
        for kind in ("headers", "bodies"):
            assert "No open connections left" in said[kind], kind
