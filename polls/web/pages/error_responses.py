"""Responses to errors: an HTML page, or JSON (RFC 9457) for clients that prefer it."""

import json
import logging
import traceback
from dataclasses import replace
from http import HTTPStatus

from aiohttp import hdrs, web

from polls.domain import errors
from polls.web.http.negotiation import preferences
from polls.web.http.request_ids import request_id
from polls.web.http.secret_paths import has_secret_path, path_for_logs
from polls.web.keys import CONFIG
from polls.web.pages.problems import Problem, ResultsHidden, describe_error, is_expected
from polls.web.pages.rendering import VARY, language_of, render
from polls.web.pages.session import ACCOUNT

logger = logging.getLogger(__name__)


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
    elif problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not is_expected(error):
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
