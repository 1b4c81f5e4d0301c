"""Clients that request pages without a pause, and count the responses."""

import asyncio
import threading
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import aiohttp


class Readers:
    """`count` clients, each of which requests `paths` in turn until the end of the `with`."""

    def __init__(self, url: str, paths: Sequence[str], count: int = 4) -> None:
        self.answers: Counter[int | str] = Counter()  # responses by status, failures by error
        self._url = url
        self._paths = paths
        self._count = count
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._gather()), name="readers")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._ending.set()
        self._thread.join()

    async def _gather(self) -> None:
        # A new connection for each request: aiohttp repeats a request if a kept-alive connection fails.
        connector = aiohttp.TCPConnector(force_close=True)
        timeout = aiohttp.ClientTimeout(total=30)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            asyncio.TaskGroup() as group,
        ):
            for offset in range(self._count):
                group.create_task(self._read(session, offset))

    async def _read(self, session: aiohttp.ClientSession, position: int) -> None:
        while not self._ending.is_set():
            position += 1
            try:
                async with session.get(self._url + self._paths[position % len(self._paths)]) as response:
                    await response.read()
                    self.answers[response.status] += 1
            except (aiohttp.ClientError, TimeoutError) as error:
                self.answers[type(error).__name__] += 1
            await asyncio.sleep(0.005)
