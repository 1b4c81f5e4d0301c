"""The public pages: the list of polls, a poll, its results."""

from aiohttp import web

from polls.domain.tally import tally
from polls.storage import questions
from polls.web.keys import ENGINE
from polls.web.numbers import number
from polls.web.templating import render
from polls.web.view import PollView, View
from polls.web.voter import introduce_voter, remembered_marks

PAGE_SIZE = 5


class IndexView(View):
    """The latest polls, newest first, five at a time."""

    async def get(self) -> web.Response:
        page = self._page()
        # One more than fits tells whether there are older ones.
        found = await questions.latest(self.request.app[ENGINE], skip=(page - 1) * PAGE_SIZE, limit=PAGE_SIZE + 1)
        if page > 1 and not found:
            raise web.HTTPNotFound
        return render(
            self.request,
            "index.html",
            questions=found[:PAGE_SIZE],
            page=page,
            has_older=len(found) > PAGE_SIZE,
        )

    def _page(self) -> int:
        page = number(self.request.query.get("page", "1"))
        if page is None:
            raise web.HTTPNotFound
        return page


class DetailView(PollView):
    """A poll, as a form to vote with."""

    async def get(self) -> web.Response:
        response = self.form(await self.find())
        introduce_voter(self.request, response)
        return response


class ResultsView(PollView):
    """How a poll stands."""

    async def get(self) -> web.Response:
        poll = await self.find()
        marks = remembered_marks(self.request, poll)
        return render(self.request, "results.html", poll=poll, tally=tally(poll.choices), marks=marks)
