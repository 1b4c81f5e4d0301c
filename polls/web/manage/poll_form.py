"""The values of a poll's form, most of them text as posted, and the functions that fill it from a poll."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from polls.domain.draft import MAX_CHOICES
from polls.domain.poll import Poll
from polls.web.http.parameters import parse_number
from polls.web.manage.datetime_fields import DateTimeFields, format_moment

EMPTY_ROWS = 3


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """A choice in the form. `number` is part of its fields' names; `id` is empty for a new choice."""

    number: int
    text: str = ""
    position: str = ""
    id: str = ""
    is_removed: bool = False

    @property
    def is_empty(self) -> bool:
        """Return whether it is an unused row for a new choice."""
        return not self.id and not self.text.strip()


@dataclass(frozen=True, slots=True)
class PollForm:
    """All fields of the form.

    `edition` is the edition of the poll that the form was filled from, `confirmed` the ids of the choices that may be
    removed with their votes.
    """

    text: str
    published: DateTimeFields
    closes: DateTimeFields
    rows: tuple[ChoiceRow, ...]
    edition: int = 0
    confirmed: frozenset[int] = frozenset()

    @property
    def with_empty_rows(self) -> "PollForm":
        """A copy with EMPTY_ROWS empty rows for new choices, fewer near the limit of choices."""
        used = tuple(row for row in self.rows if not row.is_empty)
        return _add_rows(replace(self, rows=used), min(EMPTY_ROWS, max(0, MAX_CHOICES - len(used))))

    @property
    def with_another_row(self) -> "PollForm":
        """A copy with one more empty row."""
        return _add_rows(self, 1)


def new_poll_form(now: datetime, zone: tzinfo) -> PollForm:
    """Return the form for a new poll, published now by default."""
    return PollForm("", format_moment(now, zone), DateTimeFields(), ()).with_empty_rows


def poll_form(poll: Poll, zone: tzinfo) -> PollForm:
    """Return the form filled from `poll`."""
    question = poll.question
    rows = tuple(
        ChoiceRow(position - 1, choice.text, str(position), str(choice.id))
        for position, choice in enumerate(poll.choices, start=1)
    )
    published, closes = format_moment(question.pub_date, zone), format_moment(question.closes_at, zone)
    return PollForm(question.text, published, closes, rows, poll.edition).with_empty_rows


def rebase(form: PollForm, poll: Poll) -> PollForm:
    """Return `form` with the edition of `poll`, which was saved after the form was filled.

    A choice that was deleted becomes a new one again; a choice that was added comes last.
    """
    saved_ids = {str(choice.id) for choice in poll.choices}
    rows = [
        row if row.id in saved_ids else replace(row, id="")
        for row in form.rows
        if row.id in saved_ids or not row.is_removed
    ]
    form_ids = {row.id for row in rows}
    first = _next_number(rows)
    rows += [
        ChoiceRow(first + offset, choice.text, "", str(choice.id))
        for offset, choice in enumerate(choice for choice in poll.choices if str(choice.id) not in form_ids)
    ]
    return replace(form, rows=tuple(rows), edition=poll.edition)


def votes_by_row(form: PollForm, poll: Poll | None) -> dict[int, int]:
    """Return {row number: votes} of the rows of saved choices."""
    votes = {str(choice.id): choice.votes for choice in poll.choices} if poll else {}
    return {row.number: votes[row.id] for row in form.rows if row.id in votes}


def _add_rows(form: PollForm, count: int) -> PollForm:
    first = _next_number(form.rows)
    last_position = max((parse_number(row.position) or 0 for row in form.rows), default=0)
    added = (ChoiceRow(first + index, position=str(last_position + index + 1)) for index in range(count))
    return replace(form, rows=(*form.rows, *added))


def _next_number(rows: Sequence[ChoiceRow]) -> int:
    return max((row.number for row in rows), default=-1) + 1
