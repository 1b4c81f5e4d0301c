"""Standard output and standard error that can't be written: a full disk, a pipe that nobody reads."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from polls.config.settings import Postgres
from polls.storage.postgres.connect import Connection
from tests.support.processes import TIMEOUT, eventually, free_port, write

BUFFERED = {"PYTHONUNBUFFERED": ""}  # as usual: Python writes at the end what wasn't flushed


@contextmanager
def unwritable(output: str) -> Iterator[int]:
    """Open a file to which no byte can be written."""
    if output == "closed pipe":
        reader, file = os.pipe()
        os.close(reader)
    else:
        file = os.open(output, os.O_WRONLY)
    try:
        yield file
    finally:
        os.close(file)


@pytest.fixture
def folder(tmp_path: Path, postgres: Postgres, database: Connection) -> Path:  # noqa: ARG001 - it empties the database
    settings = {key: value for key, value in asdict(postgres).items() if value is not None}
    write(tmp_path, {"postgres": settings | {"minsize": 1, "maxsize": 2}})
    return tmp_path


@pytest.mark.parametrize(("output", "log"), [("/dev/full", "log"), ("closed pipe", "/dev/full")])
def test_a_server_whose_output_cannot_be_written_serves_until_its_end(folder: Path, output: str, log: str) -> None:
    port = free_port()
    (folder / "log").touch()
    arguments = [sys.executable, "-m", "polls", "--config=polls.yaml", f"--port={port}"]
    with (
        unwritable(output) as stdout,
        (folder / log).open("r+b") as stderr,
        subprocess.Popen(arguments, cwd=folder, env=os.environ | BUFFERED, stdout=stdout, stderr=stderr) as process,
    ):
        try:
            assert eventually(lambda: process.poll() is not None or serves(port))
            assert process.poll() is None, (folder / "log").read_text()
            assert serves(port)
        finally:
            process.send_signal(signal.SIGTERM)

    assert process.returncode == 0
    if log == "log":
        text = (folder / "log").read_text()
        assert f"polls is ready at http://127.0.0.1:{port}" in text
        assert "standard output can't be written" in text
        assert "Traceback" not in text


def serves(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=TIMEOUT) as page:
            return bool(page.status == 200)
    except OSError:
        return False


@pytest.mark.parametrize(
    ("output", "environ", "status", "message"),
    [
        ("/dev/full", BUFFERED, 1, "polls: standard output can't be written: No space left on device\n"),
        ("closed pipe", {"PYTHONUNBUFFERED": "1"}, 128 + signal.SIGPIPE, ""),  # as `polls doctor | head -1`
    ],
)
def test_a_command_whose_output_cannot_be_written_fails_in_one_line_at_most(
    folder: Path, output: str, environ: dict[str, str], status: int, message: str
) -> None:
    with unwritable(output) as stdout:
        done = subprocess.run(
            [sys.executable, "-m", "polls", "admins", "--config=polls.yaml"],
            cwd=folder,
            env=os.environ | environ,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    assert (done.returncode, done.stderr) == (status, message)
