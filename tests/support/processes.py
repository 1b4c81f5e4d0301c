"""Run polls in processes of its own, on free ports."""

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

TIMEOUT = 30  # seconds to wait for anything that a process does

# The library that fakes a process's clock ($LD_PRELOAD); empty if it isn't installed.
FAKETIME = next(map(str, sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), "")


@dataclass
class Polls:
    """A running `python -m polls`: its URL, the line that it printed when ready, and its log file."""

    process: subprocess.Popen[str]
    url: str
    announcement: str
    log: Path

    def end(self, signum: signal.Signals = signal.SIGINT) -> int:
        """Stop it as Ctrl-C does, and return its exit status."""
        self.process.send_signal(signum)
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
    """Serve polls in `folder` until the end of the `with`. Without `config`, polls finds the file itself.

    `inside` is a command that runs the program elsewhere, in a network namespace for example.
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
        watchdog = threading.Timer(TIMEOUT, process.kill)
        watchdog.start()
        announcement = process.stdout.readline()
        watchdog.cancel()
        try:
            assert announcement, log.read_text()
            url = re.search(r"http://\S+:\d+", announcement)
            yield Polls(process, url[0] if url else "", announcement.strip(), log)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(TIMEOUT)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise


def receive_status(connection: socket.socket) -> bytes:
    """Return the version and status of a response, or nothing if the connection was closed instead."""
    try:
        return connection.recv(len(b"HTTP/1.1 200"))
    except ConnectionError:
        return b""


def command(folder: Path, *arguments: str, typed: str = "", **options: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m polls ARGUMENTS` in `folder`; `typed` is its input, `options` are environment variables."""
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
    """Write a configuration file, and return its path."""
    file = folder / "polls.yaml"
    file.write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
    return file


def eventually(condition: Callable[[], object], seconds: float = TIMEOUT) -> bool:
    """Return whether `condition` becomes true in time."""
    deadline = monotonic() + seconds
    while not condition():
        if monotonic() > deadline:
            return False
        sleep(0.02)
    return True


def free_port() -> int:
    """Return a free port of 127.0.0.1, below the range from which the kernel assigns ports to other connections."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def processes_in(folder: Path) -> list[int]:
    """Return the ids of processes whose working directory is `folder`, as PostgreSQL's is its data folder."""

    def works_there(process: Path) -> bool:
        try:
            return (process / "cwd").samefile(folder)
        except OSError:
            return False

    return [int(process.name) for process in Path("/proc").glob("[0-9]*") if works_there(process)]
