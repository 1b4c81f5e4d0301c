"""Voting and editing in random order, compared with a model of plain Python objects (Hypothesis)."""

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg2
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from polls.config.settings import Postgres
from polls.domain.ballot import Ballot, Counted
from polls.domain.draft import Draft, DraftChoice
from polls.domain.errors import (
    ChoicesHaveVotes,
    ChoicesMarkedBesideOthers,
    InvalidBallot,
    PollClosed,
    PollNotFound,
    RulesFixed,
)
from polls.domain.permissions import COMMAND_LINE
from polls.domain.settings import DEFAULT_SETTINGS, PollSettings
from polls.storage import bulk_editing, editing, questions
from polls.storage.ballots import Recorder
from polls.storage.postgres.connect import Connection, connect
from polls.storage.postgres.pool import Database
from polls.storage.recount import recount

Result = TypeVar("Result")

TIMEOUT = 5  # seconds

VOTERS = st.sampled_from([b"ann", b"bob", b"cid"])


# {method: (settings in SQL, the numbers of marks of a ballot, the points of a mark, the points of a ballot)}
METHODS: dict[str, tuple[str, range, range | None, int]] = {
    "single": ("'single', 1, 1, NULL, NULL", range(1, 2), None, 0),
    "multiple": ("'multiple', 1, 2, NULL, NULL", range(1, 3), None, 0),
    "score": ("'score', 1, NULL, 3, NULL", range(1, 100), range(4), 300),
    "dots": ("'dots', 1, NULL, 2, 3", range(1, 100), range(1, 3), 3),
}
SETTINGS = {  # the same for the editor
    "single": DEFAULT_SETTINGS,
    "multiple": PollSettings(method="multiple", most_marks=2),
    "score": PollSettings(method="score", most_marks=None, most_points=3),
    "dots": PollSettings(method="dots", most_marks=None, most_points=2, budget=3),
}


@dataclass
class Model:
    """A poll as a plain Python object."""

    method: str
    choices: list[int]
    is_closed: bool = False
    ballots: dict[bytes, dict[int, int]] = field(default_factory=dict)  # {voter: {choice: points}}

    def cast(self, ballot: Ballot) -> type[Exception] | None:
        if not self.choices:
            return PollNotFound
        if not self.accepts(ballot):
            return InvalidBallot
        if self.is_closed:
            return PollClosed
        self.ballots[ballot.voter] = dict(zip(ballot.marks, ballot.points or [0] * len(ballot.marks), strict=True))
        return None

    def accepts(self, ballot: Ballot) -> bool:
        _, numbers, points, budget = METHODS[self.method]
        if len(ballot.marks) not in numbers or sorted({*ballot.marks} & {*self.choices}) != [*ballot.marks]:
            return False
        if points is None or ballot.points is None:
            return points is ballot.points
        return (
            len(ballot.points) == len(ballot.marks) and {*ballot.points} <= {*points} and sum(ballot.points) <= budget
        )

    def refusal_of_edit(
        self, method: str, removed: frozenset[int], confirmed: frozenset[int]
    ) -> type[Exception] | None:
        marked = {choice for choice in removed if self.counts(choice)[0]}
        if marked and self.method != "single":
            return ChoicesMarkedBesideOthers
        if marked - confirmed:
            return ChoicesHaveVotes
        return RulesFixed if self.ballots and self.method != method else None

    def counts(self, choice: int) -> tuple[int, int]:
        """Return the votes and the points of a choice."""
        points = [ballot[choice] for ballot in self.ballots.values() if choice in ballot]
        return len(points), sum(points)


class Voting(RuleBasedStateMachine):
    """Two processes, three voters, an editor, and an operator with a shell."""

    def __init__(self, postgres: Postgres, database: Connection, auditor: Connection) -> None:
        super().__init__()
        self.postgres = postgres
        self.auditor = auditor
        self.shell = database.cursor()

    @initialize()
    def begin(self) -> None:
        self.shell.execute("TRUNCATE question RESTART IDENTITY CASCADE")
        self.polls: dict[int, Model] = {}
        self.loop = asyncio.new_event_loop()
        self.recorders = [Recorder(Database(self.postgres)), Recorder(Database(self.postgres))]
        self.pool = Database(self.postgres)
        self.create_poll("single", 2)

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(coroutine)

    def teardown(self) -> None:
        for recorder in self.recorders:
            recorder.close()
        self.run(self.pool.close())
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()
        self.shell.close()

    @rule(method=st.sampled_from(list(METHODS)), choices=st.integers(0, 3))
    def create_poll(self, method: str, choices: int) -> None:
        self.shell.execute("INSERT INTO question (question_text, pub_date) VALUES ('?', now()) RETURNING id")
        ((poll,),) = self.shell.fetchall()
        if method != "single":
            self.set_method(poll, method)
        self.polls[poll] = Model(method, [])
        for _ in range(choices):
            self.add_choice(poll)

    def set_method(self, poll: int, method: str) -> None:
        self.shell.execute(
            f"""
            INSERT INTO poll_settings (question_id, method, fewest_marks, most_marks, most_points, budget)
            VALUES ({poll}, {METHODS[method][0]})
            ON CONFLICT (question_id) DO UPDATE SET (method, fewest_marks, most_marks, most_points, budget) = (
                excluded.method, excluded.fewest_marks, excluded.most_marks, excluded.most_points, excluded.budget
            )
            """
        )

    def add_choice(self, poll: int) -> None:
        self.shell.execute("INSERT INTO choice (question_id, choice_text) VALUES (%s, '!') RETURNING id", (poll,))
        ((choice,),) = self.shell.fetchall()
        self.polls[poll].choices.append(choice)

    @rule(data=st.data(), process=st.integers(0, 1))
    def cast(self, data: st.DataObject, process: int) -> None:
        choices = [(poll, choice) for poll, model in self.polls.items() for choice in model.choices]
        polls, marks = st.sampled_from([*self.polls, 99]), st.sampled_from([*(choice for _, choice in choices), 99])
        points = st.none() | st.lists(st.integers(-1, 4), max_size=3).map(tuple)
        arbitrary = st.builds(Ballot, polls, VOTERS, st.lists(marks, max_size=3).map(sorted).map(tuple), points)
        offered = [poll for poll, model in self.polls.items() if model.choices]
        valid = st.sampled_from(offered).flatmap(self.valid_ballots) if offered else arbitrary
        ballots = data.draw(st.lists(st.one_of(valid, valid, arbitrary), max_size=8))

        outcomes = self.run(self.recorders[process].record(ballots, TIMEOUT))

        expected = [
            self.polls[ballot.question_id].cast(ballot) if ballot.question_id in self.polls else PollNotFound
            for ballot in ballots
        ]
        assert [None if isinstance(outcome, Counted) else type(outcome) for outcome in outcomes] == expected

    def valid_ballots(self, poll: int) -> st.SearchStrategy[Ballot]:
        """Return ballots that fit the method of a poll, nearly all of them."""
        model = self.polls[poll]
        _, numbers, points, _ = METHODS[model.method]
        ballots = st.dictionaries(
            st.sampled_from(model.choices), st.sampled_from(points or [0]), min_size=1, max_size=max(numbers)
        )
        return st.builds(
            lambda voter, ballot: Ballot(
                poll, voter, tuple(sorted(ballot)), points and tuple(ballot[choice] for choice in sorted(ballot))
            ),
            VOTERS,
            ballots,
        )

    @precondition(lambda self: self.polls)
    @rule(data=st.data(), method=st.sampled_from(list(METHODS)))
    def change_method(self, data: st.DataObject, method: str) -> None:
        poll = data.draw(st.sampled_from(list(self.polls)))
        try:
            self.set_method(poll, method)
        except psycopg2.errors.CheckViolation:
            assert self.polls[poll].ballots
            assert self.polls[poll].method != method
        else:
            assert not self.polls[poll].ballots or self.polls[poll].method == method
            self.polls[poll].method = method

    @precondition(lambda self: self.polls)
    @rule(data=st.data(), added=st.integers(0, 1), is_confirmed=st.booleans(), keeps_method=st.booleans())
    def edit(self, data: st.DataObject, added: int, is_confirmed: bool, keeps_method: bool) -> None:
        with_ballots = [poll for poll, model in self.polls.items() if model.ballots]
        poll = data.draw(st.sampled_from(with_ballots or list(self.polls)))
        model = self.polls[poll]
        method = model.method if keeps_method else data.draw(st.sampled_from(list(METHODS)))
        removed = frozenset(data.draw(st.sets(st.sampled_from(model.choices), max_size=2)) if model.choices else ())
        confirmed = removed if is_confirmed else frozenset[int]()
        before = self.run(questions.find(self.pool, poll))
        assert before
        kept = [DraftChoice(choice.text, choice.id) for choice in before.choices if choice.id not in removed]
        choices = (*kept, *[DraftChoice("another")] * added)
        old = before.question
        draft = Draft(
            old.text, old.pub_date, old.closes_at, choices, removed, before.edition, settings=SETTINGS[method]
        )

        change = editing.change(self.pool, COMMAND_LINE, poll, draft, confirmed=confirmed)
        if refusal := model.refusal_of_edit(method, removed, confirmed):
            with pytest.raises(refusal):
                self.run(change)
            return
        self.run(change)
        model.method = method
        model.ballots = {voter: ballot for voter, ballot in model.ballots.items() if not ballot.keys() <= removed}
        after = self.run(questions.find(self.pool, poll))
        assert after
        model.choices = [choice.id for choice in after.choices]

    @precondition(lambda self: self.polls)
    @rule(data=st.data(), by_editor=st.booleans())
    def clear(self, data: st.DataObject, by_editor: bool) -> None:
        poll = data.draw(st.sampled_from(list(self.polls)))
        if by_editor:
            assert self.run(bulk_editing.clear(self.pool, COMMAND_LINE, [poll])) == bool(self.polls[poll].ballots)
            self.polls[poll].ballots.clear()
            return
        self.shell.execute(
            """
            WITH cleared AS (DELETE FROM ballot WHERE question_id = %(poll)s),
            counted AS (UPDATE choice SET votes = 0, points = 0 WHERE question_id = %(poll)s)
            UPDATE question SET ballots = 0 WHERE id = %(poll)s
            """,
            {"poll": poll},
        )
        self.polls[poll].ballots.clear()

    @precondition(lambda self: self.polls)
    @rule(data=st.data(), closed=st.booleans())
    def close(self, data: st.DataObject, closed: bool) -> None:
        poll = data.draw(st.sampled_from(list(self.polls)))
        self.polls[poll].is_closed = closed
        until = "clock_timestamp()" if closed else "NULL"
        self.shell.execute(f"UPDATE question SET closes_at = {until} WHERE id = %s", (poll,))

    @precondition(lambda self: self.polls)
    @rule(data=st.data())
    def add_choice_to_any_poll(self, data: st.DataObject) -> None:
        self.add_choice(data.draw(st.sampled_from(list(self.polls))))

    @precondition(lambda self: any(model.choices for model in self.polls.values()))
    @rule(data=st.data())
    def remove_choice(self, data: st.DataObject) -> None:
        model = data.draw(st.sampled_from([model for model in self.polls.values() if model.choices]))
        choice = data.draw(st.sampled_from(model.choices))
        is_marked = model.counts(choice) != (0, 0)
        try:
            self.shell.execute("DELETE FROM choice WHERE id = %s", (choice,))
        except psycopg2.errors.CheckViolation:
            assert model.method != "single"
            assert is_marked
        else:
            assert model.method == "single" or not is_marked
            model.choices.remove(choice)

    @precondition(lambda self: self.polls)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        poll = data.draw(st.sampled_from(list(self.polls)))
        del self.polls[poll]
        self.shell.execute("DELETE FROM question WHERE id = %s", (poll,))

    @rule(process=st.integers(0, 1))
    def lose_the_connection(self, process: int) -> None:
        self.recorders[process].close()

    @invariant()
    def every_ballot_is_counted(self) -> None:
        self.shell.execute("SELECT id, ballots FROM question")
        assert dict(self.shell.fetchall()) == {poll: len(model.ballots) for poll, model in self.polls.items()}
        self.shell.execute("SELECT id, votes, points FROM choice")
        assert {choice: counts for choice, *counts in self.shell.fetchall()} == {
            choice: [*model.counts(choice)] for model in self.polls.values() for choice in model.choices
        }

    @invariant()
    def the_recount_agrees(self) -> None:
        assert [poll for poll in recount(self.auditor) if not poll.is_exact or poll.invalid] == []


@pytest.fixture
def auditor(postgres: Postgres) -> Iterator[Connection]:
    with connect(postgres) as connection:
        yield connection


def test_counts_equal_those_of_a_plain_model(postgres: Postgres, database: Connection, auditor: Connection) -> None:
    run_state_machine_as_test(
        lambda: Voting(postgres, database, auditor),
        settings=settings(
            max_examples=50,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            phases=set(Phase) - {Phase.shrink, Phase.explain},  # against a database, that takes minutes
        ),
    )
