"""What our views have in common."""

from collections.abc import Awaitable, Callable, Generator, Hashable, Mapping
from typing import Any, ClassVar

from aiohttp import hdrs, web

from polls.domain.visibility import VisiblePoll, visible_to
from polls.web.http.page_cache import FOR_NOW, FOR_ONE, RENDERED_PAGES, Page
from polls.web.http.security_headers import RESPONSE_HEADERS
from polls.web.keys import POLL_CACHE
from polls.web.pages.problems import Problem
from polls.web.pages.rendering import VARY, language_of, markup, render
from polls.web.pages.session import person_of
from polls.web.pages.voter import viewer_of

Method = Callable[[Any], Awaitable[web.StreamResponse]]


class View(web.View):
    """A page as a class: a method for each HTTP method. Where there is GET there is HEAD; what lacks answers 405."""

    _methods: ClassVar[dict[str, Method]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if hasattr(cls, "get"):
            cls.head = cls.get  # type: ignore[attr-defined]
        cls._methods = {name: getattr(cls, name.lower()) for name in hdrs.METH_ALL if hasattr(cls, name.lower())}

    def __await__(self) -> Generator[Any, None, web.StreamResponse]:
        # What aiohttp's own does, without looking the method up by its name at each request.
        method = self._methods.get(self.request.method)
        if method is None:
            self._raise_allowed_methods()
        return self.answer(method).__await__()

    def answer(self, method: Method) -> Awaitable[web.StreamResponse]:
        """What `method`, one of this view's, answers."""
        return method(self)

    def url(self, name: str, **parts: str) -> str:
        """The address of the route called `name`; `parts` are such as need no quoting."""
        # Not url_for(), which quotes the parts and makes a URL of them, just to be made a string again.
        return self.request.app.router[name].canonical.format(**parts)

    def page(
        self,
        template: str,
        source: object,
        *parts: Hashable,
        caching: str,
        context: Callable[[], Mapping[str, object]],
    ) -> web.StreamResponse:
        """The page that `template` makes of `source`, which is never changed: what has changed is another object.

        `parts` are what else the page depends on, besides the visitor's language; `context` is what the template needs.
        """
        request = self.request
        app, language = request.app, language_of(request)
        hardening = app[RESPONSE_HEADERS]
        name = (template, language.tag, caching, *parts)
        page = app[RENDERED_PAGES].get(name, source)
        if page is None:
            headers = {
                "Content-Type": "text/html; charset=utf-8",
                "Content-Language": language.tag,
                "Vary": VARY,
                "Cache-Control": caching,
                **hardening,
            }
            page = Page(markup(app, template, language, **context()), headers)
            app[RENDERED_PAGES].put(name, source, page)
        return page.answer(request)


class AboutPoll(View):
    """A page about the poll that its address names."""

    @property
    def slug(self) -> str:
        """How the address names the poll."""
        return self.request.match_info["slug"]

    @property
    def question_id(self) -> int:
        """The id of the poll's question."""
        return int(self.slug)


class PollView(AboutPoll):
    """A public page about a poll, which comes from memory."""

    async def find(self, *, after: int = 0) -> VisiblePoll:
        """What there is to see of the poll, not before its revision `after`. Raises PollNotFound, PollsUnavailable."""
        request = self.request
        poll = await request.app[POLL_CACHE].find(self.question_id, after=after)
        viewer = viewer_of(request)
        if not poll.is_published:
            # The only public pages that ask who has signed in, and only for who brings the cookie.
            viewer = viewer._replace(person=await person_of(request))
        return visible_to(poll, viewer)

    def caching(self, seen: VisiblePoll) -> str:
        """Who may keep a page of what this visitor sees: nobody, while it is not public."""
        return FOR_ONE if seen.poll.is_published else FOR_NOW

    def form(self, seen: VisiblePoll, *, problem: Problem, marks: frozenset[int] | None = None) -> web.Response:
        """The poll's own page, with what is wrong with the ballot that was sent; `marks` are chosen on it.

        Without `marks` it is what this browser voted for.
        """
        response = render(
            self.request,
            "public/poll.html",
            status=problem.status,
            poll=seen.poll,
            error=problem.detail,
            marks=seen.marks if marks is None else marks,
            has_voted=bool(seen.marks),
            here=self.url("poll", slug=self.slug),
        )
        response.headers["Cache-Control"] = self.caching(seen)
        return response
