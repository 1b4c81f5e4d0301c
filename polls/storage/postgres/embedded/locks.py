"""Locks by which processes share one private server.

Two lock files stand in a folder beside the data folder. `users` is held shared for as long as a process uses the
server; the kernel releases it when that process dies, so a process that can lock it exclusively is the last user.
`startup` is held exclusively while the server is started or stopped.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from polls.storage.postgres.connect import UnusableDatabase
from polls.storage.postgres.embedded.paths import create_private_folder, private_opener, sibling

START_TIMEOUT = 30  # seconds; crash recovery after a kill may take some
STOP_TIMEOUT = 10  # seconds for a fast shutdown, and as many for an immediate one
STARTUP_LOCK_TIMEOUT = START_TIMEOUT + 2 * STOP_TIMEOUT  # one start, or one stop, in another process
_RETRY_INTERVAL = 0.02  # seconds


@contextmanager
def startup_lock(folder: Path, timeout: float = STARTUP_LOCK_TIMEOUT) -> Iterator[None]:
    """Hold the lock on starting and stopping the server. Raises UnusableDatabase after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    with open_lock_file(folder, "startup") as file:
        while not try_lock(file):
            if time.monotonic() > deadline:
                raise UnusableDatabase(
                    f"another process has been starting or stopping the private PostgreSQL in {folder} "
                    f"for {timeout:g} seconds; find it and end it"
                )
            time.sleep(_RETRY_INTERVAL)
        yield


def open_lock_file(folder: Path, name: str) -> IO[bytes]:
    """Open a lock file beside the data folder, where other users can't open it: they could lock it for ever."""
    locks = sibling(folder, ".locks")
    create_private_folder(locks)
    return open(locks / name, "a+b", opener=private_opener)


def share_lock(file: IO[bytes]) -> None:
    """Lock `file` shared with other processes."""
    fcntl.flock(file, fcntl.LOCK_SH)


def try_lock(file: IO[bytes]) -> bool:
    """Lock `file` exclusively and return whether that succeeded; it fails while another process holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
