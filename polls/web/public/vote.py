"""The view that casts ballots."""

import asyncio

from aiohttp import hdrs, web

from polls.domain.ballot import Ballot, Counted
from polls.domain.errors import InvalidChoice, PollClosed, PollsUnavailable, TooManyVoters, VoteNotStored
from polls.domain.visibility import visible_to
from polls.web.http.connections import has_disconnected
from polls.web.http.forms import read_form
from polls.web.http.forwarded import client_network
from polls.web.http.prebuilt import PrebuiltAnswer
from polls.web.keys import BALLOT_BOX, POLL_CACHE, VOTE_RATE_LIMIT
from polls.web.pages.base import PollView
from polls.web.pages.problems import describe_error, error_response, retry_after, wants_json
from polls.web.pages.rendering import language_of, render
from polls.web.pages.voter import (
    ensure_voter_cookie,
    new_voter_id,
    read_voter_id,
    set_ballot_cookie,
    set_voter_cookie,
    viewer_of,
    voter_key,
)
from polls.web.public.ballot_form import parse_marks

VOTE_REDIRECT = web.AppKey("vote_redirect", PrebuiltAnswer)  # what the responses to all counted votes have in common

_CLIENT_CLOSED_REQUEST = 499  # nginx's status for a client that has disconnected; it is only logged
_FORM_TIMEOUT = 0.9  # seconds to read the poll before the form is shown again


class VoteView(PollView):
    """Cast or change a ballot."""

    async def post(self) -> web.StreamResponse:
        form = await read_form(self.request)
        if has_disconnected(self.request):
            # This process may have stalled, and the voter voted through another process since: this ballot is outdated.
            return web.Response(status=_CLIENT_CLOSED_REQUEST)
        known_id = read_voter_id(self.request)
        voter_id = known_id or new_voter_id()
        marks: tuple[int, ...] = ()
        try:
            marks = parse_marks(form, self.question_id)
            counted = await self._cast(voter_id, marks)
        except (InvalidChoice, PollClosed, VoteNotStored, TooManyVoters) as error:
            return await self._show_form_again(error, voter_id, marks)
        return self._redirect_to_results(counted, marks, None if known_id else voter_id)

    async def _cast(self, voter_id: str, marks: tuple[int, ...]) -> Counted:
        """Cast the ballot. Raises TooManyVoters, and the errors of `BallotBox.cast`."""
        app, question_id = self.request.app, self.question_id
        # Voters whose network is unknown aren't limited: all of them would share one limit.
        if (rate_limit := app[VOTE_RATE_LIMIT]) and (network := client_network(self.request)):
            rate_limit.check(network, voter_id)
        return await app[BALLOT_BOX].cast(Ballot(question_id, voter_key(voter_id, question_id), marks))

    def _redirect_to_results(self, counted: Counted, marks: tuple[int, ...], new_id: str | None) -> web.StreamResponse:
        """Redirect to the results at the ballot's revision or later, so that voters see their vote counted.

        Sets the voter cookie to `new_id` if the browser had none.
        """
        slug = self.slug
        response = self.request.app[VOTE_REDIRECT].answer(self.request)
        response.headers[hdrs.LOCATION] = f"{self.url('results', slug=slug)}?after={counted.revision}"
        if new_id is not None:
            set_voter_cookie(self.request, response, new_id)
        set_ballot_cookie(self.request, response, marks, path=self.url("poll", slug=slug))
        return response

    async def _show_form_again(
        self, error: InvalidChoice | PollClosed | VoteNotStored | TooManyVoters, voter_id: str, marks: tuple[int, ...]
    ) -> web.Response:
        """Return the form with the `error` for which the ballot wasn't counted."""
        if isinstance(error, VoteNotStored | TooManyVoters):
            return self._offer_retry(error, voter_id, marks)
        return await self._explain_refusal(error)

    async def _explain_refusal(self, error: InvalidChoice | PollClosed) -> web.Response:
        """Return the form with the reason why the ballot was refused.

        A missing or closed poll takes precedence over `error`: raises PollNotFound, or shows that the poll is closed.
        Raises the error if the client prefers JSON or the poll can't be read within _FORM_TIMEOUT.
        """
        try:
            async with asyncio.timeout(_FORM_TIMEOUT):
                visible = await self.find()
        except (PollsUnavailable, TimeoutError):
            raise error from None
        if visible.poll.is_closed and visible.poll.question.closes_at:
            error = PollClosed(self.question_id, visible.poll.question.closes_at)
        if wants_json(self.request):
            raise error
        response = self.form_page(visible, problem=describe_error(error, language_of(self.request)))
        ensure_voter_cookie(self.request, response)
        return response

    def _offer_retry(self, error: VoteNotStored | TooManyVoters, voter_id: str, marks: tuple[int, ...]) -> web.Response:
        """Return the form with the same choices selected, for another attempt by the same voter."""
        if wants_json(self.request):
            response = error_response(self.request, error)
        else:
            response = self._retry_page(error, marks)
            response.headers["Cache-Control"] = "no-store"
            response.headers["Retry-After"] = str(retry_after(error))
        set_voter_cookie(self.request, response, voter_id)
        return response

    def _retry_page(self, error: VoteNotStored | TooManyVoters, marks: tuple[int, ...]) -> web.Response:
        """Return the poll's page if the poll is in the cache, else a page with hidden fields for the choices."""
        problem = describe_error(error, language_of(self.request))
        poll = self.request.app[POLL_CACHE].last_known(self.question_id)
        if poll and poll.is_published and not poll.is_closed and poll.offers(*marks):
            visible = visible_to(poll, viewer_of(self.request))
            return self.form_page(visible, problem=problem, marks=frozenset(marks))
        return render(
            self.request,
            "public/not_counted.html",
            status=problem.status,
            problem=problem,
            slug=self.slug,
            marks=marks,
            here=self.url("poll", slug=self.slug),
        )
