"""The redirect from plain http to the public URL: over http, browsers refuse our Secure cookies."""

from aiohttp import hdrs, web

from polls.web.http.cookies import CookieSetter, cookie_pattern, read_cookie
from polls.web.http.forwarded import came_by_http
from polls.web.keys import CONFIG

_COOKIE = "polls_https"
_HTTPS = cookie_pattern(_COOKIE, "1")
_SECONDS = 300


def is_http_visit(request: web.Request) -> bool:
    """Return whether a browser opens a page over plain http although `site.url` is https.

    Programs, health checks among them, don't send Upgrade-Insecure-Requests. A proxy may report http by mistake, and a
    redirect would come back for ever: browsers send Sec-Fetch-Site and the cookie of the redirect only over https.
    """
    return (
        request.headers.get("Upgrade-Insecure-Requests") == "1"
        and "Sec-Fetch-Site" not in request.headers
        and came_by_http(request)
        and read_cookie(request, _HTTPS) is None
    )


def redirect_to_https(request: web.Request) -> web.Response:
    """Redirect to the same page at `site.url`."""
    location = f"{request.app[CONFIG].site.url}{request.rel_url.raw_path_qs}"
    headers = {"Location": location, "Cache-Control": "no-store", hdrs.VARY: "Upgrade-Insecure-Requests"}
    response = web.Response(status=307, headers=headers)
    CookieSetter(request, response).set(_COOKIE, "1", seconds=_SECONDS)
    return response
