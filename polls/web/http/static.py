"""Static files: addresses that name their content, so that browsers may keep what they got."""

from aiohttp import web

from polls.web.keys import CONFIG

STATIC_URLS: web.AppKey[dict[str, str]] = web.AppKey("static_urls")  # {file below static/: its URL}


A_YEAR = "public, max-age=31536000, immutable"


def static_url(app: web.Application, filename: str) -> str:
    """The address of a static file, with a hash of its content.

    The router reads the file each time that it is asked. What it answers changes only with a new version of polls, or
    while polls is developed, and is remembered.
    """
    known = app[STATIC_URLS]
    if filename not in known or app[CONFIG].development:
        known[filename] = str(app.router["static"].url_for(filename=filename))
    return known[filename]


def static_caching(request: web.Request) -> str:
    """How long the static file that is asked for may be kept: for ever, if its address names the very content.

    During a roll-out, the page of one version may ask the other version for a file.
    """
    current = static_url(request.app, request.match_info["filename"])
    return A_YEAR if str(request.rel_url) == current else "no-cache"
