"""Load of voters: each votes once, and retries until the vote is acknowledged."""

import asyncio
import random
import secrets
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Self

import aiohttp

from tests.support.network import Machine

RETRY_TIMEOUT = 60  # seconds for which a voter retries
RESPONSE_TIMEOUT = 6  # seconds within which each vote gets a response
CONCURRENT_VOTERS = 64  # concurrent voters
HANG_UP_AFTER = 0.003  # seconds


@dataclass
class Crowd:
    """`concurrency` clients that vote as new voters until `voters` have voted, or until the end of the `with`.

    `urls` are processes of polls; after an error or a status other than 303, the voter retries at the next one. `polls`
    are {id: its choice ids}; a voter of a choice in `forms` sends those fields, whose first mark must be that choice,
    else `choice=ID`. With `hangs_up`, half of the voters close their first connection after 3 ms and retry. If
    not `retries`, a voter tries once. If not `sends_cookie`, voters send no cookie, so that each try is another ballot.
    `pause` is the time between two voters of a client, in seconds. The load runs on `machine` if one is given.
    """

    urls: Sequence[str]
    polls: dict[int, list[int]] = field(default_factory=lambda: {1: [1, 2]})
    forms: Mapping[int, Sequence[tuple[str, str]]] = field(default_factory=dict)
    voters: int | None = None
    hangs_up: bool = False
    retries: bool = True
    sends_cookie: bool = True
    concurrency: int = CONCURRENT_VOTERS
    pause: float = 0
    machine: Machine | None = None

    def __post_init__(self) -> None:
        self.counted: Counter[int] = Counter()  # acknowledged ballots, by their first mark
        self.answers: Counter[int | str] = Counter()  # by status, or by the name of the error
        self.unacknowledged = 0  # voters without an acknowledgement, whose ballot may be stored or not
        self.moments: list[float] = []  # when each ballot was acknowledged, by monotonic()
        self.slowest = 0.0  # seconds until a response
        self._started = 0  # voters
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="crowd")
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Start no more voters, and wait until the current ones have finished."""
        if self.voters is None or error is not None:
            self._stopping.set()
        self._thread.join()
        if error is None and self._failure is not None:
            raise self._failure

    def total(self) -> int:
        return self.counted.total()

    def fields(self, choice: int) -> Sequence[tuple[str, str]]:
        """Return the fields that a voter of `choice` sends."""
        return self.forms.get(choice, [("choice", str(choice))])

    def _run(self) -> None:
        if self.machine:
            self.machine.enter()
        asyncio.run(self._run_clients())

    async def _run_clients(self) -> None:
        try:
            timeout = aiohttp.ClientTimeout(total=2 * RESPONSE_TIMEOUT)
            connector = aiohttp.TCPConnector(limit=0)
            jar = aiohttp.DummyCookieJar()
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=jar) as session,
                asyncio.TaskGroup() as group,
            ):
                for _ in range(self.concurrency):
                    group.create_task(self._run_client(session))
        except BaseException as failure:  # noqa: BLE001 - raised again in the test's thread
            self._failure = failure

    async def _run_client(self, session: aiohttp.ClientSession) -> None:
        while not self._stopping.is_set() and (self.voters is None or self._started < self.voters):
            self._started += 1
            await self._vote(session)
            await asyncio.sleep(self.pause)

    async def _vote(self, session: aiohttp.ClientSession) -> None:
        poll = random.choice(list(self.polls))
        choice = random.choice(self.polls[poll])
        cookie = {"Cookie": f"polls_voter={secrets.token_hex(16)}"} if self.sends_cookie else {}
        position = random.randrange(len(self.urls))
        hangs_up = self.hangs_up and random.random() < 0.5
        deadline = monotonic() + RETRY_TIMEOUT
        while monotonic() < deadline:
            url = f"{self.urls[position % len(self.urls)]}/poll/{poll}/vote"
            status = await self._post(session, url, choice, cookie, hangs_up=hangs_up)
            self.answers[status] += 1
            if status == 303:
                self.counted[choice] += 1
                self.moments.append(monotonic())
                return
            if not self.retries:
                self.unacknowledged += 1
                return
            position += 1
            if not hangs_up:
                await asyncio.sleep(0.1)
            hangs_up = False
        raise AssertionError(f"a voter retried for {RETRY_TIMEOUT} seconds: {self.answers}")

    async def _post(
        self, session: aiohttp.ClientSession, url: str, choice: int, cookie: dict[str, str], *, hangs_up: bool
    ) -> int | str:
        """Return the status of the response, or the name of the error."""
        started = monotonic()
        try:
            async with asyncio.timeout(HANG_UP_AFTER if hangs_up else None):
                async with session.post(
                    url, data=self.fields(choice), headers=cookie, allow_redirects=False
                ) as response:
                    return response.status
        except (aiohttp.ClientError, ConnectionError) as error:
            return type(error).__name__
        except TimeoutError:
            assert hangs_up, f"no response after {monotonic() - started:.1f} seconds"
            return "hung up"
        finally:
            self.slowest = max(self.slowest, monotonic() - started)
