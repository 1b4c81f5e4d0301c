"""A crowd that votes all the time, each voter once, and doesn't give up."""

import asyncio
import random
import secrets
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Self

import aiohttp

from tests.support.network import Machine

PATIENCE = 60  # seconds that a voter goes on trying
TOO_LONG = 6  # seconds: a vote is answered, one way or the other, in less
AT_ONCE = 64  # voters


@dataclass
class Crowd:
    """Voters who come until `voters` have come, or until the end of the `with`; each tries until their vote is counted.

    `urls` is where polls is served; who gets no answer, or a 503, tries the next. `polls` are {id: its choices}.
    Of a `hasty` crowd, half hang up within three milliseconds, and try again. Who isn't `persistent` tries once. Who
    isn't `known` comes without the cookie that makes several tries one ballot. The next one comes `pause` seconds after
    one who has voted. All are at `machine`, where one is named.
    """

    urls: Sequence[str]
    polls: dict[int, list[int]] = field(default_factory=lambda: {1: [1, 2]})
    voters: int | None = None
    hasty: bool = False
    persistent: bool = True
    known: bool = True
    at_once: int = AT_ONCE
    pause: float = 0
    machine: Machine | None = None

    def __post_init__(self) -> None:
        self.counted: Counter[int] = Counter()  # acknowledged ballots, by choice
        self.answers: Counter[int | str] = Counter()  # by status; what is no answer, by its error
        self.gave_up = 0  # voters who don't know whether they are counted
        self.moments: list[float] = []  # when a ballot was acknowledged
        self.slowest = 0.0  # seconds until an answer
        self._came = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._come, name="crowd")
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Let nobody else come, and wait until everybody who is here has voted."""
        if self.voters is None or error is not None:
            self._ending.set()
        self._thread.join()
        if error is None and self._failure is not None:
            raise self._failure

    def total(self) -> int:
        return self.counted.total()

    def _come(self) -> None:
        if self.machine:
            self.machine.enter()
        asyncio.run(self._gather())

    async def _gather(self) -> None:
        try:
            timeout = aiohttp.ClientTimeout(total=2 * TOO_LONG)
            connector = aiohttp.TCPConnector(limit=0)
            jar = aiohttp.DummyCookieJar()
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=jar) as session,
                asyncio.TaskGroup() as group,
            ):
                for _ in range(self.at_once):
                    group.create_task(self._queue(session))
        except BaseException as failure:  # noqa: BLE001 - it is raised where the test runs
            self._failure = failure

    async def _queue(self, session: aiohttp.ClientSession) -> None:
        while not self._ending.is_set() and (self.voters is None or self._came < self.voters):
            self._came += 1
            await self._vote(session)
            await asyncio.sleep(self.pause)

    async def _vote(self, session: aiohttp.ClientSession) -> None:
        poll = random.choice(list(self.polls))
        choice = random.choice(self.polls[poll])
        cookie = {"Cookie": f"voter={secrets.token_hex(16)}"} if self.known else {}
        place = random.randrange(len(self.urls))
        hasty = self.hasty and random.random() < 0.5
        deadline = monotonic() + PATIENCE
        while monotonic() < deadline:
            status = await self._try(
                session, f"{self.urls[place % len(self.urls)]}/poll/{poll}/vote", choice, cookie, hasty
            )
            self.answers[status] += 1
            if status == 303:
                self.counted[choice] += 1
                self.moments.append(monotonic())
                return
            if not self.persistent:
                self.gave_up += 1
                return
            place += 1
            if not hasty:
                await asyncio.sleep(0.1)
            hasty = False
        raise AssertionError(f"a voter tried for {PATIENCE} seconds: {self.answers}")

    async def _try(
        self, session: aiohttp.ClientSession, url: str, choice: int, cookie: dict[str, str], hasty: bool
    ) -> int | str:
        """The status of the answer, or what went wrong instead of one."""
        begun = monotonic()
        try:
            async with asyncio.timeout(0.003 if hasty else None):
                async with session.post(url, data={"choice": choice}, headers=cookie, allow_redirects=False) as answer:
                    return answer.status
        except (aiohttp.ClientError, ConnectionError) as error:
            return type(error).__name__
        except TimeoutError:
            assert hasty, f"no answer after {monotonic() - begun:.1f} seconds"
            return "hung up"
        finally:
            self.slowest = max(self.slowest, monotonic() - begun)
