"""polls as people start it: a process of its own, on a free port."""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import yaml

TIMEOUT = 30  # seconds for anything that a process is waited for

# What gives a process another clock ($LD_PRELOAD); empty where it isn't installed.
FAKETIME = next(map(str, sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), "")


@dataclass
class Polls:
    """A running `python -m polls`: where it is, and what it has said."""

    process: subprocess.Popen[str]
    url: str
    announcement: str
    log: Path

    def end(self, how: signal.Signals = signal.SIGINT) -> int:
        """End it as Ctrl-C does, and return its exit status."""
        self.process.send_signal(how)
        return self.process.wait(TIMEOUT)


@contextmanager
def serving(
    folder: Path,
    *options: str,
    config: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    python: Path = Path(sys.executable),
    program: Sequence[str] = ("-m", "polls"),
    inside: Sequence[str] = (),
) -> Iterator[Polls]:
    """Serve from `folder` until the end. Without `config` the file is found by polls itself.

    `inside` are words that start a program somewhere else, on another machine.
    """
    file = [] if config is None else [f"--config={write(folder, config)}"]
    port = [] if any(option.startswith(("--port", "--path")) for option in options) else ["--port=0"]
    log = folder / f"polls-{monotonic()}.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [*inside, python, *program, *file, *port, *options],
            cwd=folder,
            env=os.environ | dict(environ or {}),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        giving_up = threading.Timer(TIMEOUT, process.kill)
        giving_up.start()
        announcement = process.stdout.readline()
        giving_up.cancel()
        try:
            assert announcement, log.read_text()
            address = re.search(r"http://\S+:\d+", announcement)
            yield Polls(process, address[0] if address else "", announcement.strip(), log)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(TIMEOUT)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise


def how_it_begins(connection: socket.socket) -> bytes:
    """The first words of an answer, with its status; nothing, where the connection was closed instead."""
    try:
        return connection.recv(len(b"HTTP/1.1 200"))
    except ConnectionError:
        return b""


def command(folder: Path, *arguments: str, typed: str = "", **options: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m polls ARGUMENTS` in `folder` to its end; `options` are environment variables."""
    return subprocess.run(
        [sys.executable, "-m", "polls", *arguments],
        cwd=folder,
        env=os.environ | options,
        input=typed,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def write(folder: Path, config: Mapping[str, object]) -> Path:
    """A configuration file with these settings."""
    file = folder / "polls.yaml"
    file.write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
    return file


def eventually(condition: Callable[[], object], seconds: float = TIMEOUT) -> bool:
    """Whether `condition` becomes true in time."""
    deadline = monotonic() + seconds
    while not condition():
        if monotonic() > deadline:
            return False
        sleep(0.02)
    return True


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on, and that is given to no connection of somebody else meanwhile."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def working_in(folder: Path) -> list[int]:
    """The processes that work in `folder`, as PostgreSQL's do in their data folder."""

    def is_there(process: Path) -> bool:
        try:
            return (process / "cwd").samefile(folder)
        except OSError:
            return False

    return [int(process.name) for process in Path("/proc").glob("[0-9]*") if is_there(process)]
