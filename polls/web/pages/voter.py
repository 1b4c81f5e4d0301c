"""The cookies of voters: a browser is one voter, identified by a random number."""

import hashlib
from collections.abc import Iterable

from aiohttp import hdrs, web

from polls.domain.visibility import ANONYMOUS, Viewer
from polls.web.http.cookies import cookie_path, cookie_pattern, read_cookie, set_cookie
from polls.web.http.numbers import NUMBER
from polls.web.http.random_names import RandomNames

VOTER_COOKIE = "voter"  # 128 random bits
BALLOT_COOKIE = "ballot"  # the choices that this browser voted for, so that pages show them without a query

_VOTERS = RandomNames(32)
_VOTER = cookie_pattern(VOTER_COOKIE, "[0-9a-f]{32}")
_MARKS = cookie_pattern(BALLOT_COOKIE, rf"{NUMBER}(?:\.{NUMBER})*")


def known_voter(request: web.Request) -> str | None:
    """Return the voter in the cookie, or None if there is no cookie or its value is malformed."""
    return read_cookie(request, _VOTER)


def new_voter() -> str:
    """Return a new random voter."""
    return _VOTERS.new()


def voter_key(voter: str, question_id: int) -> bytes:
    """Return the key under which the ballot of `voter` in one poll is stored.

    It differs from poll to poll, so that stored ballots of the same voter can't be linked.
    """
    # Keyed BLAKE2b (RFC 7693) is as secure as HMAC here and takes a quarter of the time.
    return b"browser:" + hashlib.blake2b(b"poll:%d" % question_id, key=bytes.fromhex(voter), digest_size=16).digest()


def set_voter_cookie(request: web.Request, response: web.StreamResponse, voter: str) -> None:
    """Set the voter cookie."""
    set_cookie(request, response, VOTER_COOKIE, voter, path=cookie_path(request))


def ensure_voter_cookie(request: web.Request, response: web.StreamResponse) -> None:
    """Set the voter cookie before the browser votes, unless it has one.

    If the response to its vote is lost and it votes again, both ballots are then the same voter's.
    """
    if known_voter(request) is None:
        set_voter_cookie(request, response, new_voter())


def set_ballot_cookie(request: web.Request, response: web.StreamResponse, marks: Iterable[int], *, path: str) -> None:
    """Set the cookie with the chosen `marks`, for the pages of the poll at `path`."""
    set_cookie(request, response, BALLOT_COOKIE, ".".join(map(str, marks)), path=path)


def viewer_of(request: web.Request) -> Viewer:
    """Return the viewer of a poll's page, with the marks in the ballot cookie."""
    if hdrs.COOKIE not in request.headers:
        return ANONYMOUS
    marks = read_cookie(request, _MARKS)
    if marks is None or known_voter(request) is None:
        return ANONYMOUS
    return Viewer(frozenset(map(int, marks.split("."))))
