"""What can go wrong, as a page for people and as JSON (RFC 9457) for programs, in one place."""

import errno
import json
import logging
import traceback
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from polls.domain.errors import (
    NoSuchAccount,
    NothingChosen,
    PollClosed,
    PollNotFound,
    PollsUnavailable,
    SignInFailed,
    TooManyAttempts,
    TooManyVoters,
    VoteNotStored,
)
from polls.web.http.errors import CrossSiteRequest, NotAWebSocket, NotSignedIn, TooManyWatchers
from polls.web.http.forms import MalformedForm, SlowForm
from polls.web.http.negotiation import preferences
from polls.web.http.request_ids import request_id
from polls.web.keys import CONFIG
from polls.web.pages.languages import Language
from polls.web.pages.rendering import VARY, language_of, render

logger = logging.getLogger(__name__)


RETRY_AFTER = 3  # seconds until a database that is away may be back, or a queue shorter
_LEAVING = 30  # seconds until somebody who watches may have left


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, in words for the visitor: a headline and a sentence that says what to do next."""

    status: int
    title: str
    detail: str


def respond(request: web.Request, error: Exception) -> web.Response:
    """Answer a request that failed with `error`. What is our own fault is logged, and never shown."""
    if isinstance(error, NotSignedIn) and not wants_json(request):
        return _to_sign_in(request)
    problem = wording(error, language_of(request))
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


def retry_after(error: Exception) -> int | None:
    """The seconds after which the same request may work; None where it won't."""
    match error:
        case PollsUnavailable() | VoteNotStored():
            return RETRY_AFTER
        case TooManyWatchers():
            return _LEAVING
        case TooManyAttempts(seconds=seconds) | TooManyVoters(seconds=seconds):
            return seconds
    return None


def wording(error: Exception, language: Language) -> Problem:  # noqa: C901, PLR0912 - a list
    """Word `error` for a visitor who reads `language`."""
    _ = language.gettext
    match error:
        case PollNotFound():
            return Problem(404, _("No such poll"), _("There is no poll at this address, or it isn't published yet."))
        case NothingChosen():
            return Problem(400, _("Nothing chosen"), _("You didn't select a choice."))
        case PollClosed(at=at):
            closed = _("This poll closed on %(date)s at %(time)s.")
            return Problem(403, _("Closed"), closed % {"date": language.date(at), "time": language.time(at)})
        case VoteNotStored():
            return Problem(503, _("Not counted"), _("Your vote was not counted. Try again in a few seconds."))
        case TooManyVoters(seconds=seconds):
            waiting = language.ngettext(
                "Many people have just voted from your network. Your vote was not counted. Try again in a second.",
                "Many people have just voted from your network. Your vote was not counted. "
                "Try again in %(seconds)s seconds.",
                seconds,
            )
            return Problem(429, _("Not counted yet"), waiting % {"seconds": language.number(seconds)})
        case TooManyWatchers():
            return Problem(503, _("Not live just now"), _("Too many are watching. Load the results again instead."))
        case SlowForm():
            return Problem(408, _("Too slow"), _("This took too long to arrive. Nothing was counted. Try again."))
        case MalformedForm():
            return Problem(
                400,
                _("This form can't be read"),
                _("What arrived here is not what the form sends. Nothing was counted. Open the page again and retry."),
            )
        case CrossSiteRequest():
            return Problem(
                403,
                _("Refused"),
                _("This came from a page of another site. Nothing was counted. Open the poll here and vote again."),
            )
        case PollsUnavailable():
            return Problem(
                503,
                _("Not available just now"),
                _("The polls can't be reached. Try again in a few seconds."),
            )
        case NotSignedIn():
            return Problem(401, _("Not signed in"), _("This is for those who have signed in. Sign in, and try again."))
        case SignInFailed():
            return Problem(400, _("Not signed in"), _("This user name and this password don't belong together."))
        case TooManyAttempts(seconds=seconds):
            waiting = language.ngettext(
                "Too many attempts. Try again in a minute.",
                "Too many attempts. Try again in %(minutes)s minutes.",
                minutes := -(-seconds // 60),
            )
            return Problem(429, _("Too many attempts"), waiting % {"minutes": language.number(minutes)})
        case NoSuchAccount():
            return Problem(404, _("No such user"), _("Nobody here is called so."))
        case web.HTTPException() as refusal:
            return _wording_of_status(refusal.status, language)
        case OSError(errno=errno.ENAMETOOLONG):
            # aiohttp asks the file system about any name below /static/; one that is too long for a file is no file's.
            return _wording_of_status(404, language)
    return _wording_of_status(500, language)


def _wording_of_status(status: int, language: Language) -> Problem:
    _ = language.gettext
    match status:
        case 403:
            return Problem(status, _("Refused"), _("You may not see this."))
        case 404:
            return Problem(status, _("Page not found"), _("There is nothing at this address."))
        case 405:
            return Problem(status, _("Not possible here"), _("This address can't be used in this way."))
        case 413:
            return Problem(status, _("Too large"), _("This is more than a form here sends. Nothing was counted."))
        case _ if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return Problem(status, _("Not understood"), _("This request can't be answered as it is."))
    return Problem(
        status,
        _("Something went wrong"),
        _("The fault is ours, and it has been logged. Try again in a moment."),
    )


def wants_json(request: web.Request) -> bool:
    """Whether the client is a program, which would rather have JSON than a page."""
    weights = preferences(request.headers.get("Accept", ""))
    json_weight = max(weights.get("application/json", 0), weights.get("application/problem+json", 0))
    return json_weight > weights.get("text/html", 0)


def _to_sign_in(request: web.Request) -> web.Response:
    """Lead a visitor to the sign-in, and from there back to the page that they asked for."""
    back = {"next": str(request.rel_url)} if request.method in {"GET", "HEAD"} else {}
    address = str(request.app.router["sign_in"].url_for().with_query(back))
    return web.Response(status=303, headers={"Location": address, "Cache-Control": "no-store"})


def _json(request: web.Request, problem: Problem) -> web.Response:
    """A problem for programs (RFC 9457)."""
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
    shown = "".join(traceback.format_exception(error)) if request.app[CONFIG].development else None
    back = {} if request.method in {"GET", "HEAD"} else {"here": str(request.app.router["index"].url_for())}
    try:
        return render(request, "error.html", status=problem.status, problem=problem, traceback=shown, **back)
    except Exception:
        # A template of the operator's own may be broken; its visitors still get an answer.
        logger.exception("the error page can't be rendered")
        return web.Response(status=problem.status, text=f"{problem.title}\n\n{problem.detail}\n\n{request_id()}\n")
