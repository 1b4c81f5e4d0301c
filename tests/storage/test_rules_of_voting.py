"""Voting and editing in random order, compared with a model of plain Python objects (Hypothesis)."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

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
from polls.domain.errors import InvalidChoice, PollClosed, PollNotFound
from polls.storage.ballots import Recorder
from polls.storage.postgres.connect import Connection, connect
from polls.storage.postgres.pool import Database
from polls.storage.recount import recount

Result = TypeVar("Result")

TIMEOUT = 5  # seconds

VOTERS = st.sampled_from([b"ann", b"bob", b"cid"])


@dataclass
class Model:
    """A poll as a plain Python object."""

    choices: list[int]
    is_closed: bool = False
    ballots: dict[bytes, tuple[int, ...]] = field(default_factory=dict)

    def cast(self, ballot: Ballot) -> type[Exception] | None:
        if not self.choices:
            return PollNotFound
        if len(ballot.marks) != 1 or ballot.marks[0] not in self.choices:
            return InvalidChoice
        if self.is_closed:
            return PollClosed
        self.ballots[ballot.voter] = ballot.marks
        return None


class Voting(RuleBasedStateMachine):
    """Two processes, three voters, and an operator with a shell."""

    def __init__(self, postgres: Postgres, database: Connection) -> None:
        super().__init__()
        self.postgres = postgres
        self.shell = database.cursor()

    @initialize()
    def begin(self) -> None:
        self.shell.execute("TRUNCATE question RESTART IDENTITY CASCADE")
        self.polls: dict[int, Model] = {}
        self.loop = asyncio.new_event_loop()
        self.recorders = [Recorder(Database(self.postgres)), Recorder(Database(self.postgres))]
        self.create_poll(2)

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(coroutine)

    def teardown(self) -> None:
        for recorder in self.recorders:
            recorder.close()
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()
        self.shell.close()

    @rule(choices=st.integers(0, 3))
    def create_poll(self, choices: int) -> None:
        self.shell.execute("INSERT INTO question (question_text, pub_date) VALUES ('?', now()) RETURNING id")
        ((poll,),) = self.shell.fetchall()
        self.polls[poll] = Model([])
        for _ in range(choices):
            self.add_choice(poll)

    def add_choice(self, poll: int) -> None:
        self.shell.execute("INSERT INTO choice (question_id, choice_text) VALUES (%s, '!') RETURNING id", (poll,))
        ((choice,),) = self.shell.fetchall()
        self.polls[poll].choices.append(choice)

    @rule(data=st.data(), process=st.integers(0, 1))
    def cast(self, data: st.DataObject, process: int) -> None:
        choices = [(poll, choice) for poll, model in self.polls.items() for choice in model.choices]
        polls, marks = st.sampled_from([*self.polls, 99]), st.sampled_from([*(choice for _, choice in choices), 99])
        arbitrary = st.builds(Ballot, polls, VOTERS, st.lists(marks, max_size=2).map(sorted).map(tuple))
        valid = st.builds(
            lambda chosen, voter: Ballot(chosen[0], voter, (chosen[1],)), st.sampled_from(choices or [(99, 99)]), VOTERS
        )
        ballots = data.draw(st.lists(st.one_of(valid, valid, arbitrary), max_size=8))

        outcomes = self.run(self.recorders[process].record(ballots, TIMEOUT))

        expected = [
            self.polls[ballot.question_id].cast(ballot) if ballot.question_id in self.polls else PollNotFound
            for ballot in ballots
        ]
        assert [None if isinstance(outcome, Counted) else type(outcome) for outcome in outcomes] == expected

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
        model.choices.remove(choice)
        self.shell.execute("DELETE FROM choice WHERE id = %s", (choice,))

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
        self.shell.execute("SELECT id, votes FROM choice")
        marks = Counter(mark for model in self.polls.values() for marks in model.ballots.values() for mark in marks)
        choices = [choice for model in self.polls.values() for choice in model.choices]
        assert dict(self.shell.fetchall()) == {choice: marks[choice] for choice in choices}

    @invariant()
    def the_recount_agrees(self) -> None:
        with connect(self.postgres) as connection:
            assert [poll for poll in recount(connection) if not poll.is_exact] == []


def test_counts_equal_those_of_a_plain_model(postgres: Postgres, database: Connection) -> None:
    run_state_machine_as_test(
        lambda: Voting(postgres, database),
        settings=settings(
            max_examples=50,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            phases=set(Phase) - {Phase.shrink, Phase.explain},  # against a database, that takes minutes
        ),
    )
