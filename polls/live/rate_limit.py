"""A turnstile: how many voters may come from one network in a minute."""

import asyncio
import math
from collections import OrderedDict

from polls.domain.errors import TooManyVoters

MINUTE = 60  # seconds
MOST_REMEMBERED = 100_000  # voters, of all networks together


class VoteRateLimit:
    """Lets `most` voters in from each network in a minute. Who came in during that minute may come again and again.

    At most MOST_REMEMBERED voters are known: the networks from which nobody has come for longest are forgotten first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._remembered = 0
        self._networks: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()  # {voter: when they came}

    def enter(self, network: str, voter: str) -> None:
        """Let `voter` in from `network`. Raises TooManyVoters."""
        now = asyncio.get_running_loop().time()
        came = self._networks.setdefault(network, OrderedDict())
        self._networks.move_to_end(network)
        while came and next(iter(came.values())) <= now - MINUTE:
            came.popitem(last=False)
            self._remembered -= 1
        if voter in came:
            return
        if len(came) >= self._most:
            raise TooManyVoters(math.ceil(next(iter(came.values())) + MINUTE - now))
        came[voter] = now
        self._remembered += 1
        while self._remembered > MOST_REMEMBERED:
            _, forgotten = self._networks.popitem(last=False)
            self._remembered -= len(forgotten)
