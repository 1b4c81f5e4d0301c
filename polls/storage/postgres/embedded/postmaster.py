"""The state of a private server, read from postmaster.pid in its data folder and from /proc."""

import os
import socket
from pathlib import Path

from polls.storage.postgres.embedded.paths import default_socket_folder


def running_pid(folder: Path) -> int | None:
    """Return the process id of the server that runs in `folder`, or None."""
    lines = _pid_file_lines(folder)
    pid = int(lines[0]) if lines and lines[0].isdigit() else None
    return pid if pid and works_in(pid, folder) else None


def current_socket_folder(folder: Path) -> Path:
    """Return the folder of the running server's socket, which may have been chosen by a process with another TMPDIR."""
    lines = _pid_file_lines(folder)
    return Path(lines[4]) if len(lines) > 4 else default_socket_folder(folder)


def accepts_connections(folder: Path) -> bool:
    """Return whether the server in `folder` is ready and its socket accepts a connection."""
    lines = _pid_file_lines(folder)
    if running_pid(folder) is None or len(lines) < 8 or lines[7].strip() != "ready":
        return False
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(f"{lines[4]}/.s.PGSQL.{lines[3]}") == 0


def remove_stale_pid_file(folder: Path) -> None:
    """Remove postmaster.pid if it was left by a killed server and its process id now belongs to another program.

    PostgreSQL would take that program for a running server and refuse to start, for instance after a container restart.
    """
    lines = _pid_file_lines(folder)
    is_reused = lines and lines[0].isdigit() and Path("/proc", lines[0]).exists()
    if is_reused and not any(works_in(int(entry.name), folder) for entry in Path("/proc").glob("[0-9]*")):
        (folder / "postmaster.pid").unlink(missing_ok=True)


def works_in(pid: int, folder: Path) -> bool:
    """Return whether the process's working directory is `folder`, as PostgreSQL's is; a process id may be reused."""
    if not Path("/proc/self/cwd").exists():  # not Linux: the process id has to do
        try:
            os.kill(pid, 0)
        except OSError:
            return False
        return True
    try:
        return Path(f"/proc/{pid}/cwd").samefile(folder)
    except OSError:
        return False


def _pid_file_lines(folder: Path) -> list[str]:
    """Return the lines of postmaster.pid: pid, data folder, start, port, socket folder, address, memory, status."""
    try:
        return (folder / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []
