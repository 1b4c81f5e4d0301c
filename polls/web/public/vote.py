"""Voting."""

import asyncio

from aiohttp import hdrs, web

from polls.domain.ballot import Ballot
from polls.domain.errors import NothingChosen, PollClosed, PollsUnavailable, TooManyVoters, VoteNotStored
from polls.domain.visibility import visible_to
from polls.storage.ballots import Outcome
from polls.web.http.connections import has_hung_up
from polls.web.http.forms import read_form
from polls.web.http.forwarded import client_network
from polls.web.http.prebuilt import PrebuiltAnswer
from polls.web.keys import BALLOT_BOX, POLL_CACHE, VOTE_RATE_LIMIT
from polls.web.pages.base import PollView
from polls.web.pages.problems import respond, retry_after, wants_json, wording
from polls.web.pages.rendering import language_of, render
from polls.web.pages.voter import (
    ensure_voter_cookie,
    known_voter,
    new_voter,
    set_ballot_cookie,
    set_voter_cookie,
    viewer_of,
    voter_key,
)
from polls.web.public.ballot_form import parse_marks

VOTE_REDIRECT = web.AppKey("vote_redirect", PrebuiltAnswer)  # the part that is the same in the answers to all voters


_NOBODY_WAITS = 499  # as nginx calls it, and logs alone are told
_PATIENCE = 0.9  # seconds that a voter who has waited already waits for the form to be shown again


class VoteView(PollView):
    """A ballot is cast here; there is nothing to see."""

    async def post(self) -> web.StreamResponse:
        request, question_id = self.request, self.question_id
        form = await read_form(request)
        try:
            marks = parse_marks(form, question_id)
        except NothingChosen as error:
            return await self._ask_again(error)
        if has_hung_up(request):
            # This process may have stood still, and the ballot been cast at another since, and changed there.
            return web.Response(status=_NOBODY_WAITS)
        known = known_voter(request)
        voter = known or new_voter()
        app = request.app
        ballot = Ballot(question_id, voter_key(voter, question_id), marks)
        outcome: Outcome | TooManyVoters
        try:
            # Where there is no address, everybody would be one network.
            if (vote_rate_limit := app[VOTE_RATE_LIMIT]) and (network := client_network(request)):
                vote_rate_limit.check(network, voter)
            (outcome,) = await app[BALLOT_BOX].cast([ballot])
        except (VoteNotStored, TooManyVoters) as error:
            outcome = error
        if isinstance(outcome, VoteNotStored | TooManyVoters):
            response = self._offer_another_try(outcome, marks)
            set_voter_cookie(request, response, voter)
            return response
        if isinstance(outcome, NothingChosen | PollClosed):
            return await self._ask_again(outcome)
        if not isinstance(outcome, int):
            raise outcome
        slug = self.slug
        # The page waits for this revision, whichever process answers: so that voters see their own vote counted.
        results = f"{self.url('results', slug=slug)}?after={outcome}"
        voted = app[VOTE_REDIRECT].answer(request)
        voted.headers[hdrs.LOCATION] = results
        if known is None:
            set_voter_cookie(request, voted, voter)
        set_ballot_cookie(request, voted, marks, path=self.url("poll", slug=slug))
        return voted

    async def _ask_again(self, refusal: NothingChosen | PollClosed) -> web.Response:
        """Show the form again, with the reason why this ballot was refused."""
        # A poll that is not there, or closed, is said before a choice that is not.
        try:
            async with asyncio.timeout(_PATIENCE):
                seen = await self.find()
        except (PollsUnavailable, TimeoutError):
            raise refusal from None
        if seen.poll.is_closed and seen.poll.question.closes_at:
            refusal = PollClosed(self.question_id, seen.poll.question.closes_at)
        if wants_json(self.request):
            raise refusal
        response = self.form(seen, problem=wording(refusal, language_of(self.request)))
        ensure_voter_cookie(self.request, response)
        return response

    def _offer_another_try(self, error: VoteNotStored | TooManyVoters, marks: tuple[int, ...]) -> web.Response:
        """Show the form again as the voter left it, or what is left of it while the poll can't be read."""
        if wants_json(self.request):
            return respond(self.request, error)
        problem = wording(error, language_of(self.request))
        poll = self.request.app[POLL_CACHE].last_known(self.question_id)
        if poll and poll.is_published and not poll.is_closed and poll.offers(*marks):
            response = self.form(visible_to(poll, viewer_of(self.request)), problem=problem, marks=frozenset(marks))
        else:
            response = render(
                self.request,
                "public/not_counted.html",
                status=problem.status,
                problem=problem,
                slug=self.slug,
                marks=marks,
                here=self.url("poll", slug=self.slug),
            )
        response.headers["Cache-Control"] = "no-store"
        response.headers["Retry-After"] = str(retry_after(error))
        return response
