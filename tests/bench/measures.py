"""CPU and memory of processes from /proc, and quantiles."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.processes import processes_in

TICK = 1_000_000 / os.sysconf("SC_CLK_TCK")  # microseconds


def cpu(processes: Iterable[int]) -> float:
    """Return the CPU that the processes have used, user and kernel, in µs."""
    ticks = 0
    for pid in processes:
        with suppress(FileNotFoundError):  # short-lived processes of PostgreSQL
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks * TICK


def postgres_cpu(data: Path) -> float:
    """Return the CPU in µs of the server on a data folder: its processes, and those that have ended."""
    postmaster = _postmaster(data)
    fields = Path(f"/proc/{postmaster}/stat").read_text().rpartition(")")[2].split()
    # Its children, instead of all that work in the folder: a process that has just ended has no folder any more.
    return cpu(descendants(postmaster)) + (int(fields[13]) + int(fields[14])) * TICK


def machine_cpu() -> float:
    """Return the CPU in µs that all processes of the machine and its kernel have used."""
    times = Path("/proc/stat").read_text().split("\n")[0].split()[1:8]
    user, nice, system, _idle, _iowait, *interrupts = map(int, times)
    return (user + nice + system + sum(interrupts)) * TICK


def _postmaster(data: Path) -> int:
    """Return the process of the server that has started the others."""
    processes = processes_in(data)
    return next(pid for pid in processes if _parent(pid) not in processes)


def _parent(pid: int) -> int:
    with suppress(FileNotFoundError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def descendants(pid: int) -> list[int]:
    """Return a process and its children."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def resident(pid: int) -> int:
    """Return the resident memory of a process in kB."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])  # type: ignore[index]


def quantiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    shares = {"median": 0.5, "p99": 0.99, "max": 1.0}
    return {name: ordered[int(share * (len(values) - 1))] for name, share in shares.items()} if values else {}


def milliseconds(delays: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {1000 * seconds:.0f}" for name, seconds in delays.items()) or "-"
