"""Rate limits by network: of voters, of polls that visitors make, of passwords that they try."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable

from polls.domain.errors import TooManyPolls

MINUTE, HOUR = 60, 60 * 60  # seconds
MAX_ITEMS = 100_000  # kept in memory, of all networks together


class RateLimit:
    """A limit of `limit` different items per network and `seconds`; the same item isn't counted again in this time.

    `error` makes the error from the seconds until the next item is accepted. At most `max_items` items are kept, at
    present `size`: the networks that were seen least recently are dropped first.
    """

    def __init__(
        self, limit: int, error: Callable[[int], Exception], *, seconds: int = MINUTE, max_items: int = MAX_ITEMS
    ) -> None:
        self._limit = limit
        self._error = error
        self._seconds = seconds
        self._max_items = max_items
        self.size = 0
        self._networks: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()  # {network: {item: first seen}}

    def check(self, network: str, item: str) -> None:
        """Count an item of `network`. Raises `error` if the network is over its limit."""
        now = asyncio.get_running_loop().time()
        items = self._networks.setdefault(network, OrderedDict())
        self._networks.move_to_end(network)
        while items and next(iter(items.values())) <= now - self._seconds:
            items.popitem(last=False)
            self.size -= 1
        if item in items:
            return
        if len(items) >= self._limit:
            raise self._error(math.ceil(next(iter(items.values())) + self._seconds - now))
        items[item] = now
        self.size += 1
        while self.size > self._max_items:
            _, dropped = self._networks.popitem(last=False)
            self.size -= len(dropped)


class PollRateLimit:
    """Limits of polls per hour: `per_network`, and `in_all` from all networks together."""

    def __init__(self, per_network: int, in_all: int) -> None:
        self._per_network = RateLimit(per_network, TooManyPolls, seconds=HOUR)
        self._in_all = RateLimit(in_all, TooManyPolls, seconds=HOUR)

    def check(self, network: str, form: str) -> None:
        """Count the poll of a `form`, once however often it is sent. Raises TooManyPolls.

        A network that is unknown, an empty text, has no limit of its own. What a network's own limit refuses doesn't
        count for all.
        """
        if network:
            self._per_network.check(network, form)
        self._in_all.check("", form)
