"""Static files: URLs with a hash of the content, and how long browsers may cache them."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote

from aiohttp import web

from polls import paths
from polls.web.http.page_cache import NO_STORE
from polls.web.keys import CONFIG

STATIC_VERSIONS: web.AppKey[Mapping[str, str]] = web.AppKey("static_versions")

CACHE_FOR_A_YEAR = "public, max-age=31536000, immutable"

_CACHEABLE = {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.NOT_MODIFIED}


def static_versions() -> dict[str, str]:
    """Return {path below static/: hash of the content} of all static files."""
    files = [file for file in paths.STATIC.rglob("*") if file.is_file()]
    return {
        file.relative_to(paths.STATIC).as_posix(): urlsafe_b64encode(
            hashlib.sha256(file.read_bytes()).digest()
        ).decode()
        for file in files
    }


def static_url(app: web.Application, filename: str) -> str:
    """Return the URL of a static file, with a hash of its content. Raises KeyError if there is no such file."""
    return f"{_folder_url(app)}{filename}?v={quote(_versions(app)[filename])}"


async def serve_static(request: web.Request) -> web.StreamResponse:
    """Serve a static file that was there when polls started, under no other path than that of its URL.

    Browsers may cache it for a year if the URL has the hash of the current content. During a roll-out, a page of one
    version may request its files from a process with the other version.
    """
    app = request.app
    filename = request.rel_url.raw_path.removeprefix(_folder_url(app))
    if filename not in _versions(app) or not (paths.STATIC / filename).is_file():
        raise web.HTTPNotFound
    is_current = str(request.rel_url) == static_url(app, filename)
    return _StaticFile(
        paths.STATIC / filename, headers={"Cache-Control": CACHE_FOR_A_YEAR if is_current else "no-cache"}
    )


class _StaticFile(web.FileResponse):
    """A file that caches keep only if it is sent: aiohttp sets other statuses when the headers are complete."""

    def set_status(self, status: int, reason: str | None = None) -> None:
        super().set_status(status, reason)
        if status not in _CACHEABLE:
            self.headers["Cache-Control"] = NO_STORE


def _folder_url(app: web.Application) -> str:
    return app.router["static"].canonical.removesuffix("{filename}")


def _versions(app: web.Application) -> Mapping[str, str]:
    return static_versions() if app[CONFIG].development else app[STATIC_VERSIONS]
