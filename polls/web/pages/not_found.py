"""Responses at addresses that no route has: a redirect to the one that is meant, or an error page that leads back."""

import re

from aiohttp import web
from yarl import URL

from polls.domain.errors import PollNotFound, PollsUnavailable
from polls.domain.visibility import ANONYMOUS, visible_to
from polls.web.http.parameters import SLUG, local_path
from polls.web.http.secret_paths import has_secret_path
from polls.web.pages.base import find_poll
from polls.web.pages.error_responses import error_response, is_in_admin
from polls.web.pages.session import ACCOUNT, signed_in_account

_SLUG = re.compile(SLUG)


async def respond_not_found(request: web.Request, error: web.HTTPNotFound) -> web.Response:
    """Return the response to a request whose path no route matches.

    Redirects a page with a slash at its end too many or too few, keeping the query. Otherwise it is the error page,
    which offers the poll if the path is below a poll's, and has the admin's navigation if it is below the admin's.
    """
    # Only these: the view of another method may not exist at the other address. No header may have an access key.
    may_redirect = request.method in {"GET", "HEAD"} and not has_secret_path(request)
    if may_redirect and (url := await _url_with_other_slash(request)):
        return web.Response(status=308, headers={"Location": url})
    try:
        if is_in_admin(request) and (account := await signed_in_account(request)):
            request[ACCOUNT] = account
        slug = await _slug_of_poll_above(request)
    except PollsUnavailable:
        slug = None
    return error_response(request, error, slug=slug)


async def _url_with_other_slash(request: web.Request) -> str | None:
    """Return the URL with the slash at its end removed or added, if a page with that path exists."""
    path, query = request.rel_url.raw_path, request.rel_url.raw_query_string
    other = path.rstrip("/") if path.endswith("/") else f"{path}/"
    # Empty if another site could be meant, or if clients could not decode it.
    url = local_path(f"{other}?{query}" if query else other, "")
    if not url:
        return None
    match = await request.app.router.resolve(request.clone(rel_url=URL(url, encoded=True)))
    return url if hasattr(match.handler, "get") else None


async def _slug_of_poll_above(request: web.Request) -> str | None:
    """Return the slug of the public poll that the path is below, or None. Raises PollsUnavailable."""
    above = request.app.router["poll"].canonical.removesuffix("{slug}")
    path = request.rel_url.raw_path
    slug = path.removeprefix(above).partition("/")[0]
    if not (path.startswith(above) and _SLUG.fullmatch(slug)):
        return None
    try:
        visible_to(await find_poll(request.app, slug), ANONYMOUS)
    except PollNotFound:
        return None
    return slug
