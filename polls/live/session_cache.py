"""A cache of sessions: the accounts that are signed in, for the links that public pages show to them."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from polls.domain.account import Account
from polls.domain.errors import PollsUnavailable


@dataclass(slots=True)
class _Entry:
    account: Account | None
    until: float  # the loop's time


class SessionCache:
    """Accounts by the tokens of their sessions, read with `find` and kept for `lifetime` seconds.

    An answer may be outdated: it decides which links a page shows, never what is allowed. At most `rate` sessions are
    read each second, so that made-up tokens cost little; beyond that, unknown tokens count as not signed in.
    """

    def __init__(
        self,
        find: Callable[[str], Awaitable[Account | None]],
        *,
        lifetime: float = 10,
        rate: int = 20,
        max_sessions: int = 1000,
    ) -> None:
        self._find = find
        self._lifetime = lifetime
        self._rate = rate
        self._max_sessions = max_sessions
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # least recently used first
        self._second = float("-inf")  # the loop's time at which the current second began
        self._reads = 0  # in this second

    async def find(self, token: str) -> Account | None:
        """Return the account that is signed in with `token`, or None if there is none or it can't be read."""
        now = asyncio.get_running_loop().time()
        entry = self._entries.get(token)
        if entry is not None:
            self._entries.move_to_end(token)
        if (entry is None or entry.until <= now) and self._may_read(now):
            entry = entry or _Entry(None, now)
            entry.until = now + self._lifetime  # concurrent requests get the former answer
            self._keep(token, entry)
            try:
                entry.account = await self._find(token)
            except PollsUnavailable:
                entry.until = now
        return entry.account if entry else None

    def _may_read(self, now: float) -> bool:
        if now >= self._second + 1:
            self._second, self._reads = now, 0
        self._reads += 1
        return self._reads <= self._rate

    def _keep(self, token: str, entry: _Entry) -> None:
        self._entries[token] = entry
        if len(self._entries) > self._max_sessions:
            self._entries.popitem(last=False)
