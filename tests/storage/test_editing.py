"""Editing while people vote: nothing that was acknowledged is lost, and every number stays the number of ballots."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from polls.config.settings import Postgres
from polls.domain.ballot import Ballot
from polls.domain.draft import Draft, DraftChoice
from polls.domain.errors import ChoicesHaveVotes, PollEdited, PollNotFound
from polls.domain.permissions import COMMAND_LINE, Person
from polls.domain.poll import Poll
from polls.storage import editing, history, questions
from polls.storage.ballots import Recorder
from polls.storage.history import of_poll
from polls.storage.postgres.connect import Connection, connect
from polls.storage.postgres.pool import Database, open_database
from polls.storage.recount import recount
from tests.conftest import Ask

ADA = Person("admin:ada", is_admin=True)
ANONYMOUS = Person("somebody")


@pytest.fixture
async def engine(postgres: Postgres, database: Connection) -> AsyncIterator[Database]:  # noqa: ARG001 - it is emptied
    engine = await open_database(replace(postgres, maxsize=10))
    yield engine
    await engine.close()


def is_exact(postgres: Postgres) -> bool:
    with connect(postgres) as connection:
        return all(poll.is_exact and not poll.astray for poll in recount(connection))


def draft_of(poll: Poll, **changes: object) -> Draft:
    question = poll.question
    choices = tuple(DraftChoice(choice.text, choice.id) for choice in poll.choices)
    draft = Draft(question.text, question.pub_date, question.closes_at, choices, edition=poll.edition)
    return replace(draft, **changes)  # type: ignore[arg-type]


async def find(engine: Database) -> Poll:
    poll = await questions.find(engine, 1)
    assert poll
    return poll


async def test_whatever_admins_do_while_others_vote_every_number_stays_exact(
    engine: Database, postgres: Postgres, ask: Ask
) -> None:
    ask("Tea?", "One", "Two", "Three", "Four")
    dice = random.Random(5)
    counted = 0
    end = asyncio.get_running_loop().time() + 3

    async def vote() -> None:
        nonlocal counted
        recorder = Recorder(engine)
        while asyncio.get_running_loop().time() < end:
            poll = await find(engine)
            ballots = [Ballot(1, b"voter %d" % dice.randrange(300), (dice.choice(poll.choices).id,)) for _ in range(20)]
            outcomes = await recorder.record(ballots, 3)
            counted += sum(isinstance(outcome, int) for outcome in outcomes)
        recorder.close()

    async def look_after() -> None:
        while asyncio.get_running_loop().time() < end:
            poll = await find(engine)
            match dice.randrange(5):
                case 0:
                    await editing.close(engine, ADA, [1])
                    await editing.reopen(engine, ADA, [1])
                case 1:
                    await editing.clear(engine, ADA, [1])
                case 2:
                    added = (*draft_of(poll).choices, DraftChoice(f"New {dice.random()}"))
                    await attempt(draft_of(poll, choices=added))
                case 3 if len(poll.choices) > 2:
                    gone = dice.choice(poll.choices).id
                    kept = tuple(choice for choice in draft_of(poll).choices if choice.id != gone)
                    await attempt(draft_of(poll, choices=kept, removed=frozenset([gone])), gone)
                case _:
                    await attempt(draft_of(poll, text=f"Tea {dice.random()}?"))
            await asyncio.sleep(0.01)

    async def attempt(draft: Draft, *confirmed: int) -> None:
        with contextlib.suppress(PollEdited):
            await editing.change(engine, ADA, 1, draft, confirmed=frozenset(confirmed))

    await asyncio.gather(vote(), vote(), vote(), look_after(), look_after())

    assert counted > 1000
    assert is_exact(postgres)


@pytest.mark.parametrize("ballots", [editing._AT_ONCE * 2, editing._AT_ONCE * 2 + 1])
@pytest.mark.parametrize("deed", ["remove", "clear", "delete"])
async def test_a_poll_with_more_ballots_than_a_statement_deletes(
    engine: Database, postgres: Postgres, ask: Ask, ballots: int, deed: str
) -> None:
    poll = ask("Tea?", "Yes", "No", votes=(ballots, 3))

    match deed:
        case "remove":
            gone = poll.choices[0].id
            draft = draft_of(poll, choices=draft_of(poll).choices[1:], removed=frozenset([gone]))
            await editing.change(engine, ADA, 1, draft, confirmed=frozenset([gone]))
            assert (await find(engine)).ballots == 3
        case "clear":
            assert await editing.clear(engine, ADA, [1]) == 1
            assert (await find(engine)).ballots == 0
        case "delete":
            assert await editing.delete(engine, ADA, [1]) == 1
            assert await questions.find(engine, 1) is None

    assert is_exact(postgres)


async def test_a_ballot_for_a_choice_that_was_removed_meanwhile_is_refused(engine: Database, ask: Ask) -> None:
    poll = ask("Tea?", "Yes", "No")
    recorder = Recorder(engine)
    yes, no = (Ballot(1, voter, (choice.id,)) for voter, choice in zip((b"one", b"two"), poll.choices, strict=True))
    assert all(isinstance(outcome, int) for outcome in await recorder.record([yes, no], 3))

    draft = draft_of(await find(engine), choices=draft_of(poll).choices[1:], removed=frozenset(yes.marks))
    await editing.change(engine, ADA, 1, draft, confirmed=frozenset(yes.marks))
    outcomes = await recorder.record([replace(yes, voter=b"three"), replace(no, voter=b"one")], 3)
    recorder.close()

    assert [type(outcome).__name__ for outcome in outcomes] == ["NothingChosen", "int"]
    assert [choice.votes for choice in (await find(engine)).choices] == [2]


async def test_who_may_not_edit_finds_no_poll_and_changes_nothing(engine: Database, ask: Ask) -> None:
    poll = ask("Tea?", "Yes", votes=(3,))

    with pytest.raises(PollNotFound):
        await editing.change(engine, ANONYMOUS, 1, draft_of(poll, text="Coffee?"))
    deeds = [editing.close, editing.clear, editing.reopen, editing.delete]
    counts = [await deed(engine, ANONYMOUS, [1]) for deed in deeds]

    assert counts == [0, 0, 0, 0]
    assert await find(engine) == poll
    assert await history.latest(engine, limit=1) == []


async def test_votes_that_come_between_drafting_and_saving_ask_for_a_confirmation(engine: Database, ask: Ask) -> None:
    poll = ask("Tea?", "Yes", "No")
    recorder = Recorder(engine)
    await recorder.record([Ballot(1, b"one", (poll.choices[0].id,))], 3)
    recorder.close()

    with pytest.raises(ChoicesHaveVotes) as refused:
        await editing.change(
            engine, ADA, 1, draft_of(poll, choices=(), removed=frozenset(choice.id for choice in poll.choices))
        )

    assert refused.value.votes == {poll.choices[0].id: 1}
    assert len((await find(engine)).choices) == 2


async def test_the_command_line_can_put_a_question_too(engine: Database) -> None:
    draft = Draft("Tea?", datetime.now(UTC), None, (DraftChoice("Yes"), DraftChoice("No")))

    question_id = await editing.add(engine, COMMAND_LINE, draft)

    (entry,) = await history.latest(engine, subject=of_poll(question_id), limit=5)
    assert (entry.actor, entry.deed.verb) == ("command line", "added")


async def test_a_poll_that_ends_while_its_closing_waits_ends_when_it_was_to(
    engine: Database, postgres: Postgres, ask: Ask, database: Connection
) -> None:
    ask("Tea?", "Yes")
    with database.cursor() as cursor, connect(postgres) as other, other.cursor() as holding:
        cursor.execute("UPDATE question SET closes_at = now() + interval '200 milliseconds' RETURNING closes_at")
        planned = cursor.fetchone()
        holding.execute("SELECT FROM question FOR UPDATE")
        closing = asyncio.create_task(editing.close(engine, ADA, [1]))
        await asyncio.sleep(0.4)
        other.rollback()
        await closing

        cursor.execute("SELECT closes_at FROM question")
        assert cursor.fetchone() == planned
