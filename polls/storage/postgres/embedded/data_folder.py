"""The files of a private server: its data folder, and lock files beside it that only this user can open."""

import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from polls.storage.postgres.connect import UnusableDatabase
from polls.storage.postgres.embedded.binaries import binaries_for, unprivileged_prefix

ROLE = "polls"
REMOVAL_TIMEOUT = 10  # seconds; an initdb that finds its folder gone ends sooner


def is_initialized(folder: Path) -> bool:
    """Return whether `folder` is a data folder; False if it is missing or empty. Else raises UnusableDatabase."""
    if (folder / "PG_VERSION").exists():
        return True
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UnusableDatabase(f"{folder} is no PostgreSQL data folder, and not empty; name another one")
    return False


def initialize(folder: Path) -> None:
    """Create the data folder, completely or not at all: the next start would use a half-made one.

    Raises UnusableDatabase.
    """
    unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        _initdb(unfinished, folder)
        unfinished.rename(folder)
    finally:
        remove_folder(unfinished)


def remove_folder(folder: Path) -> None:
    """Remove a folder to which processes that are ending may still write for a moment."""
    deadline = time.monotonic() + REMOVAL_TIMEOUT
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)


def _initdb(unfinished: Path, folder: Path) -> None:
    with subprocess.Popen(
        [
            *unprivileged_prefix(),
            binaries_for(folder) / "initdb",
            *(f"--pgdata={unfinished}", f"--username={ROLE}", "--auth=trust"),
            *("--encoding=UTF8", "--locale-provider=builtin", "--locale=C", "--builtin-locale=C.UTF-8"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as initdb:
        try:
            _, output = initdb.communicate()
        except BaseException:
            # The whole process group: initdb's children would keep writing to a folder that is being removed.
            os.killpg(initdb.pid, signal.SIGKILL)
            raise
    if initdb.returncode != 0:
        raise UnusableDatabase(f"can't create the private PostgreSQL in {folder}: {' '.join(output.split())}")


def open_lock_file(folder: Path, name: str) -> IO[bytes]:
    """Open a lock file beside the data folder, where other users can't open it: they could lock it for ever."""
    locks = Path(f"{folder}.locks")
    create_private_folder(locks)
    return open(locks / name, "a+b", opener=private_opener)


def create_private_folder(path: Path) -> None:
    """Create a folder that only this user can open. Raises UnusableDatabase if it exists and others can open it."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    state = path.lstat()
    # Root may join the server of an ordinary user. The parent's owner could replace the folder anyway.
    owners = {os.geteuid(), path.parent.stat().st_uid}
    if not stat.S_ISDIR(state.st_mode) or state.st_uid not in owners or state.st_mode & 0o077:
        raise UnusableDatabase(
            f"{path} belongs to another user or can be opened by others; "
            "remove it, or choose other folders of your own (postgres.embedded, and TMPDIR for the socket)"
        )


def private_opener(path: str, flags: int) -> int:
    """Open a file for `open(opener=...)`; a new one can't be read by others, whatever the umask is."""
    return os.open(path, flags, 0o600)
