"""The ids of polls by their words, kept so that a vote needs no query to know its poll."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from polls.domain.errors import PollNotFound


class PollWords:
    """At most `max_words` words with the ids of their polls, read with `find_id` on first use.

    Only words that polls have are kept. An id is outdated if the word has been given to another poll since: callers
    compare the word with the poll's own, and call `forget` if it differs.
    """

    def __init__(self, find_id: Callable[[str], Awaitable[int | None]], *, max_words: int) -> None:
        self._find_id = find_id
        self._max_words = max_words
        self._ids: OrderedDict[str, int] = OrderedDict()  # least recently used first

    async def find(self, word: str) -> int:
        """Return the id of the poll with this word. Raises PollNotFound, PollsUnavailable."""
        question_id = self._ids.get(word)
        if question_id is None:
            question_id = await self._find_id(word)
            if question_id is None:
                raise PollNotFound(word)
            self._ids[word] = question_id
            if len(self._ids) > self._max_words:
                self._ids.popitem(last=False)
        else:
            self._ids.move_to_end(word)
        return question_id

    def forget(self, word: str) -> None:
        """Forget the id of `word`; `find` reads it again."""
        self._ids.pop(word, None)
