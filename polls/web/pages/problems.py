"""Errors in words for visitors."""

from dataclasses import dataclass, replace
from http import HTTPStatus

from aiohttp import web

from polls.domain import errors
from polls.web.http.forms import MalformedForm
from polls.web.http.limits import TooManyWebSockets
from polls.web.http.same_origin import CrossSiteRequest
from polls.web.pages.ballot_faults import describe_fault
from polls.web.pages.languages import Language

_RETRY_AFTER = 3  # seconds, when the database is unreachable or the queue of ballots is full
_WEBSOCKETS_RETRY_AFTER = 30  # seconds, when this process has reached its limit of WebSockets


class CookieNotKept(Exception):
    """A browser that has just signed in sends no session cookie. `url` is the public URL, or None."""

    def __init__(self, url: str | None) -> None:
        super().__init__()
        self.url = url


class ResultsHidden(Exception):
    """Results of the poll `slug` that are hidden from the viewer; `reason` says why, in the viewer's language."""

    def __init__(self, slug: str, reason: str) -> None:
        super().__init__()
        self.slug = slug
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as visitors see it: an HTTP status, a headline, and a sentence that says what to do next.

    `retry_after` are the seconds after which the same request may succeed, None if it won't.
    """

    status: int
    title: str
    detail: str
    retry_after: int | None = None


N_ = str  # marks messages, which describe_error() translates

_PROBLEMS: dict[type[Exception], Problem] = {
    errors.PollNotFound: Problem(404, N_("Poll not found"), N_("This poll doesn't exist or isn't published yet.")),
    errors.PollTakenDown: Problem(
        410, N_("Poll taken down"), N_("The people who run this site have taken this poll down.")
    ),
    errors.AccessKeyRequired: Problem(
        403,
        N_("Access link needed"),
        N_("Only the poll's owner can do this. Open the access link that you kept when you made the poll."),
    ),
    errors.InvalidAccessKey: Problem(
        404,
        N_("This link doesn't work"),
        N_("It may be incomplete, the poll may have been deleted, or a newer link may have replaced it."),
    ),
    errors.VoteNotStored: Problem(
        503, N_("Vote not counted"), N_("Your vote was not counted. Try again in a few seconds."), _RETRY_AFTER
    ),
    errors.VotingBroken: Problem(
        503,
        N_("Vote not counted"),
        N_("This poll can't take votes at the moment. Its owner has been told. Your vote was not counted."),
    ),
    errors.TooManySearches: Problem(
        503,
        N_("Temporarily unavailable"),
        N_("Too many people are searching. Try again in a few seconds."),
        _RETRY_AFTER,
    ),
    errors.TooManyExports: Problem(
        503,
        N_("Temporarily unavailable"),
        N_("Too many people are downloading ballots. Try again in a few seconds."),
        _RETRY_AFTER,
    ),
    errors.ExportTooLarge: Problem(
        403,
        N_("Too many ballots"),
        N_("This poll has too many different ballots to download. You can download its results."),
    ),
    TooManyWebSockets: Problem(
        503,
        N_("Live updates unavailable"),
        N_("Too many people are watching. Reload the page to see the latest results."),
        _WEBSOCKETS_RETRY_AFTER,
    ),
    errors.PollsUnavailable: Problem(
        503,
        N_("Temporarily unavailable"),
        N_("The polls can't be loaded right now. Try again in a few seconds."),
        _RETRY_AFTER,
    ),
    MalformedForm: Problem(
        400,
        N_("Invalid form"),
        N_("The form couldn't be read. Nothing was saved. Reload the page and try again."),
    ),
    CrossSiteRequest: Problem(
        403,
        N_("Request blocked"),
        N_("This request came from another website. Nothing was saved. Open the page here and try again."),
    ),
    errors.SignInFailed: Problem(400, N_("Sign-in failed"), N_("Wrong user name or password.")),
    errors.AccountNotFound: Problem(404, N_("User not found"), N_("This user doesn't exist.")),
}
_MESSAGES_BY_STATUS = {
    401: (N_("Sign-in required"), N_("Sign in to continue.")),
    403: (N_("Access denied"), N_("You don't have access to this page.")),
    404: (N_("Page not found"), N_("This page doesn't exist.")),
    405: (N_("Not allowed"), N_("This page doesn't support this action.")),
    408: (N_("Request timed out"), N_("Sending the form took too long. Nothing was saved. Try again.")),
    413: (N_("Form too large"), N_("The form is too large. Nothing was saved.")),
    415: (N_("Compressed form"), N_("Send the form uncompressed. Nothing was saved.")),
    431: (
        N_("Request too large"),
        N_("Your browser sent too much data about itself. Delete the cookies of this site and try again."),
    ),
}
_INVALID_REQUEST = N_("Invalid request"), N_("This request is not valid.")
_SERVER_ERROR = N_("Something went wrong"), N_("The error is on our side and has been logged. Try again in a moment.")


def describe_error(error: Exception, language: Language) -> Problem:
    """Return `error` as a problem, worded in `language`."""
    _ = language.gettext
    match error:
        case errors.InvalidBallot():
            return Problem(*describe_fault(error, language))
        case errors.PollClosed(at=at, has_voted=has_voted):
            if has_voted:
                closed = _("Your vote was not changed: this poll closed on %(date)s at %(time)s.")
            else:
                closed = _("Your vote was not counted: this poll closed on %(date)s at %(time)s.")
            return Problem(403, _("Poll closed"), closed % {"date": language.date(at), "time": language.time(at)})
        case ResultsHidden(reason=reason):
            return Problem(403, _("Results hidden"), reason)
        case CookieNotKept(url=None):
            detail = _(
                "Your browser didn't keep the cookie that signs you in. Allow cookies for this site and try again."
            )
            return Problem(400, _("Sign-in failed"), detail)
        case CookieNotKept(url=url):
            detail = _("Your browser didn't keep the cookie that signs you in. Allow cookies and sign in at %(url)s.")
            return Problem(400, _("Sign-in failed"), detail % {"url": url})
        case errors.TooManyVoters() | errors.TooManyPolls() | errors.TooManyAttempts():
            return _describe_limit(error, language)
    problem = _PROBLEMS.get(type(error)) or _problem_by_status(error)
    return replace(problem, title=_(problem.title), detail=_(problem.detail))


def is_expected(error: Exception) -> bool:
    """Return whether an error has words of its own: it needs no traceback in the log."""
    return type(error) in _PROBLEMS


def _describe_limit(
    error: errors.TooManyVoters | errors.TooManyPolls | errors.TooManyAttempts, language: Language
) -> Problem:
    _, seconds = language.gettext, error.seconds
    minutes = -(-seconds // 60)
    if isinstance(error, errors.TooManyVoters):
        title = _("Vote not counted")
        detail = language.ngettext(
            "Many people have just voted from your network. Your vote was not counted. Try again in a second.",
            "Many people have just voted from your network. Your vote was not counted. "
            "Try again in %(seconds)s seconds.",
            seconds,
        )
    elif isinstance(error, errors.TooManyPolls):
        title = _("Too many questions")
        detail = language.ngettext(
            "Many questions have just been asked here. Yours was not saved. Try again in a minute.",
            "Many questions have just been asked here. Yours was not saved. Try again in %(minutes)s minutes.",
            minutes,
        )
    else:
        title = _("Too many attempts")
        detail = language.ngettext(
            "Too many attempts. Try again in a minute.",
            "Too many attempts. Try again in %(minutes)s minutes.",
            minutes,
        )
    values = {"seconds": language.number(seconds), "minutes": language.number(minutes)}
    return Problem(429, title, detail % values, seconds)


def _problem_by_status(error: Exception) -> Problem:
    status = error.status if isinstance(error, web.HTTPException) else 500
    fallback = _INVALID_REQUEST if status < HTTPStatus.INTERNAL_SERVER_ERROR else _SERVER_ERROR
    return Problem(status, *_MESSAGES_BY_STATUS.get(status, fallback))
