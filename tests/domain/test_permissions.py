from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from polls.domain.account import Account
from polls.domain.permissions import COMMAND_LINE, Person
from polls.domain.poll import Choice, Poll, Question, State

NOW = datetime(2026, 5, 3, 18, tzinfo=UTC)
ADA = Account(1, "ada", NOW).person
PUBLIC = Poll(Question(1, "Tea?", NOW - timedelta(days=1)), (Choice(1, "Yes"),), NOW)
SCHEDULED = replace(PUBLIC, question=replace(PUBLIC.question, pub_date=NOW + timedelta(days=1)))


@pytest.mark.parametrize(
    ("person", "sees", "edits"),
    [(ADA, True, True), (COMMAND_LINE, True, True), (Person("visitor"), False, False)],
)
def test_only_admins_see_a_poll_before_it_is_published(person: Person, sees: bool, edits: bool) -> None:
    assert person.may_see(PUBLIC)
    assert person.may_see(SCHEDULED) is sees
    assert person.may_edit(SCHEDULED) is edits
    assert person.may_create_polls is person.may_see_all is person.may_manage_accounts is edits


def test_an_admin_is_named_by_the_user_name_in_history() -> None:
    assert ADA.name == "admin:ada"


@pytest.mark.parametrize(
    ("published", "closes", "state"),
    [
        (1, None, State.SCHEDULED),
        (1, -1, State.SCHEDULED),
        (0, None, State.OPEN),
        (-1, 1, State.OPEN),
        (-1, 0, State.CLOSED),
        (-2, -1, State.CLOSED),
    ],
)
def test_a_question_is_scheduled_then_open_then_closed(published: int, closes: int | None, state: State) -> None:
    end = None if closes is None else NOW + timedelta(seconds=closes)

    assert Question(1, "Tea?", NOW + timedelta(seconds=published), end).state(NOW) is state
