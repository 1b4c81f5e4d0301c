"""The cookies of voters: each browser is one voter, identified by a random id."""

import hashlib
import hmac
import secrets

from aiohttp import web

from polls.domain.ballot import Ballot
from polls.domain.poll import Poll
from polls.domain.visibility import ANONYMOUS, Viewer
from polls.web.http.cookies import CookieSetter, cookie_pattern, read_cookie
from polls.web.http.parameters import NUMBER

VOTER_COOKIE = "polls_voter"  # the voter's id: 128 random bits
# The ids of the choices that this browser voted for, each with its points after "-" if it has any, so that pages show
# them without a query. In polls with results that can be hidden, "_" and a signature follow.
BALLOT_COOKIE = "polls_ballot"
# The ids of the polls in which this browser voted last: the list shows them, and has no ballot cookies.
VOTED_COOKIE = "polls_voted"

_MAX_VOTED = 50  # polls in the cookie

_VOTER_ID = cookie_pattern(VOTER_COOKIE, "[0-9a-f]{32}")
_VOTED = cookie_pattern(VOTED_COOKIE, rf"{NUMBER}(?:\.{NUMBER}){{0,{_MAX_VOTED - 1}}}", of_site=True)
_MARK = rf"{NUMBER}(?:-[0-9]{{1,3}})?"
_BALLOT = cookie_pattern(BALLOT_COOKIE, rf"{_MARK}(?:\.{_MARK}){{0,99}}(?:_[0-9a-f]{{20}})?", of_site=True)


def read_voter_id(request: web.Request) -> str | None:
    """Return the voter's id from the cookie, or None if there is no cookie or its value is malformed."""
    return read_cookie(request, _VOTER_ID)


def new_voter_id() -> str:
    """Return a random id for a new voter."""
    return secrets.token_hex(16)


def voter_key(voter_id: str, question_id: int) -> bytes:
    """Return the key under which the ballot of a voter in one poll is stored.

    It differs from poll to poll, so that stored ballots of the same voter can't be linked.
    """
    # Keyed BLAKE2b (RFC 7693) is as secure as HMAC here and takes a quarter of the time.
    return b"browser:" + hashlib.blake2b(b"poll:%d" % question_id, key=bytes.fromhex(voter_id), digest_size=16).digest()


def set_voter_cookie(cookies: CookieSetter, voter_id: str) -> None:
    """Set the voter cookie."""
    cookies.set(VOTER_COOKIE, voter_id)


def ensure_voter_cookie(request: web.Request, response: web.StreamResponse) -> None:
    """Set the voter cookie unless the browser has one. Pages with the form do this before the browser votes.

    If the response to its vote is lost and it votes again, both ballots are the same voter's.
    """
    if read_voter_id(request) is None:
        set_voter_cookie(CookieSetter(request, response), new_voter_id())


def set_ballot_cookie(
    cookies: CookieSetter, ballot: Ballot, voter_id: str = "", signing_key: bytes = b"", *, path: str
) -> None:
    """Set the cookie with the marks and points of `ballot`, for the pages of the poll at `path`.

    With the poll's `signing_key` it is signed, and proves that the voter has voted.
    """
    marks = [str(mark) for mark in ballot.marks]
    if ballot.points is not None:
        marks = [f"{mark}-{points}" for mark, points in zip(marks, ballot.points, strict=True)]
    value = ".".join(marks)
    if signing_key:
        value = f"{value}_{_sign(value, voter_id, signing_key)}"
    cookies.set(BALLOT_COOKIE + cookies.suffix, value, path=path)


def _sign(marks: str, voter_id: str, signing_key: bytes) -> str:
    return hashlib.blake2b(f"{voter_id}:{marks}".encode(), key=signing_key, digest_size=10).hexdigest()


def add_to_voted_cookie(cookies: CookieSetter, voted: tuple[int, ...], question_id: int) -> None:
    """Add a poll to those in which this browser `voted`; the ones of longest ago are forgotten."""
    if question_id not in voted:
        value = ".".join(map(str, (question_id, *voted[: _MAX_VOTED - 1])))
        cookies.set(VOTED_COOKIE + cookies.suffix, value)


def voted_polls(request: web.Request) -> tuple[int, ...]:
    """Return the ids of the polls in which this browser voted, as its cookie says, the latest first."""
    voted = read_cookie(request, _VOTED)
    return tuple(map(int, voted.split("."))) if voted else ()


def viewer_of(request: web.Request, poll: Poll | None) -> Viewer:
    """Return the viewer of a poll's page, with the marks and points in the ballot cookie.

    In a poll with results that can be hidden, the cookie's signature is checked: marks alone can be made up.
    """
    ballot = read_cookie(request, _BALLOT)
    if ballot is None or (voter_id := read_voter_id(request)) is None:
        return ANONYMOUS
    ballot, _, signature = ballot.partition("_")
    has_voted = False
    if signature and poll and poll.hides_results:
        has_voted = hmac.compare_digest(signature, _sign(ballot, voter_id, poll.signing_key))
    marks = [mark.partition("-") for mark in ballot.split(".")]
    points = frozenset((int(choice_id), int(number)) for choice_id, _, number in marks if number)
    return Viewer(frozenset(int(choice_id) for choice_id, *_ in marks), points, has_voted=has_voted)
