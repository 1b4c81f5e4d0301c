"""A cache of the ids of polls by their custom slugs, so that a vote needs no query to find its poll."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from polls.domain.errors import PollNotFound


class SlugCache:
    """The ids of at most `max_slugs` polls by their custom slugs, read with `find_id` on first use.

    Only slugs that exist are kept. An id is outdated if another poll has got the slug since: callers compare the slug
    with the poll's own, and call `invalidate` if it differs.
    """

    def __init__(self, find_id: Callable[[str], Awaitable[int | None]], *, max_slugs: int) -> None:
        self._find_id = find_id
        self._max_slugs = max_slugs
        self._ids: OrderedDict[str, int] = OrderedDict()  # least recently used first

    async def find(self, custom_slug: str) -> int:
        """Return the id of the poll with this custom slug. Raises PollNotFound, PollsUnavailable."""
        question_id = self._ids.get(custom_slug)
        if question_id is None:
            question_id = await self._find_id(custom_slug)
            if question_id is None:
                raise PollNotFound(custom_slug)
            self._ids[custom_slug] = question_id
            if len(self._ids) > self._max_slugs:
                self._ids.popitem(last=False)
        else:
            self._ids.move_to_end(custom_slug)
        return question_id

    def invalidate(self, custom_slug: str) -> None:
        """Drop the id of `custom_slug`; `find` reads it again."""
        self._ids.pop(custom_slug, None)
