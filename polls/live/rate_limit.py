"""The rate limit on votes: voters per network and minute."""

import asyncio
import math
from collections import OrderedDict

from polls.domain.errors import TooManyVoters

MINUTE = 60  # seconds
MAX_VOTERS = 100_000  # kept in memory, of all networks together


class VoteRateLimit:
    """A limit of `limit` different voters per network and minute; a voter may vote again within their minute.

    At most `max_voters` voters are kept, at present `size`: the networks that have voted least recently are dropped
    first.
    """

    def __init__(self, limit: int, *, max_voters: int = MAX_VOTERS) -> None:
        self._limit = limit
        self._max_voters = max_voters
        self.size = 0
        self._networks: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()  # {network: {voter: first vote}}

    def check(self, network: str, voter: str) -> None:
        """Count a vote of `voter` from `network`. Raises TooManyVoters if the network is over its limit."""
        now = asyncio.get_running_loop().time()
        voters = self._networks.setdefault(network, OrderedDict())
        self._networks.move_to_end(network)
        while voters and next(iter(voters.values())) <= now - MINUTE:
            voters.popitem(last=False)
            self.size -= 1
        if voter in voters:
            return
        if len(voters) >= self._limit:
            raise TooManyVoters(math.ceil(next(iter(voters.values())) + MINUTE - now))
        voters[voter] = now
        self.size += 1
        while self.size > self._max_voters:
            _, dropped = self._networks.popitem(last=False)
            self.size -= len(dropped)
