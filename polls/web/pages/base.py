"""Base classes of the views."""

from collections.abc import Awaitable, Callable, Generator, Hashable, Mapping
from typing import Any, ClassVar

from aiohttp import hdrs, web

from polls.domain.errors import PollNotFound
from polls.domain.poll import Poll
from polls.domain.visibility import ANONYMOUS, VisiblePoll, visible_to
from polls.web.http import compression
from polls.web.http.page_cache import PRIVATE_NO_CACHE, PRIVATE_NO_STORE, RENDERED_PAGES, Page, RenderedPages
from polls.web.http.parameters import MAX_NUMBER, parse_number
from polls.web.http.security_headers import RESPONSE_HEADERS
from polls.web.keys import POLL_CACHE, SLUG_CACHE
from polls.web.pages.languages import Language
from polls.web.pages.owner import owner_of
from polls.web.pages.rendering import VARY, language_of, markup
from polls.web.pages.session import person_for_links, signed_in_account
from polls.web.pages.voter import viewer_of


class View(web.View):
    """Base of all views: a class with one method for each HTTP method.

    HEAD is answered by `get`. A method that the class doesn't have is answered with 405.
    """

    _methods: ClassVar[dict[str, Callable[[Any], Awaitable[web.StreamResponse]]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if hasattr(cls, "get"):
            cls.head = cls.get  # type: ignore[attr-defined]
        cls._methods = {name: getattr(cls, name.lower()) for name in hdrs.METH_ALL if hasattr(cls, name.lower())}

    def __await__(self) -> Generator[Any, None, web.StreamResponse]:
        return self.respond().__await__()

    def respond(self) -> Awaitable[web.StreamResponse]:
        """Call the method of the request."""
        # aiohttp's own looks the method up by its name at each request, in a coroutine more: with it the CPU time of
        # results from the cache was 5 % higher (69.0 and 65.8 µs, medians of nine rounds in turns).
        method = self._methods.get(self.request.method)
        if method is None:
            self._raise_allowed_methods()
        return method(self)

    def url(self, name: str, **parts: str) -> str:
        """Return the path of the route `name`. `parts` are not quoted, so they must need no quoting."""
        # Not url_for(): it quotes the parts and builds a URL object, only to be converted to a string again.
        return self.request.app.router[name].canonical.format(**parts)

    @property
    def page_number(self) -> int:
        """The number in the query parameter `page`, by default 1. Raises 404 if it isn't one."""
        page = parse_number(self.request.query.get("page", "1"))
        if page is None:
            raise web.HTTPNotFound
        return page

    def cached_page(  # noqa: PLR0913 - what the page depends on
        self,
        template: str,
        source: object,
        *parts: Hashable,
        cache_control: str,
        pages: web.AppKey[RenderedPages] = RENDERED_PAGES,
        compress: bool = False,
        robots: str | None = None,
        context: Callable[[], Mapping[str, object]],
    ) -> web.StreamResponse:
        """Return the page that `template` renders, from the page cache if it was rendered from this `source`.

        `source` must be immutable: it is compared by identity. `parts` are the other things that the page depends on,
        except the language; if a client may choose them, `pages` is VARIANT_PAGES. `context` returns the template's
        variables; it is called only if the page isn't cached.

        Those in VARIANT_PAGES are compressed only if `compress`: never with a voter's choice, on which their compressed
        length would depend. `robots` is for search engines: "noindex".
        """
        request = self.request
        app, language = request.app, language_of(request)
        is_compressed = (compress or pages is RENDERED_PAGES) and compression.accepts_gzip(request)
        key = (template, language.tag, is_compressed, cache_control, *parts)
        page = app[pages].get(key, source)
        if page is None:
            headers = {"Cache-Control": cache_control, **({"X-Robots-Tag": robots} if robots else {})}
            content = markup(app, template, language, **context()).encode()
            page = self._page(content, headers, language, is_compressed=is_compressed)
            app[pages].put(key, source, page)
        return page.answer(request)

    def _page(self, content: bytes, headers: dict[str, str], language: Language, *, is_compressed: bool) -> Page:
        """Return a page of HTML in `language`, with `headers` and those that all pages have."""
        security_headers = self.request.app[RESPONSE_HEADERS]
        headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Language": language.tag,
            "Vary": f"Accept-Encoding, {VARY}",
            **headers,
            **security_headers,
        }
        if is_compressed and len(content) >= compression.MIN_SIZE:
            headers["Content-Encoding"] = "gzip"
            content = compression.compress(content)
        return Page(content, headers)


class NumberedPollView(View):
    """Base of the views whose path contains a poll's id."""

    @property
    def question_id(self) -> int:
        """The id of the poll's question. Raises PollNotFound for a number that is too great for an id."""
        return _id_of(self.request.match_info["id"])


class PollView(View):
    """Base of a poll's public pages, which read it from the poll cache; their path contains the poll's slug."""

    @property
    def slug(self) -> str:
        """The slug in the path: the poll's custom slug, or its id if it has none."""
        return self.request.match_info["slug"]

    async def find(self, *, after: int = 0) -> VisiblePoll:
        """Return what the visitor may see of the poll, at revision `after` or later.

        Raises PollNotFound and PollsUnavailable.
        """
        return await self.visible(await find_poll(self.request.app, self.slug, after=after))

    async def visible(self, poll: Poll) -> VisiblePoll:
        """Return what the visitor may see of `poll`. Raises PollNotFound and PollsUnavailable."""
        request = self.request
        if hdrs.COOKIE not in request.headers:
            return visible_to(poll, ANONYMOUS)
        viewer = viewer_of(request, poll)
        if not poll.is_published:
            account = await signed_in_account(request)
            viewer = viewer._replace(person=account.person if account else owner_of(request, poll))
        elif person := await person_for_links(request) or owner_of(request, poll):
            viewer = viewer._replace(person=person)
        return visible_to(poll, viewer)

    def links(self, visible: VisiblePoll) -> dict[str, object]:
        """Return the template variables that decide which links the header shows."""
        question = visible.poll.question
        if visible.is_admin:
            edit_url = self.url("poll_edit", id=str(question.id))
        else:
            edit_url = self.url("manage", slug=question.slug)
        return {"person": visible.person, "edit_url": edit_url if visible.may_edit else None}

    def robots(self, visible: VisiblePoll) -> str | None:
        """Return what search engines are told about a page that shows `visible`: to leave it out if it isn't listed."""
        return None if visible.poll.question.is_listed else "noindex"

    def cache_control(self, visible: VisiblePoll) -> str:
        """Return the Cache-Control of a page that shows `visible`: no cache may store it before it is published."""
        return PRIVATE_NO_CACHE if visible.poll.is_published else PRIVATE_NO_STORE


async def locate(app: web.Application, slug: str) -> int:
    """Return the id of the poll that may be at `slug`; it is if that is its own slug.

    Raises PollNotFound, PollsUnavailable.
    """
    return _id_of(slug) if slug[0].isdigit() else await app[SLUG_CACHE].find(slug)


async def find_poll(app: web.Application, slug: str, *, after: int = 0) -> Poll:
    """Return the poll at `slug`, at revision `after` or later. Raises PollNotFound, PollsUnavailable."""
    if slug[0].isdigit():
        poll = await app[POLL_CACHE].find(_id_of(slug), after=after)
        if poll.question.custom_slug is None:
            return poll
        raise PollNotFound(slug)
    for _ in range(2):
        poll = await app[POLL_CACHE].find(await app[SLUG_CACHE].find(slug), after=after)
        if poll.question.custom_slug == slug:
            return poll
        app[SLUG_CACHE].invalidate(slug)  # it may be another poll's by now
    raise PollNotFound(slug)


def _id_of(number: str) -> int:
    question_id = int(number)
    if question_id > MAX_NUMBER:
        raise PollNotFound(question_id)
    return question_id
