"""Errors as responses: an HTML page, or JSON (RFC 9457) for clients that prefer it."""

import errno
import json
import logging
import traceback
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from polls.domain.errors import (
    AccountNotFound,
    InvalidChoice,
    PollClosed,
    PollNotFound,
    PollsUnavailable,
    SignInFailed,
    TooManyAttempts,
    TooManyVoters,
    VoteNotStored,
)
from polls.web.http.errors import CrossSiteRequest, NotAWebSocket, NotSignedIn, TooManyWebSockets
from polls.web.http.forms import MalformedForm, SlowForm
from polls.web.http.negotiation import preferences
from polls.web.http.request_ids import request_id
from polls.web.keys import CONFIG
from polls.web.pages.languages import Language
from polls.web.pages.rendering import VARY, language_of, render

logger = logging.getLogger(__name__)

RETRY_AFTER = 3  # seconds, when the database is unreachable or the queue of ballots is full
_WEBSOCKETS_RETRY_AFTER = 30  # seconds, when this process has reached its limit of WebSockets


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as visitors see it: an HTTP status, a headline, and a sentence that says what to do next."""

    status: int
    title: str
    detail: str


def error_response(request: web.Request, error: Exception) -> web.Response:
    """Return the response to a request that failed with `error`.

    Server errors are logged with their traceback, which the page shows only in development.
    """
    if isinstance(error, NotSignedIn) and not wants_json(request):
        return _redirect_to_sign_in(request)
    problem = describe_error(error, language_of(request))
    if isinstance(error, PollsUnavailable):
        reason = " ".join(str(error.__cause__).split()) or type(error.__cause__).__name__
        logger.warning("the database can't be used: %s", reason)
    elif problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR and retry_after(error) is None:
        logger.error("%s %s failed", request.method, request.rel_url.raw_path, exc_info=error)
    response = _json(request, problem) if wants_json(request) else _page(request, problem, error)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = f"{VARY}, Accept"
    if isinstance(error, web.HTTPMethodNotAllowed):
        response.headers["Allow"] = error.headers["Allow"]
    if isinstance(error, NotSignedIn):
        response.headers["WWW-Authenticate"] = 'Cookie realm="polls"'
    if isinstance(error, NotAWebSocket):
        response.headers["Upgrade"] = "websocket"
    if seconds := retry_after(error):
        response.headers["Retry-After"] = str(seconds)
    if isinstance(error, SlowForm):
        response.force_close()
    return response


def wants_json(request: web.Request) -> bool:
    """Return whether the client prefers JSON to HTML, by its Accept header."""
    weights = preferences(request.headers.get("Accept", ""))
    json_weight = max(weights.get("application/json", 0), weights.get("application/problem+json", 0))
    return json_weight > weights.get("text/html", 0)


def retry_after(error: Exception) -> int | None:
    """Return the number of seconds after which the same request may succeed, or None if it won't."""
    match error:
        case PollsUnavailable() | VoteNotStored():
            return RETRY_AFTER
        case TooManyWebSockets():
            return _WEBSOCKETS_RETRY_AFTER
        case TooManyAttempts(seconds=seconds) | TooManyVoters(seconds=seconds):
            return seconds
    return None


def describe_error(error: Exception, language: Language) -> Problem:
    """Return `error` as a problem, worded in `language`."""
    return (
        _poll_problem(error, language)
        or _form_problem(error, language)
        or _account_problem(error, language)
        or _status_problem(_status_of(error), language)
    )


def _poll_problem(error: Exception, language: Language) -> Problem | None:
    """Return the problem with reading a poll, watching it or voting in it."""
    _ = language.gettext
    match error:
        case PollNotFound():
            return Problem(404, _("Poll not found"), _("This poll doesn't exist or isn't published yet."))
        case InvalidChoice():
            return Problem(400, _("No choice selected"), _("You didn't select a choice."))
        case PollClosed(at=at):
            closed = _("This poll closed on %(date)s at %(time)s.")
            return Problem(403, _("Poll closed"), closed % {"date": language.date(at), "time": language.time(at)})
        case VoteNotStored():
            return Problem(503, _("Vote not counted"), _("Your vote was not counted. Try again in a few seconds."))
        case TooManyVoters(seconds=seconds):
            detail = language.ngettext(
                "Many people have just voted from your network. Your vote was not counted. Try again in a second.",
                "Many people have just voted from your network. Your vote was not counted. "
                "Try again in %(seconds)s seconds.",
                seconds,
            )
            return Problem(429, _("Vote not counted"), detail % {"seconds": language.number(seconds)})
        case TooManyWebSockets():
            return Problem(
                503,
                _("Live updates unavailable"),
                _("Too many people are watching. Reload the page to see the latest results."),
            )
        case PollsUnavailable():
            return Problem(
                503,
                _("Temporarily unavailable"),
                _("The polls can't be loaded right now. Try again in a few seconds."),
            )
    return None


def _form_problem(error: Exception, language: Language) -> Problem | None:
    """Return the problem with receiving a form, the same for all forms."""
    _ = language.gettext
    match error:
        case SlowForm():
            return Problem(
                408,
                _("Request timed out"),
                _("Sending the form took too long. Nothing was saved. Try again."),
            )
        case MalformedForm():
            return Problem(
                400,
                _("Invalid form"),
                _("The form couldn't be read. Nothing was saved. Reload the page and try again."),
            )
        case CrossSiteRequest():
            return Problem(
                403,
                _("Request blocked"),
                _("This request came from another website. Nothing was saved. Open the page here and try again."),
            )
    return None


def _account_problem(error: Exception, language: Language) -> Problem | None:
    """Return the problem with signing in, or with a user's account."""
    _ = language.gettext
    match error:
        case NotSignedIn():
            return Problem(401, _("Sign-in required"), _("Sign in to continue."))
        case SignInFailed():
            return Problem(400, _("Sign-in failed"), _("Wrong user name or password."))
        case TooManyAttempts(seconds=seconds):
            detail = language.ngettext(
                "Too many attempts. Try again in a minute.",
                "Too many attempts. Try again in %(minutes)s minutes.",
                minutes := -(-seconds // 60),
            )
            return Problem(429, _("Too many attempts"), detail % {"minutes": language.number(minutes)})
        case AccountNotFound():
            return Problem(404, _("User not found"), _("This user doesn't exist."))
    return None


def _status_of(error: Exception) -> int:
    match error:
        case web.HTTPException():
            return error.status
        case OSError(errno=errno.ENAMETOOLONG):
            # aiohttp looks up any path below /static/ in the file system, also one too long to be a file's name.
            return 404
    return 500


def _status_problem(status: int, language: Language) -> Problem:
    _ = language.gettext
    match status:
        case 403:
            return Problem(status, _("Access denied"), _("You don't have access to this page."))
        case 404:
            return Problem(status, _("Page not found"), _("This page doesn't exist."))
        case 405:
            return Problem(status, _("Not allowed"), _("This page doesn't support this action."))
        case 413:
            return Problem(status, _("Form too large"), _("The form is too large. Nothing was saved."))
        case _ if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return Problem(status, _("Invalid request"), _("This request is not valid."))
    return Problem(
        status,
        _("Something went wrong"),
        _("The error is on our side and has been logged. Try again in a moment."),
    )


def _redirect_to_sign_in(request: web.Request) -> web.Response:
    """Redirect to the sign-in page, which leads back to the requested page."""
    query = {"next": str(request.rel_url)} if request.method in {"GET", "HEAD"} else {}
    url = str(request.app.router["sign_in"].url_for().with_query(query))
    return web.Response(status=303, headers={"Location": url, "Cache-Control": "no-store"})


def _json(request: web.Request, problem: Problem) -> web.Response:
    """Return problem details (RFC 9457)."""
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


def _page(request: web.Request, problem: Problem, error: Exception) -> web.Response:
    details = "".join(traceback.format_exception(error)) if request.app[CONFIG].development else None
    # After a POST, the language links of the page lead to the index: the URL of the form may answer no GET.
    here = {} if request.method in {"GET", "HEAD"} else {"here": str(request.app.router["index"].url_for())}
    try:
        return render(request, "error.html", status=problem.status, problem=problem, traceback=details, **here)
    except Exception:
        # A template that the operator has overridden may be broken: respond with plain text.
        logger.exception("the error page can't be rendered")
        return web.Response(status=problem.status, text=f"{problem.title}\n\n{problem.detail}\n\n{request_id()}\n")
