"""Paths with an access key, which is a secret: logs have the pattern of the route instead."""

import re

from aiohttp import web

# Below a poll, also percent-encoded: a mistyped access link, which matches no route, contains most of a key.
_BELOW_ACCESS = re.compile(r"(.*/poll/[^/]*/as)(?:/|%2F).*", re.IGNORECASE)

_PATTERN: web.RequestKey[str] = web.RequestKey("pattern", str)


def note_secret_path(request: web.Request) -> None:
    """Remember that the path of `request` is secret, if its route has a part called `key` or if it is a mistyped one.

    Must be called before anything about the request is logged.
    """
    match = request.match_info
    if "key" in match:
        resource = match.route.resource
        request[_PATTERN] = resource.canonical if resource else ""
    elif match.http_exception and (found := _BELOW_ACCESS.fullmatch(request.rel_url.raw_path)):
        request[_PATTERN] = f"{found[1]}/{{key}}"


def has_secret_path(request: web.BaseRequest) -> bool:
    """Return whether the path must not be in logs, links and headers."""
    return _PATTERN in request


def path_for_logs(request: web.BaseRequest) -> str:
    """Return the path, or the pattern of a secret one. It is still percent-encoded: a line break can't forge a line."""
    return request.get(_PATTERN) or request.rel_url.raw_path
