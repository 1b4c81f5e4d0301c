"""The list of polls."""

from collections.abc import Sequence

from aiohttp import hdrs, web
from yarl import URL

from polls.domain.draft import replace_unprintable
from polls.domain.poll import State
from polls.domain.poll_list import ListPage, ListQuery
from polls.web.http.page_cache import PRIVATE_NO_CACHE, RENDERED_PAGES, SHARED_ONE_SECOND, VARIANT_PAGES
from polls.web.keys import POLL_CACHE
from polls.web.pages.base import View
from polls.web.pages.session import person_for_links
from polls.web.pages.voter import voted_polls

_FIRST_PAGE = ListQuery()
_STATES = {"": None, "open": State.OPEN, "closed": State.CLOSED}
_MAX_LENGTH = 100  # characters of the search words


class IndexView(View):
    """The list of published polls, newest first, page by page: all, or those that are open, closed or searched for."""

    async def get(self) -> web.StreamResponse:
        request = self.request
        query = self._query() if request.rel_url.raw_query_string else _FIRST_PAGE
        page = await request.app[POLL_CACHE].latest(query)
        if query.page > 1 and not page.polls:
            raise web.HTTPNotFound
        voted, person = frozenset[int](), None
        if hdrs.COOKIE in request.headers:
            voted = voted.union(voted_polls(request)).intersection(poll.question.id for poll in page.polls)
            person = await person_for_links(request)
        may_create_polls = person is not None and person.may_create_polls
        variant = (voted, person is not None, may_create_polls) if voted or person else ()
        return self.cached_page(
            "public/index.html",
            page,
            query,
            variant,
            cache_control=PRIVATE_NO_CACHE if variant else SHARED_ONE_SECOND,
            pages=VARIANT_PAGES if variant or query.words else RENDERED_PAGES,
            context=lambda: {
                "query": query,
                "page": page,
                "page_numbers": page_numbers(query.page, page),
                "voted": voted,
                "list_url": self._list_url,
                "here": self._list_url(query),
                "person": person,
            },
        )

    def _query(self) -> ListQuery:
        """Return the query in the URL. Raises 404 if its page or state is invalid."""
        parameters = self.request.query
        state = parameters.get("state", "")
        if state not in _STATES:
            raise web.HTTPNotFound
        words = replace_unprintable(parameters.get("q", "")[:_MAX_LENGTH])
        return ListQuery(_STATES[state], " ".join(words.split()), self.page_number)

    def _list_url(self, query: ListQuery) -> str:
        parameters = {"q": query.words, "state": query.state or "", "page": str(query.page) if query.page > 1 else ""}
        return str(URL(self.url("index")).with_query({name: value for name, value in parameters.items() if value}))


def page_numbers(current: int, page: ListPage) -> Sequence[int | None]:
    """Return the numbers of pages to link to: the first, those around `current`, the last. None stands for a gap."""
    last = page.last or current + page.has_older
    shown = sorted({1, last, *range(max(1, current - 1), min(last, current + 1) + 1)})
    numbers: list[int | None] = []
    for before, number in zip([0, *shown], shown, strict=False):
        if number == before + 2:
            numbers.append(before + 1)  # a gap of one page is no shorter than its number
        elif number > before + 2:
            numbers.append(None)
        numbers.append(number)
    return numbers if page.last or not page.has_older else [*numbers, None]
