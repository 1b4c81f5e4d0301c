"""Two databases with the same polls, in which as many have voted, but not for the same choices."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256

import psycopg2.extensions

from polls.config.settings import Postgres
from polls.domain.access_keys import hash_of
from polls.domain.methods import METHODS
from polls.domain.settings import PollSettings, Results
from polls.storage.postgres import migrations
from polls.storage.postgres.connect import Connection, connect
from polls.storage.recount import recount
from polls.storage.repair import repair
from tests.conftest import empty_database

CHOICES = ("Tea", "Coffee", "Water")
SESSION = "S" * 43  # the token of the admin's session
PLANTED = 7919, 1093  # ballots of each kind in the polls whose totals are searched for
PUBLISHED, ENDED = "2024-01-01 12:00+00", "2024-06-01 12:00+00"
EDITION = 100  # of each poll before it has ended

_STRANGERS = frozenset({"stranger", "forger"})
_OTHERS = _STRANGERS | {"voter"}  # than the owner, and admins
ROLES = _OTHERS | {"owner", "admin"}
_MANY = 100_000  # ballots, more than there are


@dataclass(frozen=True)
class Visibility:
    """Who sees the results of a poll: all roles but those in `hidden_from`."""

    name: str
    settings: Mapping[str, object]
    hidden_from: frozenset[str]
    has_ended: bool = False


_NAMED: dict[str, tuple[Mapping[str, object], frozenset[str]]] = {
    "always": ({}, frozenset()),
    "after-voting": ({"results": Results.AFTER_VOTE}, _STRANGERS),
    "after-the-end": ({"results": Results.AFTER_CLOSE}, _OTHERS),
    "owner-only": ({"results": Results.OWNER}, _OTHERS),
    "sealed": ({"results": Results.AFTER_CLOSE, "is_sealed": True}, ROLES),
    "owner-only-sealed": ({"results": Results.OWNER, "is_sealed": True}, ROLES),
}
VISIBILITIES = (
    *(Visibility(name, *rule) for name, rule in _NAMED.items()),
    *(Visibility(f"{name}-few", {**rule, "results_from": _MANY}, ROLES) for name, (rule, _) in _NAMED.items()),
    Visibility("owner-only-ended", {"results": Results.OWNER}, _OTHERS, has_ended=True),
    Visibility("owner-only-sealed-ended", {"results": Results.OWNER, "is_sealed": True}, _OTHERS, has_ended=True),
    Visibility("few-ended", {"results_from": _MANY}, ROLES, has_ended=True),
)
_SEALED = next(visibility for visibility in VISIBILITIES if visibility.name == "sealed")

# For each method: {(marks, points): ballots} in the first database, and in the second.
_Ballots = Mapping[tuple[tuple[int, ...], tuple[int, ...] | None], int]
_BALLOTS: dict[str, tuple[_Ballots, _Ballots]] = {
    "single": ({((0,), None): 6, ((1,), None): 3}, {((1,), None): 2, ((2,), None): 7}),
    "multiple": ({((0, 1), None): 5, ((0,), None): 4}, {((2,), None): 6, ((0, 1, 2), None): 3}),
    "score": ({((0, 1, 2), (5, 0, 3)): 6, ((1,), (4,)): 3}, {((2,), (5,)): 9}),
    "dots": ({((0, 1), (7, 3)): 6, ((2,), (10,)): 3}, {((1, 2), (9, 1)): 9}),
}
_MOST, _FEW = PLANTED
_PLANTED: dict[str, tuple[_Ballots, _Ballots]] = {
    "single": ({((0,), None): _MOST, ((1,), None): _FEW}, {((1,), None): _MOST, ((0,), None): _FEW}),
    "multiple": ({((0, 2), None): _MOST, ((1,), None): _FEW}, {((1,), None): _MOST, ((0,), None): _FEW}),
    "score": ({((0,), (5,)): _MOST, ((1,), (2,)): _FEW}, {((1,), (3,)): _MOST, ((2,), (5,)): _FEW}),
    "dots": ({((0,), (9,)): _MOST, ((1,), (3,)): _FEW}, {((2,), (7,)): _MOST, ((0,), (9,)): _FEW}),
}


@dataclass(frozen=True)
class TwinPoll:
    """A poll that is in both databases, with the same ids. Its choices are CHOICES."""

    id: int
    slug: str
    method: str
    visibility: Visibility
    is_planted: bool = False

    @property
    def edition(self) -> int:
        return EDITION + self.visibility.has_ended

    @property
    def key(self) -> str:
        """The access key of its owner."""
        return f"{self.id:026}"

    @property
    def choice_ids(self) -> Sequence[int]:
        return range(len(CHOICES) * (self.id - 1) + 1, len(CHOICES) * self.id + 1)

    @property
    def settings(self) -> PollSettings:
        return replace(METHODS[self.method].INITIAL, **self.visibility.settings)  # type: ignore[arg-type]

    @property
    def ballot(self) -> dict[str, str]:
        """The form with a ballot for the first choice."""
        first = self.choice_ids[0]
        return {f"points.{first}": "3"} if self.settings.most_points else {"choice": str(first)}


def _twin_polls() -> Iterator[TwinPoll]:
    kinds = [(visibility, method, "") for visibility in VISIBILITIES for method in METHODS]
    kinds += [(_SEALED, method, "planted") for method in METHODS]
    kinds += [(visibility, "single", "changed") for visibility in VISIBILITIES if not visibility.has_ended]
    for number, (visibility, method, purpose) in enumerate(kinds, start=1):
        slug = "-".join(filter(None, (visibility.name, method, purpose)))
        yield TwinPoll(number, slug, method, visibility, is_planted=purpose == "planted")


_ALL = tuple(_twin_polls())
POLLS = tuple(poll for poll in _ALL if not poll.slug.endswith("-changed"))
TO_CHANGE = tuple(poll for poll in _ALL if poll.slug.endswith("-changed"))  # those that a test closes, clears, deletes


@contextmanager
def twin_databases(postgres: Postgres) -> Iterator[tuple[Postgres, Postgres]]:
    """Create both databases, and drop them at the end."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(empty_database(postgres, name)) for name in ("first", "second"))
        for index, database in enumerate((first, second)):
            with connect(database) as connection:
                migrations.migrate(database, connection)
                with connection, connection.cursor() as cursor:
                    _insert(cursor, index)
                _correct_counts(connection)
                with connection, connection.cursor() as cursor:
                    cursor.execute("UPDATE history SET at = %s", (ENDED,))  # pages show it
                    cursor.execute("UPDATE question SET edition = %s", (EDITION,))
        yield first, second


def end(database: Postgres, polls: Sequence[TwinPoll]) -> None:
    """Close polls at a time that is the same in both databases."""
    with connect(database) as connection, connection, connection.cursor() as cursor:
        ids = [poll.id for poll in polls]
        cursor.execute("UPDATE question SET closes_at = %s WHERE id = ANY (%s)", (ENDED, ids))


def counts(database: Postgres, polls: Sequence[TwinPoll]) -> set[int]:
    """Return the votes and points of all choices of `polls`."""
    with connect(database) as connection, connection, connection.cursor() as cursor:
        ids = [poll.id for poll in polls]
        cursor.execute("SELECT votes, points FROM choice WHERE question_id = ANY (%s)", (ids,))
        return {count for row in cursor.fetchall() for count in row}


def _insert(cursor: psycopg2.extensions.cursor, index: int) -> None:
    cursor.execute("INSERT INTO account (username, password_hash) VALUES ('ada', 'none')")
    token = sha256(SESSION.encode()).digest()
    cursor.execute("INSERT INTO session (token_hash, account_id) SELECT %s, id FROM account", (token,))
    cursor.execute("SET LOCAL polls.recorder = 'on'")  # counts are written without raising the revision
    for poll in _ALL:
        _insert_poll(cursor, poll)
        ballots = (_PLANTED if poll.is_planted else _BALLOTS)[poll.method][index]
        for number, ((marks, points), count) in enumerate(ballots.items()):
            cursor.execute(
                "INSERT INTO ballot (question_id, voter, marks, points) "
                "SELECT %s, decode(md5(%s || ':' || voter), 'hex'), %s, %s FROM generate_series(1, %s) AS voter",
                (poll.id, number, [poll.choice_ids[mark] for mark in marks], points and list(points), count),
            )
        cursor.execute("UPDATE question SET ballots = %s WHERE id = %s", (sum(ballots.values()), poll.id))
    cursor.execute(
        # All are wrong by one in sealed polls: a correction is in the history.
        """
        UPDATE choice
        SET votes = coalesce(mark.votes, 0) + coalesce(is_sealed::integer, 0), points = coalesce(mark.points, 0)
        FROM choice AS counted
        LEFT JOIN poll_settings USING (question_id)
        LEFT JOIN (
            SELECT choice_id, count(*) AS votes, sum(points) AS points
            FROM (SELECT unnest(marks) AS choice_id, unnest(points) AS points FROM ballot) AS each
            GROUP BY choice_id
        ) AS mark ON mark.choice_id = counted.id
        WHERE counted.id = choice.id
        """
    )


def _insert_poll(cursor: psycopg2.extensions.cursor, poll: TwinPoll) -> None:
    question = {
        "question_text": f"Which of these, {poll.slug.replace('-', ' ')}?",
        "pub_date": PUBLISHED,
        "slug": poll.slug,
        "is_listed": True,
        "voter_salt": sha256(poll.slug.encode()).digest(),
    }
    settings = {"question_id": poll.id, **asdict(poll.settings), "owner_hash": hash_of(poll.key), "asked_at": ENDED}
    _insert_row(cursor, "question", question)
    _insert_row(cursor, "poll_settings", settings)
    for position, text in enumerate(CHOICES, start=1):
        _insert_row(cursor, "choice", {"question_id": poll.id, "choice_text": text, "position": position})


def _insert_row(cursor: psycopg2.extensions.cursor, table: str, values: Mapping[str, object]) -> None:
    names = ", ".join(values)
    cursor.execute(f"INSERT INTO {table} ({names}) VALUES %s", (tuple(values.values()),))


def _correct_counts(connection: Connection) -> None:
    recounts = list(recount(connection))
    assert not any(result.invalid for result in recounts)
    assert list(repair(connection, recounts))
