"""Static files: read once, at URLs with a hash of the content. Style sheets are served one for each kind of page."""

import hashlib
import mimetypes
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from aiohttp import hdrs, web

from polls import paths
from polls.web.http.compression import compress
from polls.web.http.negotiation import preferences
from polls.web.http.page_cache import Page
from polls.web.http.security_headers import RESPONSE_HEADERS
from polls.web.keys import CONFIG

CACHE_FOR_A_YEAR = "public, max-age=31536000, immutable"

_ENCODINGS = {"br": ".br", "gzip": ".gz"}  # of the compressed copies in the wheel, the smallest first


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A static file: the hash of its content, and that content by its encoding, "" for none."""

    version: str
    content_type: str
    contents: Mapping[str, bytes]

    def page(self, accepted: Mapping[str, float], headers: Mapping[str, str]) -> Page:
        """Return the file in one of the `accepted` encodings, with more `headers`."""
        encoding = next((encoding for encoding in self.contents if encoding in accepted), "")
        headers = {"Content-Type": self.content_type, "Vary": "Accept-Encoding", **headers}
        return Page(self.contents[encoding], headers | ({"Content-Encoding": encoding} if encoding else {}))

    def compressed(self) -> "StaticFile":
        """Return the file with its content in the encoding gzip besides, if that is smaller."""
        content = self.contents[""]
        smaller = compress(content)
        return self if len(smaller) >= len(content) else replace(self, contents={"gzip": smaller, "": content})


STATIC_FILES: web.AppKey[Mapping[str, StaticFile]] = web.AppKey("static_files")


def read_static_files() -> dict[str, StaticFile]:
    """Return {path below static/: file} of all static files, a few hundred kilobytes.

    In memory they can't disappear during an upgrade, and no path that a client names is looked up on the disk.
    """
    files = [path for path in paths.STATIC.rglob("*") if path.is_file() and path.suffix not in _ENCODINGS.values()]
    # A wheel has the joined style sheets as files, and compressed copies of all.
    return _joined_style_sheets() | {path.relative_to(paths.STATIC).as_posix(): _read(path) for path in files}


def compressed(files: Mapping[str, StaticFile]) -> dict[str, StaticFile]:
    """Return `files` with compressed contents for those that have none, as in a checkout."""
    return {name: file if len(file.contents) > 1 else file.compressed() for name, file in files.items()}


def static_url(app: web.Application, filename: str) -> str:
    """Return the URL of a static file, with a hash of its content. Raises KeyError if there is no such file."""
    return f"{_folder_url(app)}{filename}?v={quote(_files(app)[filename].version)}"


async def serve_static(request: web.Request) -> web.StreamResponse:
    """Serve a static file, which browsers may cache for a year if the URL has the hash of its content.

    During a roll-out, a page of one version may request its files from a process with the other version.
    """
    app = request.app
    filename = request.rel_url.raw_path.removeprefix(_folder_url(app))
    file = _files(app).get(filename)
    if file is None:
        raise web.HTTPNotFound
    is_current = str(request.rel_url) == static_url(app, filename)
    accepted = preferences(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
    security_headers = app[RESPONSE_HEADERS]
    cache_control = CACHE_FOR_A_YEAR if is_current else "no-cache"
    return file.page(accepted, {"Cache-Control": cache_control, **security_headers}).answer(request)


def _joined_style_sheets() -> dict[str, StaticFile]:
    """Join the files of each folder in static/css/, in the order of their names: css/public/*.css as css/public.css.

    setup.py does the same for the wheel.
    """
    return {
        f"css/{folder.name}.css": _static_file("text/css", b"".join(_style_sheets(folder)), {})
        for folder in (paths.STATIC / "css").iterdir()
        if folder.is_dir()
    }


def _style_sheets(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted(folder.glob("*.css"))]


def _read(path: Path) -> StaticFile:
    compressed = {}
    for encoding, suffix in _ENCODINGS.items():
        copy = path.with_name(path.name + suffix)
        if copy.is_file():
            compressed[encoding] = copy.read_bytes()
    content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _static_file(content_type, path.read_bytes(), compressed)


def _static_file(content_type: str, content: bytes, compressed: Mapping[str, bytes]) -> StaticFile:
    charset = "; charset=utf-8" if content_type.startswith("text/") else ""
    version = urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
    return StaticFile(version, content_type + charset, {**compressed, "": content})


def _folder_url(app: web.Application) -> str:
    return app.router["static"].canonical.removesuffix("{filename}")


def _files(app: web.Application) -> Mapping[str, StaticFile]:
    return read_static_files() if app[CONFIG].development else app[STATIC_FILES]
