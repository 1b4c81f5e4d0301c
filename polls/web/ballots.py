"""Voting."""

import asyncio

from aiohttp import web

from polls.domain.errors import NothingChosen, PollClosed, PollsUnavailable, VoteNotStored
from polls.domain.poll import Ballot
from polls.storage.ballots import Refusal
from polls.web.errors import RETRY_AFTER, respond, wants_json, wording
from polls.web.forms import marked, read_form
from polls.web.keys import BALLOT_BOX, SHOWN
from polls.web.templating import language_of, render
from polls.web.view import PollView
from polls.web.voter import introduce_voter, known_voter, name_in_poll, new_voter, remember_marks, remember_voter

_PATIENCE = 0.9  # seconds that a voter who has waited already waits for the form to be shown again


class VoteView(PollView):
    """A ballot is cast here; there is nothing to see."""

    async def post(self) -> web.Response:
        request, question_id = self.request, self.question_id
        form = await read_form(request)
        try:
            marks = marked(form, question_id)
        except NothingChosen as error:
            return await self._ask_again(error)
        known = known_voter(request)
        voter = known or new_voter()
        ballot = Ballot(question_id, name_in_poll(voter, question_id), marks)
        refusal: Refusal | None
        try:
            (refusal,) = await request.app[BALLOT_BOX].cast([ballot])
        except VoteNotStored as error:
            refusal = error
        if isinstance(refusal, VoteNotStored):
            response = self._offer_another_try(refusal, marks)
            remember_voter(request, response, voter)
            return response
        if isinstance(refusal, NothingChosen | PollClosed):
            return await self._ask_again(refusal)
        if refusal is not None:
            raise refusal
        address = self.address
        # Returned, not raised: the same answer for a third less work.
        response = web.Response(status=303, headers={"Location": self.url("results", address=address)})
        if known is None:
            remember_voter(request, response, voter)
        remember_marks(request, response, marks, path=self.url("poll", address=address))
        return response

    async def _ask_again(self, refusal: NothingChosen | PollClosed) -> web.Response:
        """Show the form again, with the reason why this ballot was refused."""
        # A poll that is not there, or closed, is said before a choice that is not.
        try:
            async with asyncio.timeout(_PATIENCE):
                poll = await self.find()
        except (PollsUnavailable, TimeoutError):
            raise refusal from None
        if poll.is_closed and poll.question.closes_at:
            refusal = PollClosed(self.question_id, poll.question.closes_at)
        if wants_json(self.request):
            raise refusal
        response = self.form(poll, problem=wording(refusal, language_of(self.request)))
        introduce_voter(self.request, response)
        return response

    def _offer_another_try(self, error: VoteNotStored, marks: tuple[int, ...]) -> web.Response:
        """Show the form again as the voter left it, or what is left of it while the poll can't be read."""
        if wants_json(self.request):
            return respond(self.request, error)
        problem = wording(error, language_of(self.request))
        poll = self.request.app[SHOWN].get(self.question_id)
        if poll and not poll.is_closed and poll.offers(*marks):
            response = self.form(poll, problem=problem, marks=frozenset(marks))
        else:
            response = render(
                self.request,
                "not_counted.html",
                status=problem.status,
                problem=problem,
                address=self.address,
                marks=marks,
                here=self.url("poll", address=self.address),
            )
        response.headers["Cache-Control"] = "no-store"
        response.headers["Retry-After"] = str(RETRY_AFTER)
        return response
