"""Who votes: the voter of a public poll is their browser, known by a random cookie."""

import hashlib
from collections.abc import Iterable

from aiohttp import hdrs, web

from polls.domain.visibility import ANONYMOUS, Viewer
from polls.web.http.cookies import cookie_path, cookie_pattern, read_cookie, set_cookie
from polls.web.http.numbers import NUMBER
from polls.web.http.random_names import RandomNames

VOTER_COOKIE = "voter"  # 128 random bits
BALLOT_COOKIE = "ballot"  # what this browser's ballot marks; for pages to show, so that they need not ask the database

_VOTERS = RandomNames(32)
_VOTER = cookie_pattern(VOTER_COOKIE, "[0-9a-f]{32}")
_MARKS = cookie_pattern(BALLOT_COOKIE, rf"{NUMBER}(?:\.{NUMBER})*")


def known_voter(request: web.Request) -> str | None:
    """The voter that this browser is, or None where it has no cookie, or none of ours."""
    return read_cookie(request, _VOTER)


def new_voter() -> str:
    """A voter like no other."""
    return _VOTERS.new()


def voter_key(voter: str, question_id: int) -> bytes:
    """What `voter` is called in one poll: nothing that is stored there tells who they are in another."""
    # Keyed BLAKE2b (RFC 7693) stands for HMAC: it is as good, and takes a quarter of the time.
    return b"browser:" + hashlib.blake2b(b"poll:%d" % question_id, key=bytes.fromhex(voter), digest_size=16).digest()


def set_voter_cookie(request: web.Request, response: web.StreamResponse, voter: str) -> None:
    """Let the browser come back as the same voter."""
    set_cookie(request, response, VOTER_COOKIE, voter, path=cookie_path(request))


def ensure_voter_cookie(request: web.Request, response: web.StreamResponse) -> None:
    """Make the browser a voter before it votes: who loses an answer and tries again casts the same ballot again."""
    if known_voter(request) is None:
        set_voter_cookie(request, response, new_voter())


def set_ballot_cookie(request: web.Request, response: web.StreamResponse, marks: Iterable[int], *, path: str) -> None:
    """Let the pages of the poll at `path` show what was chosen."""
    set_cookie(request, response, BALLOT_COOKIE, ".".join(map(str, marks)), path=path)


def viewer_of(request: web.Request) -> Viewer:
    """Who looks at the poll whose page this browser asks for."""
    if hdrs.COOKIE not in request.headers:
        return ANONYMOUS
    marks = read_cookie(request, _MARKS)
    if marks is None or known_voter(request) is None:
        return ANONYMOUS
    return Viewer(frozenset(map(int, marks.split("."))))
