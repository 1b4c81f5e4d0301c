"""The queue in front of the connection pool, and its measurements."""

import asyncio
from typing import Literal, NamedTuple


class PoolQueue(asyncio.Semaphore):
    """A semaphore that serves in order of arrival; `waiting` is the number of tasks in its queue."""

    waiting = 0

    async def acquire(self) -> Literal[True]:
        self.waiting += 1
        try:
            return await super().acquire()
        finally:
            self.waiting -= 1


class PoolUse(NamedTuple):
    """Connections that are `busy` and `free`, the maximum size of the pool (`max_size`), and requests `waiting`."""

    busy: int
    free: int
    max_size: int
    waiting: int
