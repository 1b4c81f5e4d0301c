"""Files and folders of a private server: beside its data folder, and for its socket."""

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from polls.storage.postgres.connect import UnusableDatabase

PORT = 5432  # only part of the socket's name: the server doesn't listen on the network
_MAX_SOCKET_PATH = 103  # bytes, on macOS; Linux allows 107


def resolved(folder: Path) -> Path:
    """Return the data folder's real path, so that one folder has one pair of lock files. Raises UnusableDatabase."""
    try:
        path = folder.resolve()
    except (OSError, RuntimeError) as error:
        raise UnusableDatabase(f"can't resolve {folder}: {error}") from error
    if not path.name:
        raise UnusableDatabase(f"{folder} can't be a data folder; name another one")
    return path


def sibling(folder: Path, suffix: str) -> Path:
    """Return the path beside `folder` that has the same name and `suffix`."""
    return folder.with_name(folder.name + suffix)


def default_socket_folder(folder: Path) -> Path:
    """Return a short path, in this user's name, for the socket of the server in `folder`: socket paths are limited."""
    name = f"polls-{os.getuid()}-{hashlib.sha256(bytes(folder)).hexdigest()[:12]}"
    path = Path(tempfile.gettempdir(), name)
    is_too_long = len(bytes(path / f".s.PGSQL.{PORT}.lock")) > _MAX_SOCKET_PATH
    return Path("/tmp", name) if is_too_long else path  # noqa: S108 - its owner is checked before it is used


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
