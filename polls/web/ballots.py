"""Voting."""

from aiohttp import web

from polls.domain.errors import NothingChosen
from polls.storage import ballots, questions
from polls.web.errors import wants_json, wording
from polls.web.forms import chosen, read_form
from polls.web.keys import ENGINE
from polls.web.templating import language_of, render
from polls.web.view import PollView


class VoteView(PollView):
    """A ballot is cast here; there is nothing to see."""

    async def post(self) -> web.Response:
        engine = self.request.app[ENGINE]
        form = await read_form(self.request)
        try:
            await ballots.count(engine, self.question_id, chosen(form, self.question_id))
        except NothingChosen as error:
            # A poll that is not there is said before a choice that is not.
            poll = await questions.find(engine, self.question_id)
            if wants_json(self.request):
                raise
            return render(
                self.request,
                "detail.html",
                status=web.HTTPBadRequest.status_code,
                poll=poll,
                error=wording(error, language_of(self.request)).detail,
                here=self.url("poll", address=self.address),
            )
        # Returned, not raised: the same answer for a third less work.
        return web.Response(
            status=web.HTTPSeeOther.status_code,
            headers={"Location": self.url("results", address=self.address)},
        )
