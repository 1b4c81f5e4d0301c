"""Creating a private server's data folder."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from polls.storage.postgres.connect import UnusableDatabase
from polls.storage.postgres.embedded.binaries import binaries_for, unprivileged_prefix

ROLE = "polls"


def is_initialized(folder: Path) -> bool:
    """Return whether `folder` is a PostgreSQL data folder."""
    return (folder / "PG_VERSION").exists()


def check_data_folder(folder: Path) -> None:
    """Raise UnusableDatabase if `folder` exists and is neither empty nor a PostgreSQL data folder."""
    if is_initialized(folder) or not folder.exists():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise UnusableDatabase(f"{folder} is no PostgreSQL data folder, and not empty; name another one")


def initialize(folder: Path) -> None:
    """Create the data folder, completely or not at all: the next start would use a half-made one.

    Raises UnusableDatabase.
    """
    unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        _initdb(unfinished, folder)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _initdb(unfinished: Path, folder: Path) -> None:
    with subprocess.Popen(
        [
            *unprivileged_prefix(),
            binaries_for(folder) / "initdb",
            f"--pgdata={unfinished}",
            f"--username={ROLE}",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--locale=C",
            "--builtin-locale=C.UTF-8",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as initdb:
        try:
            _, output = initdb.communicate()
        except BaseException:
            # The whole process group: initdb's children would go on writing to a folder that is being removed.
            os.killpg(initdb.pid, signal.SIGKILL)
            raise
    if initdb.returncode != 0:
        reason = " ".join(output.split()) or "initdb failed"
        raise UnusableDatabase(f"can't create the private PostgreSQL in {folder}: {reason}")
