"""Editing during voting: no acknowledged ballot is lost, and counts stay exact."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import psycopg2
import pytest

from polls.config.settings import Postgres
from polls.domain.ballot import Ballot, Counted
from polls.domain.draft import Draft, DraftChoice
from polls.domain.errors import (
    ChoicesHaveVotes,
    ChoicesMarkedBesideOthers,
    PollEdited,
    PollNotFound,
    PollsUnavailable,
    RulesFixed,
)
from polls.domain.permissions import COMMAND_LINE, Person
from polls.domain.poll import Poll
from polls.domain.settings import DEFAULT_SETTINGS, PollSettings
from polls.storage import bulk_editing, editing, history, questions
from polls.storage.ballots import Recorder
from polls.storage.history import poll_subject
from polls.storage.postgres.connect import Connection, connect
from polls.storage.postgres.pool import Database, open_database
from polls.storage.recount import recount
from tests.conftest import CreatePoll

ADA = Person("admin:ada", is_admin=True)
ANONYMOUS = Person("anonymous")

BALLOTS = 4_000  # counted while admins edit


@pytest.fixture
async def pool(postgres: Postgres, database: Connection) -> AsyncIterator[Database]:  # noqa: ARG001 - it is emptied
    pool = await open_database(replace(postgres, maxsize=10))
    yield pool
    await pool.close()


def is_exact(postgres: Postgres) -> bool:
    with connect(postgres) as connection:
        return all(poll.is_exact and not poll.orphaned for poll in recount(connection))


def draft_of(poll: Poll, **changes: object) -> Draft:
    question = poll.question
    choices = tuple(DraftChoice(choice.text, choice.id) for choice in poll.choices)
    draft = Draft(
        question.text, question.pub_date, question.closes_at, choices, edition=poll.edition, settings=poll.settings
    )
    return replace(draft, **changes)  # type: ignore[arg-type]


@pytest.fixture
def recorder(pool: Database) -> Iterator[Recorder]:
    with contextlib.closing(Recorder(pool)) as recorder:
        yield recorder


async def find(pool: Database) -> Poll:
    poll = await questions.find(pool, 1)
    assert poll
    return poll


async def test_counts_stay_exact_while_admins_edit_and_voters_vote(
    pool: Database, postgres: Postgres, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "One", "Two", "Three", "Four")
    dice = random.Random(5)
    counted = 0

    async def vote() -> None:
        nonlocal counted
        with contextlib.closing(Recorder(pool)) as recorder:
            while counted < BALLOTS:
                poll = await find(pool)
                voters = [b"voter %d" % dice.randrange(300) for _ in range(20)]
                ballots = [Ballot(1, voter, (dice.choice(poll.choices).id,)) for voter in voters]
                outcomes = await recorder.record(ballots, 3)
                counted += sum(isinstance(outcome, Counted) for outcome in outcomes)

    async def edit() -> None:
        while counted < BALLOTS:
            poll = await find(pool)
            match dice.randrange(5):
                case 0:
                    await bulk_editing.close(pool, ADA, [1])
                    await bulk_editing.reopen(pool, ADA, [1])
                case 1:
                    await bulk_editing.clear(pool, ADA, [1])
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
            await editing.change(pool, ADA, 1, draft, confirmed=frozenset(confirmed))

    async with asyncio.timeout(60):
        await asyncio.gather(vote(), vote(), vote(), edit(), edit())

    assert is_exact(postgres)


@pytest.mark.parametrize("ballots", [editing.BATCH_SIZE * 2, editing.BATCH_SIZE * 2 + 1])
@pytest.mark.parametrize("action", ["remove", "clear", "delete"])
async def test_more_ballots_are_deleted_than_one_statement_deletes(
    pool: Database, postgres: Postgres, create_poll: CreatePoll, ballots: int, action: str
) -> None:
    poll = create_poll("Tea?", "Yes", "No", votes=(ballots, 3))

    match action:
        case "remove":
            gone = poll.choices[0].id
            draft = draft_of(poll, choices=draft_of(poll).choices[1:], removed=frozenset([gone]))
            await editing.change(pool, ADA, 1, draft, confirmed=frozenset([gone]))
            assert (await find(pool)).ballots == 3
        case "clear":
            assert await bulk_editing.clear(pool, ADA, [1]) == 1
            assert (await find(pool)).ballots == 0
        case "delete":
            assert await bulk_editing.delete(pool, ADA, [1]) == 1
            assert await questions.find(pool, 1) is None

    assert is_exact(postgres)


async def test_a_ballot_for_a_choice_that_was_removed_meanwhile_is_refused(
    pool: Database, recorder: Recorder, create_poll: CreatePoll
) -> None:
    poll = create_poll("Tea?", "Yes", "No")
    yes, no = (Ballot(1, voter, (choice.id,)) for voter, choice in zip((b"one", b"two"), poll.choices, strict=True))
    assert all(isinstance(outcome, Counted) for outcome in await recorder.record([yes, no], 3))

    draft = draft_of(await find(pool), choices=draft_of(poll).choices[1:], removed=frozenset(yes.marks))
    await editing.change(pool, ADA, 1, draft, confirmed=frozenset(yes.marks))
    outcomes = await recorder.record([replace(yes, voter=b"three"), replace(no, voter=b"one")], 3)

    assert [type(outcome).__name__ for outcome in outcomes] == ["InvalidBallot", "Counted"]
    assert [choice.votes for choice in (await find(pool)).choices] == [2]


async def test_a_person_without_permission_finds_no_poll_and_changes_nothing(
    pool: Database, create_poll: CreatePoll
) -> None:
    poll = create_poll("Tea?", "Yes", votes=(3,))

    with pytest.raises(PollNotFound):
        await editing.change(pool, ANONYMOUS, 1, draft_of(poll, text="Coffee?"))
    actions = [bulk_editing.close, bulk_editing.clear, bulk_editing.reopen, bulk_editing.delete]
    counts = [await action(pool, ANONYMOUS, [1]) for action in actions]

    assert counts == [0, 0, 0, 0]
    assert await find(pool) == poll
    assert await history.latest(pool, limit=1) == []


async def test_removing_a_choice_that_got_votes_meanwhile_needs_confirmation(
    pool: Database, recorder: Recorder, create_poll: CreatePoll
) -> None:
    poll = create_poll("Tea?", "Yes", "No")
    await recorder.record([Ballot(1, b"one", (poll.choices[0].id,))], 3)

    with pytest.raises(ChoicesHaveVotes) as refused:
        await editing.change(
            pool, ADA, 1, draft_of(poll, choices=(), removed=frozenset(choice.id for choice in poll.choices))
        )

    assert refused.value.votes == {poll.choices[0].id: 1}
    assert len((await find(pool)).choices) == 2


async def test_the_command_line_can_add_a_poll(pool: Database) -> None:
    draft = Draft("Tea?", datetime.now(UTC), None, (DraftChoice("Yes"), DraftChoice("No")))

    question_id = await editing.add(pool, COMMAND_LINE, draft)

    (entry,) = await history.latest(pool, subject=poll_subject(question_id), limit=5)
    assert (entry.actor, entry.verb) == ("command line", "added")


async def test_a_poll_whose_end_comes_while_close_waits_keeps_its_end(
    pool: Database, postgres: Postgres, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes")
    with database.cursor() as cursor, connect(postgres) as other, other.cursor() as holding:
        cursor.execute("UPDATE question SET closes_at = now() + interval '200 milliseconds' RETURNING closes_at")
        planned = cursor.fetchone()
        holding.execute("SELECT FROM question FOR UPDATE")
        closing = asyncio.create_task(bulk_editing.close(pool, ADA, [1]))
        await asyncio.sleep(0.4)
        other.rollback()
        await closing

        cursor.execute("SELECT closes_at FROM question")
        assert cursor.fetchone() == planned


async def test_an_action_on_many_polls_is_done_in_batches_that_bound_polls_and_ballots(
    pool: Database, postgres: Postgres, database: Connection, create_poll: CreatePoll
) -> None:
    for count in (3, bulk_editing.BATCH_SIZE, 2):
        create_poll("Tea?", "Yes", votes=(count,))
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO question (question_text, pub_date) SELECT 'x', now() FROM generate_series(1, 120)")
    batches: list[int] = []

    async def delete(pool: Database, person: Person, question_ids: Sequence[int]) -> int:
        batches.append(len(question_ids))
        return await bulk_editing.delete(pool, person, question_ids)

    progress = await bulk_editing.in_batches(delete, pool, ADA, range(1, 200), seconds=60)

    assert progress == (123, [])
    assert batches == [1, 1, 50, 50, 21]
    assert is_exact(postgres)
    assert len(await history.latest(pool, limit=200)) == 123


async def test_what_an_action_had_no_time_for_or_could_not_do_is_left(pool: Database, database: Connection) -> None:
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO question (question_text, pub_date) SELECT 'x', now() FROM generate_series(1, 120)")

    async def fail_on_the_last_batch(pool: Database, person: Person, question_ids: Sequence[int]) -> int:
        if 120 in question_ids:
            raise PollsUnavailable
        return await bulk_editing.close(pool, person, question_ids)

    progress = await bulk_editing.in_batches(bulk_editing.close, pool, ADA, range(1, 121), seconds=0)
    assert progress == (50, list(range(51, 121)))
    progress = await bulk_editing.in_batches(fail_on_the_last_batch, pool, ADA, progress.rest, seconds=60)
    assert progress == (50, list(range(101, 121)))
    with pytest.raises(PollsUnavailable):
        await bulk_editing.in_batches(fail_on_the_last_batch, pool, ADA, progress.rest, seconds=60)


async def test_settings_are_saved_and_told_in_history(pool: Database, create_poll: CreatePoll) -> None:
    settings = PollSettings("With cake.", "score", 1, None, 5, None, "bad", "good")
    poll = create_poll("Tea?", "Yes", "No")

    await editing.change(pool, ADA, 1, draft_of(poll, settings=settings))

    saved = await find(pool)
    assert (saved.settings, saved.edition) == (settings, poll.edition + 1)
    (change,) = await history.latest(pool, subject=poll_subject(1), limit=1)
    assert {(each.what, each.old, each.new) for each in change.changes} == {
        ("description", None, "With cake."),
        ("method", None, "score"),
        ("score.most_points", None, "5"),
        ("score.lowest_label", None, "bad"),
        ("score.highest_label", None, "good"),
    }


async def test_default_settings_are_stored_as_no_row(
    pool: Database, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No")
    added = await editing.add(pool, ADA, draft_of(await find(pool)))
    await editing.change(pool, ADA, 1, draft_of(await find(pool), settings=PollSettings("With cake.")))
    await editing.change(pool, ADA, 1, draft_of(await find(pool), settings=DEFAULT_SETTINGS))

    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM poll_settings")
        assert cursor.fetchone() == (0,)
    assert added == 2
    assert (await find(pool)).settings == DEFAULT_SETTINGS


async def test_the_rules_of_a_poll_with_ballots_are_kept_until_they_are_cleared(
    pool: Database, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes", "No", votes=(1, 0))
    several = PollSettings(method="multiple", most_marks=None)

    with pytest.raises(RulesFixed):
        await editing.change(pool, ADA, 1, draft_of(await find(pool), settings=several))
    with pytest.raises(psycopg2.errors.CheckViolation), database.cursor() as cursor:
        cursor.execute("INSERT INTO poll_settings (question_id, method, most_marks) VALUES (1, 'multiple', NULL)")
    await editing.change(pool, ADA, 1, draft_of(await find(pool), settings=PollSettings("With cake.")))
    assert (await find(pool)).question.edited_at

    await bulk_editing.clear(pool, ADA, [1])
    await editing.change(pool, ADA, 1, draft_of(await find(pool), settings=several))
    assert (await find(pool)).settings == several


async def test_a_choice_that_is_marked_beside_others_is_kept(
    pool: Database, postgres: Postgres, create_poll: CreatePoll
) -> None:
    settings = PollSettings(method="dots", most_marks=None, most_points=3, budget=5)
    create_poll("Tea?", "Yes", "No", "Perhaps")
    await editing.change(pool, ADA, 1, draft_of(await find(pool), settings=settings))
    with contextlib.closing(Recorder(Database(postgres))) as recorder:
        await recorder.record([Ballot(1, b"ann", (1, 2), (3, 2))], 5)
    poll = await find(pool)

    with pytest.raises(ChoicesMarkedBesideOthers) as refused:
        await editing.change(pool, ADA, 1, draft_of(poll, choices=(), removed=frozenset({1, 3})))
    assert refused.value.votes == {1: 1}
    await editing.change(pool, ADA, 1, draft_of(poll, choices=(), removed=frozenset({3})))

    assert [(choice.votes, choice.points) for choice in (await find(pool)).choices] == [(1, 3), (1, 2)]
    await bulk_editing.clear(pool, ADA, [1])
    assert [(choice.votes, choice.points) for choice in (await find(pool)).choices] == [(0, 0), (0, 0)]
    assert is_exact(postgres)


@pytest.mark.usefixtures("database")
async def test_only_those_who_moderate_give_a_poll_a_slug(pool: Database) -> None:
    draft = Draft("Tea?", datetime.now(UTC), None, (DraftChoice("Yes"),), custom_slug="team-lunch")

    by_others = await editing.add(pool, Person("visitor"), draft)
    by_admin = await editing.add(pool, COMMAND_LINE, draft)

    found = [await questions.find(pool, question_id) for question_id in (by_others, by_admin)]
    assert [poll and poll.question.custom_slug for poll in found] == [None, "team-lunch"]
