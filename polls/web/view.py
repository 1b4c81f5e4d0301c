"""What our views have in common."""

from aiohttp import web

from polls.domain.poll import Poll
from polls.storage import questions
from polls.web.errors import Problem
from polls.web.keys import ENGINE, SHOWN
from polls.web.templating import render
from polls.web.voter import remembered_marks

_MOST_SHOWN = 1000  # polls that are remembered


class View(web.View):
    """A page as a class: a method for each HTTP method. Where there is GET there is HEAD; what lacks answers 405."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if hasattr(cls, "get"):
            cls.head = cls.get  # type: ignore[attr-defined]

    def url(self, name: str, **parts: str) -> str:
        """The address of the route called `name`; `parts` are such as need no quoting."""
        # Not url_for(), which quotes the parts and makes a URL of them, just to be made a string again.
        return self.request.app.router[name].canonical.format(**parts)


class PollView(View):
    """A page about the poll that its address names."""

    @property
    def address(self) -> str:
        """How the address names the poll."""
        return self.request.match_info["address"]

    @property
    def question_id(self) -> int:
        """The id of the poll's question."""
        return int(self.address)

    async def find(self) -> Poll:
        """The poll, remembered for when it can't be read. Raises PollNotFound."""
        poll = await questions.find(self.request.app[ENGINE], self.question_id)
        shown = self.request.app[SHOWN]
        shown.pop(self.question_id, None)
        shown[self.question_id] = poll
        if len(shown) > _MOST_SHOWN:
            del shown[next(iter(shown))]
        return poll

    def form(self, poll: Poll, *, problem: Problem | None = None, marks: frozenset[int] | None = None) -> web.Response:
        """The poll's own page, a form to vote with, on which `marks` are chosen: else what this browser voted for.

        `problem` tells why the ballot that was sent is not counted.
        """
        mine = remembered_marks(self.request, poll)
        return render(
            self.request,
            "detail.html",
            status=problem.status if problem else web.HTTPOk.status_code,
            poll=poll,
            error=problem.detail if problem else None,
            marks=mine if marks is None else marks,
            has_voted=bool(mine),
            **({"here": self.url("poll", address=self.address)} if problem else {}),
        )
