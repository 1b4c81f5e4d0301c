"""Writers on every host of a cluster, which show that never two primaries acknowledge."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg2

_PAUSE = 0.1  # seconds between two writes
_WRITE = """
    INSERT INTO written SELECT 1 WHERE NOT pg_is_in_recovery()
    RETURNING left(pg_walfile_name(pg_current_wal_lsn()), 8)
"""


@dataclass(frozen=True, slots=True)
class Write:
    """An acknowledged write: on which host and timeline, and when it was sent and acknowledged, by monotonic()."""

    host: str
    timeline: int
    sent: float
    acknowledged: float


class Writers:
    """A thread for each host that writes a row ten times a second, as long as the host lets it.

    `folders` contain the hosts' sockets. A write that waits for a standby isn't given up before its server ends.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.writes: list[Write] = []
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=[folder], daemon=True) for folder in folders]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(10)

    def went_back(self) -> list[str]:
        """Describe the writes that were sent after a write on a later timeline had been acknowledged."""
        return [
            f"{write.host} on timeline {write.timeline} after {other.host} on {other.timeline}"
            for write in self.writes
            for other in self.writes
            if other.timeline > write.timeline and other.acknowledged < write.sent
        ]

    def _run(self, folder: Path) -> None:
        while not self._stopping.is_set():
            try:
                connection = psycopg2.connect(host=str(folder), user="postgres", dbname="polls", connect_timeout=2)
            except psycopg2.Error:
                time.sleep(_PAUSE)
                continue
            connection.autocommit = True
            try:
                self._write(folder.name, connection)
            except psycopg2.Error:
                time.sleep(_PAUSE)
            finally:
                connection.close()

    def _write(self, host: str, connection: psycopg2.extensions.connection) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery()")
            if cursor.fetchone() == (True,):
                raise psycopg2.OperationalError("a standby")
            cursor.execute("CREATE TABLE IF NOT EXISTS written (one integer)")
            while not self._stopping.is_set():
                sent = time.monotonic()
                cursor.execute(_WRITE)
                for (timeline,) in cursor.fetchall():
                    self.writes.append(Write(host, int(timeline, 16), sent, time.monotonic()))
                time.sleep(_PAUSE)
