"""The view that casts ballots."""

import asyncio
import select
from contextlib import suppress

from aiohttp import hdrs, web

from polls.domain.ballot import Ballot, Counted
from polls.domain.errors import (
    InvalidBallot,
    PollClosed,
    PollNotFound,
    PollsUnavailable,
    TooManyVoters,
    VoteNotStored,
    VotingBroken,
)
from polls.domain.methods import method_of
from polls.domain.poll import Poll
from polls.domain.visibility import Role, Viewer, VisiblePoll, hidden_from, visible_to
from polls.web.http.cookies import CookieSetter
from polls.web.http.forms import read_form
from polls.web.http.forwarded import client_network
from polls.web.http.prebuilt import PrebuiltAnswer
from polls.web.keys import BALLOT_BOX, POLL_CACHE, SLUG_CACHE, VOTE_RATE_LIMIT
from polls.web.pages.base import PollView, find_poll, locate
from polls.web.pages.error_responses import error_response, wants_json
from polls.web.pages.flash import Flash, set_flash
from polls.web.pages.problems import Problem, describe_error
from polls.web.pages.rendering import language_of, render
from polls.web.pages.voter import (
    add_to_voted_cookie,
    new_voter_id,
    read_voter_id,
    set_ballot_cookie,
    set_voter_cookie,
    viewer_of,
    voted_polls,
    voter_key,
)
from polls.web.public.ballot_form import BallotForm, parse_ballot, read_ballot_form

VOTE_REDIRECT = web.AppKey("vote_redirect", PrebuiltAnswer)  # what the responses to all counted votes have in common

_CLIENT_CLOSED_REQUEST = 499  # nginx's status for a client that has disconnected; it is only logged
_FORM_TIMEOUT = 0.9  # seconds to read the poll before the form is shown again, or after the ballot is counted

# Linux reports a client that only closed its sending side, too; other systems report POLLHUP alone, unrequested.
_DISCONNECTED = getattr(select, "POLLRDHUP", select.POLLHUP)


class VoteView(PollView):
    """Cast or change a ballot; a GET, as after a click into the address bar, leads to the poll."""

    async def get(self) -> web.StreamResponse:
        await self.find()
        return web.Response(status=303, headers={"Location": self.url("poll", slug=self.slug)})

    async def post(self) -> web.StreamResponse:
        form = read_ballot_form(await read_form(self.request))
        if _has_disconnected(self.request):
            # This process may have stalled, and the voter voted through another process since: this ballot is outdated.
            return web.Response(status=_CLIENT_CLOSED_REQUEST)
        app, slug = self.request.app, self.slug
        known_id = read_voter_id(self.request)
        voter_id = known_id or new_voter_id()
        question_id = counted = None
        try:
            question_id = await locate(app, slug)
            marks, points = parse_ballot(form, question_id)
            # Voters whose network is unknown aren't limited: all of them would share one limit.
            if (rate_limit := app[VOTE_RATE_LIMIT]) and (network := client_network(self.request)):
                rate_limit.check(network, voter_id)
            custom_slug = None if slug[0].isdigit() else slug
            ballot = Ballot(question_id, voter_key(voter_id, question_id), marks, points, custom_slug)
            counted = await app[BALLOT_BOX].cast(ballot)
            url = await self._url_after(counted) if counted.signing_key else self._results_url(counted)
            response = app[VOTE_REDIRECT].answer(self.request)
            response.headers[hdrs.LOCATION] = url
        except PollNotFound:
            app[SLUG_CACHE].invalidate(slug)  # it may be another poll's by now
            raise
        except (InvalidBallot, PollClosed) as error:
            response = await self._explain_refusal(error, form)
        except (VoteNotStored, VotingBroken, TooManyVoters) as error:
            response = self._offer_retry(error, form, question_id)
        except PollsUnavailable:
            response = self._offer_retry(VoteNotStored(), form, question_id)
        cookies = CookieSetter(self.request, response)
        if known_id is None:
            set_voter_cookie(cookies, voter_id)
        if counted:
            self._remember(ballot, counted, voter_id, cookies)
        return response

    def _results_url(self, counted: Counted) -> str:
        """Return the URL of the results at the ballot's revision or later, so that voters see their vote counted."""
        return f"{self.url('results', slug=self.slug)}?after={counted.revision}"

    async def _url_after(self, counted: Counted) -> str:
        """Return the URL of the results, or that of the voter's ballot if they are hidden from voters.

        It is decided with this ballot counted, which may be the last one that the results needed.
        """
        with suppress(PollNotFound, PollsUnavailable, TimeoutError):
            async with asyncio.timeout(_FORM_TIMEOUT):
                poll = await find_poll(self.request.app, self.slug, after=counted.revision)
                if not hidden_from(poll, Role.VOTER):
                    return self._results_url(counted)
        return self.url("ballot", slug=self.slug)

    def _remember(self, ballot: Ballot, counted: Counted, voter_id: str, cookies: CookieSetter) -> None:
        """Set the cookies that show the ballot on pages, and tell that it was counted, on the page that comes next.

        They tell that the vote has changed if the browser's ballot cookie has other marks or points.
        """
        request, path = self.request, self.url("poll", slug=self.slug)
        if poll := request.app[POLL_CACHE].last_known(ballot.question_id):
            ballot = method_of(poll).stored(ballot)
        set_ballot_cookie(cookies, ballot, voter_id, counted.signing_key, path=path)
        add_to_voted_cookie(cookies, voted_polls(request), ballot.question_id)
        kind = "changed" if _has_changed(ballot, viewer_of(request, poll), poll) else "counted"
        set_flash(cookies, Flash(kind, counted.revision), path=path)

    async def _explain_refusal(self, error: InvalidBallot | PollClosed, form: BallotForm) -> web.Response:
        """Return the form as it was sent, with the reason why the ballot was refused.

        A missing or closed poll takes precedence over `error`: raises PollNotFound, or shows that the poll is closed.
        Raises the error if the client prefers JSON or the poll can't be read within _FORM_TIMEOUT.
        """
        try:
            async with asyncio.timeout(_FORM_TIMEOUT):
                visible = await self.find()
        except (PollsUnavailable, TimeoutError):
            raise error from None
        if visible.poll.is_closed and visible.poll.question.closes_at:
            error = PollClosed(error.question_id, visible.poll.question.closes_at, has_voted=bool(visible.marks))
        elif isinstance(error, InvalidBallot):
            error = InvalidBallot(error.question_id, error.fault, visible.poll.settings)
        if wants_json(self.request):
            raise error
        problem = describe_error(error, language_of(self.request))
        return self._form(visible, problem, form)

    def _offer_retry(
        self, error: VoteNotStored | VotingBroken | TooManyVoters, form: BallotForm, question_id: int | None
    ) -> web.Response:
        """Return a form filled in as it was sent, for another attempt by the same voter.

        It is the poll's page if the poll is in the cache, else a page with hidden fields.
        """
        if wants_json(self.request):
            return error_response(self.request, error)
        problem = describe_error(error, language_of(self.request))
        poll = self.request.app[POLL_CACHE].last_known(question_id) if question_id else None
        if poll and poll.is_published and not poll.is_closed and poll.offers(*form.marks):
            response = self._form(visible_to(poll, viewer_of(self.request, poll)), problem, form)
        else:
            response = render(
                self.request,
                "public/not_counted.html",
                status=problem.status,
                problem=problem,
                slug=self.slug,
                fields=form.fields,
                here=self.url("poll", slug=self.slug),
            )
        response.headers["Cache-Control"] = "no-store"
        if problem.retry_after is not None:
            response.headers["Retry-After"] = str(problem.retry_after)
        return response

    def _form(self, visible: VisiblePoll, problem: Problem, form: BallotForm) -> web.Response:
        """Return the poll's page with the `problem` of the ballot that was sent, and its fields as they were sent.

        If that ballot can't be shown in this poll, the voter's earlier one is.
        """
        poll = visible.poll
        marks = form.marks & {choice.id for choice in poll.choices}
        is_shown = len(marks) == 1 or not method_of(poll).HAS_ONE_MARK
        response = render(
            self.request,
            "public/poll.html",
            status=problem.status,
            poll=poll,
            error=problem.detail,
            marks=marks if is_shown else visible.marks,
            points=form.points if is_shown else dict(visible.points),
            has_voted=bool(visible.marks),
            here=self.url("poll", slug=self.slug),
        )
        response.headers["Cache-Control"] = self.cache_control(visible)
        return response


def _has_changed(ballot: Ballot, earlier: Viewer, poll: Poll | None) -> bool:
    """Return whether `ballot` differs from the earlier one, which counts only while all its choices are offered."""
    if not earlier.marks or (poll and not poll.offers(*earlier.marks)):
        return False
    points = frozenset(zip(ballot.marks, ballot.points, strict=True)) if ballot.points else frozenset()
    return (earlier.marks, earlier.points) != (frozenset(ballot.marks), points)


def _has_disconnected(request: web.Request) -> bool:
    """Return whether the client has closed its connection; asks the kernel, which may know before the event loop."""
    transport = request.transport
    if transport is None or transport.is_closing():
        return True
    connection = select.poll()
    connection.register(transport.get_extra_info("socket"), _DISCONNECTED)
    return bool(connection.poll(0))
