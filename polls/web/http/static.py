"""Static files: URLs with a hash of the content, and how long browsers may cache them."""

from aiohttp import web

from polls.web.keys import CONFIG

STATIC_URLS: web.AppKey[dict[str, str]] = web.AppKey("static_urls")  # {file below static/: its URL}

CACHE_FOR_A_YEAR = "public, max-age=31536000, immutable"


def static_url(app: web.Application, filename: str) -> str:
    """Return the URL of a static file, with a hash of its content.

    The URL is cached, because the router reads the file for each call; except in development, where files change.
    """
    urls = app[STATIC_URLS]
    if filename not in urls or app[CONFIG].development:
        urls[filename] = str(app.router["static"].url_for(filename=filename))
    return urls[filename]


def static_cache_control(request: web.Request) -> str:
    """Return the Cache-Control of a static file: a year if the URL has the hash of the current content, else no-cache.

    During a roll-out, a page of one version may request its files from a process with the other version.
    """
    current = static_url(request.app, request.match_info["filename"])
    return CACHE_FOR_A_YEAR if str(request.rel_url) == current else "no-cache"
