"""An admin's browser, without scripts: it signs in, and sends the forms of the pages it gets."""

import urllib.parse
import urllib.request
from collections.abc import Iterable
from http.cookiejar import CookieJar
from pathlib import Path
from typing import NamedTuple

from multidict import MultiDict

from tests.support.pages import fields, parse
from tests.support.processes import command

USERNAME, PASSWORD = "ada", "correct horse battery"


class Page(NamedTuple):
    """A response after its redirects."""

    status: int
    url: str
    text: str

    def form(self) -> MultiDict[str]:
        """Return the fields of the form that posts to this page's own path."""
        return fields(parse(self.text), urllib.parse.urlsplit(self.url).path)


def add_account(folder: Path) -> None:
    """Add the account that `Admin` uses to the database in `folder`/polls.yaml."""
    arguments = ("createadmin", "--config=polls.yaml", f"--username={USERNAME}", "--password-stdin")
    done = command(folder, *arguments, typed=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr


class Admin:
    """A browser for one process of polls; `sign_in` comes first."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(CookieJar()), _KeepErrors(), urllib.request.ProxyHandler({})
        )

    def get(self, path: str) -> Page:
        return self._open(path, None)

    def post(self, path: str, sent: Iterable[tuple[str, str]]) -> Page:
        return self._open(path, urllib.parse.urlencode(list(sent)).encode())

    def sign_in(self) -> Page:
        return self.post("/admin/login", [("username", USERNAME), ("password", PASSWORD)])

    def add_poll(self, text: str, *choices: str) -> Page:
        """Fill in the form of a new poll, as it comes, and save it."""
        form = self.get("/admin/polls/add").form()
        texts = [name for name in form if name.startswith("choice.") and name.endswith(".text")]
        form.update({"text": text, **dict(zip(texts, choices, strict=False))})
        return self.post("/admin/polls/add", [*form.items(), ("do", "save")])

    def _open(self, path: str, body: bytes | None) -> Page:
        with self._opener.open(self._url + path, body, timeout=10) as response:
            return Page(response.status, response.url, response.read().decode())


class _KeepErrors(urllib.request.HTTPErrorProcessor):
    """Returns responses with an error's status, instead of raising; redirects are followed."""

    def http_response(self, request: urllib.request.Request, response: object) -> object:
        if response.status in {301, 302, 303}:  # type: ignore[attr-defined]
            return super().http_response(request, response)  # type: ignore[arg-type]
        return response
