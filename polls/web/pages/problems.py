"""Errors as responses: an HTML page, or JSON (RFC 9457) for clients that prefer it."""

import json
import logging
import traceback
from dataclasses import dataclass, replace
from http import HTTPStatus

from aiohttp import hdrs, web

from polls.domain import errors
from polls.web.http.forms import MalformedForm
from polls.web.http.limits import TooManyWebSockets
from polls.web.http.negotiation import preferences
from polls.web.http.request_ids import request_id
from polls.web.http.same_origin import CrossSiteRequest
from polls.web.http.secret_paths import has_secret_path, path_for_logs
from polls.web.keys import CONFIG
from polls.web.pages.ballot_faults import describe_fault
from polls.web.pages.languages import Language
from polls.web.pages.rendering import VARY, language_of, render
from polls.web.pages.session import ACCOUNT

logger = logging.getLogger(__name__)

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
    errors.PollHidden: Problem(
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


def error_response(request: web.Request, error: Exception, *, slug: str | None = None) -> web.Response:
    """Return the response to a request that failed with `error`. Its page offers the poll `slug`, if given.

    Server errors are logged with their traceback, which the page shows only in development.
    """
    language = language_of(request)
    problem = describe_error(error, language)
    if isinstance(error, errors.PollNotFound) and is_in_admin(request):  # which shows unpublished polls, too
        problem = replace(problem, detail=language.gettext("This poll doesn't exist. It may have been deleted."))
    if problem.status == HTTPStatus.UNAUTHORIZED and not wants_json(request):
        return _redirect_to_sign_in(request)
    if isinstance(error, errors.PollsUnavailable):
        reason = " ".join(str(error.__cause__).split()) or type(error.__cause__).__name__
        logger.warning("the database can't be used: %s", reason)
    elif problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR and type(error) not in _PROBLEMS:
        logger.error("%s %s failed", request.method, path_for_logs(request), exc_info=error)
    if isinstance(error, ResultsHidden):
        slug = error.slug
    response = _json(request, problem) if wants_json(request) else _page(request, problem, error, slug)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = f"{VARY}, Accept"
    if isinstance(error, web.HTTPException):  # such as Allow of 405; Content-Type would be that of aiohttp's own text
        response.headers.update({name: error.headers[name] for name in error.headers if name != hdrs.CONTENT_TYPE})
    if problem.retry_after is not None:
        response.headers["Retry-After"] = str(problem.retry_after)
    if not request.content.is_eof():
        _discard_body(request, response)
    return response


def _discard_body(request: web.Request, response: web.Response) -> None:
    """Close the connection after the response, and parse nothing more of a body that was refused.

    aiohttp goes on receiving for LINGERING_TIME, so that the client reads the response before the connection is closed.
    """
    response.force_close()
    request.protocol.close()


def wants_json(request: web.Request) -> bool:
    """Return whether the client prefers JSON to HTML, by its Accept header."""
    weights = preferences(request.headers.get("Accept", ""))
    json_weight = max(weights.get("application/json", 0), weights.get("application/problem+json", 0))
    return json_weight > weights.get("text/html", 0)


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
        case errors.TooManyVoters(seconds=seconds):
            detail = language.ngettext(
                "Many people have just voted from your network. Your vote was not counted. Try again in a second.",
                "Many people have just voted from your network. Your vote was not counted. "
                "Try again in %(seconds)s seconds.",
                seconds,
            )
            return Problem(429, _("Vote not counted"), detail % {"seconds": language.number(seconds)}, seconds)
        case errors.TooManyPolls(seconds=seconds):
            detail = language.ngettext(
                "Many questions have just been asked here. Yours was not saved. Try again in a minute.",
                "Many questions have just been asked here. Yours was not saved. Try again in %(minutes)s minutes.",
                minutes := -(-seconds // 60),
            )
            return Problem(429, _("Too many questions"), detail % {"minutes": language.number(minutes)}, seconds)
        case errors.TooManyAttempts(seconds=seconds):
            detail = language.ngettext(
                "Too many attempts. Try again in a minute.",
                "Too many attempts. Try again in %(minutes)s minutes.",
                minutes := -(-seconds // 60),
            )
            return Problem(429, _("Too many attempts"), detail % {"minutes": language.number(minutes)}, seconds)
    problem = _PROBLEMS.get(type(error)) or _problem_by_status(error)
    return replace(problem, title=_(problem.title), detail=_(problem.detail))


def _problem_by_status(error: Exception) -> Problem:
    status = error.status if isinstance(error, web.HTTPException) else 500
    fallback = _INVALID_REQUEST if status < HTTPStatus.INTERNAL_SERVER_ERROR else _SERVER_ERROR
    return Problem(status, *_MESSAGES_BY_STATUS.get(status, fallback))


def _redirect_to_sign_in(request: web.Request) -> web.Response:
    may_return = request.method in {"GET", "HEAD"} and not has_secret_path(request)
    query = {"next": str(request.rel_url)} if may_return else {}
    url = str(request.app.router["sign_in"].url_for().with_query(query))
    return web.Response(status=303, headers={"Location": url, "Cache-Control": "no-store"})


def _json(request: web.Request, problem: Problem) -> web.Response:
    members = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "request_id": request_id(),
    }
    return web.Response(
        status=problem.status,
        body=json.dumps(members, ensure_ascii=False).encode(),
        content_type="application/problem+json",
        headers={"Content-Language": language_of(request).tag},
    )


def is_in_admin(request: web.Request) -> bool:
    """Return whether the path of `request` is one of the admin's, whether or not there is such a page."""
    return request.rel_url.raw_path.startswith(request.app.router["admin"].canonical)


def _page(request: web.Request, problem: Problem, error: Exception, slug: str | None) -> web.Response:
    details = "".join(traceback.format_exception(error)) if request.app[CONFIG].development else None
    is_read = request.method in {"GET", "HEAD"}
    # After a POST, the language links of the page lead to the index: the URL of the form may answer no GET.
    here = {} if is_read else {"here": str(request.app.router["index"].url_for())}
    try:
        return render(
            request,
            "error.html",
            status=problem.status,
            problem=problem,
            slug=slug,
            is_retryable=is_read and problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR,
            is_in_admin=is_in_admin(request),
            account=request.get(ACCOUNT),
            traceback=details,
            **here,
        )
    except Exception:
        # A template that the operator has overridden may be broken: respond with plain text.
        logger.exception("the error page can't be rendered")
        return web.Response(status=problem.status, text=f"{problem.title}\n\n{problem.detail}\n\n{request_id()}\n")
