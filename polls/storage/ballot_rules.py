"""A cache of the rules that ballots are checked against before they are sent to the database."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from polls.domain.ballot import Ballot
from polls.domain.poll import Poll
from polls.storage.questions import as_poll

_VOTER_BYTES = 16  # of the hash that is stored for a voter


@dataclass(frozen=True, slots=True)
class PollRules:
    """A poll as of one edition, and the salt with which its voters' keys are hashed."""

    poll: Poll
    salt: bytes

    def hash_voter(self, ballot: Ballot) -> str:
        """Return the voter's stored form in hexadecimal digits: a hash that can't be reproduced without the salt."""
        return hashlib.blake2b(ballot.voter, key=self.salt, digest_size=_VOTER_BYTES).hexdigest()


class RulesCache:
    """The rules of the polls that were read last, {question id: PollRules}; `trim` cuts it to `max_size` polls."""

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._rules: dict[int, PollRules] = {}

    def __contains__(self, question_id: int) -> bool:
        return question_id in self._rules

    def __getitem__(self, question_id: int) -> PollRules:
        return self._rules[question_id]

    def accepts(self, ballot: Ballot) -> bool:
        """Return whether the ballot's poll is cached and accepts its marks."""
        rules = self._rules.get(ballot.question_id)
        return rules is not None and rules.poll.accepts(ballot)

    def replace(self, question_ids: Collection[int], rows: Iterable[Any]) -> None:
        """Replace the rules of these polls by the `rows` of `ballot_sql.RULES`; polls without rows are removed."""
        for question_id in question_ids:
            self._rules.pop(question_id, None)
        for question_id, group in groupby(rows, lambda row: row.id):
            poll_rows = list(group)
            self._rules[question_id] = PollRules(as_poll(poll_rows), bytes(poll_rows[0].voter_salt))

    def trim(self) -> None:
        """Remove the rules that were read longest ago, beyond `max_size`."""
        for question_id in list(self._rules)[: -self._max_size]:
            del self._rules[question_id]

    def clear(self) -> None:
        """Remove all rules."""
        self._rules.clear()
