"""The values of a poll's form, most of them text as posted, filled from a poll or from posted fields."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from multidict import MultiMapping

from polls.domain.draft import MAX_CHOICES, replace_unprintable
from polls.domain.poll import FIRST_DAY, LAST_DAY, Poll
from polls.domain.settings import DEFAULT_SETTINGS
from polls.web.http.forms import multiline_field, text_field
from polls.web.http.parameters import MAX_NUMBER, parse_number
from polls.web.manage.settings_form import SettingsForm, parse_settings, settings_form

EMPTY_ROWS = 3  # for new choices, fewer near the limit of choices
_MAX_LINES = 200  # that become choices: more than a poll can have, but the form shows them again
_NO_POSITION = MAX_NUMBER + 1  # sorts after all positions
MAX_BYTES = 512 * 1024  # twice the size of a hundred choices of two hundred emojis each

_TEXT_OF_CHOICE = re.compile(r"choice\.([0-9]{1,6})\.text")
FORM_KEY = re.compile("[0-9a-f]{32}")
_EDITION = re.compile("[0-9]{1,18}")
_DATE_TIME = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}(:[0-9]{2})?")


class DateTimeFields(NamedTuple):
    """A date and a time as text, both empty for no moment.

    `fold` is "0" or "1", the first or the second moment of that time, on a day on which the clock shows it twice.
    """

    date: str = ""
    time: str = ""
    fold: str = ""

    @property
    def is_empty(self) -> bool:
        """Return whether they name no moment."""
        return not (self.date.strip() or self.time.strip())


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
    removed with their votes, `confirmed_end` the fields of a closing time that may be in the past, as one text,
    `back` the page that the form came from, `key` the random key of a form that adds a poll. `slug` is None in a form
    without that field.
    """

    text: str
    published: DateTimeFields
    closes: DateTimeFields
    rows: tuple[ChoiceRow, ...]
    settings: SettingsForm
    edition: int = 0
    confirmed: frozenset[int] = frozenset()
    confirmed_end: str = ""
    back: str = ""
    key: str = ""
    slug: str | None = None

    def with_rows_added(self, count: int) -> "PollForm":
        """Return a copy with `count` more empty rows."""
        first = _next_number(self.rows)
        last_position = max((parse_number(row.position) or 0 for row in self.rows), default=0)
        added = (ChoiceRow(first + index, position=str(last_position + index + 1)) for index in range(count))
        return replace(self, rows=(*self.rows, *added))


def new_poll_form() -> PollForm:
    """Return the form for a new poll. Without dates it is published when it is saved, and has no end."""
    return PollForm("", DateTimeFields(), DateTimeFields(), (), settings_form(DEFAULT_SETTINGS)).with_rows_added(
        EMPTY_ROWS
    )


def poll_form(poll: Poll, zone: tzinfo) -> PollForm:
    """Return the form filled from `poll`."""
    question = poll.question
    rows = tuple(
        ChoiceRow(position - 1, choice.text, str(position), str(choice.id))
        for position, choice in enumerate(poll.choices, start=1)
    )
    published, closes = format_moment(question.pub_date, zone), format_moment(question.closes_at, zone)
    form = PollForm(question.text, published, closes, rows, settings_form(poll.settings), poll.edition)
    form = replace(form, slug=question.custom_slug)
    return form.with_rows_added(min(EMPTY_ROWS, max(0, MAX_CHOICES - len(rows))))


def copy_form(poll: Poll, zone: tzinfo) -> PollForm:
    """Return the form for a new poll with the texts and settings of `poll`, and those of its dates that are to come."""
    form, question = poll_form(poll, zone), poll.question
    return replace(
        form,
        published=form.published if question.pub_date > poll.as_of else DateTimeFields(),
        closes=form.closes if question.closes_at and question.closes_at > poll.as_of else DateTimeFields(),
        rows=tuple(replace(row, id="") for row in form.rows),
        edition=0,
        slug=None,
    )


def has_dates(form: PollForm, poll: Poll | None, zone: tzinfo) -> bool:
    """Return whether the form has dates worth showing: an end, a publication to come, others than those of `poll`."""
    if poll is None:
        return not (form.published.is_empty and form.closes.is_empty)
    saved = (format_moment(poll.question.pub_date, zone), format_moment(poll.question.closes_at, zone))
    return not form.closes.is_empty or poll.question.pub_date > poll.as_of or (form.published, form.closes) != saved


def format_moment(moment: datetime | None, zone: tzinfo) -> DateTimeFields:
    """Return the fields for `moment` in `zone`, to the minute."""
    if moment is None:
        return DateTimeFields()
    local = moment.astimezone(zone)
    is_repeated = len(moments_at(local.replace(tzinfo=None), zone)) > 1
    return DateTimeFields(local.date().isoformat(), local.strftime("%H:%M"), str(local.fold) if is_repeated else "")


def local_time(fields: DateTimeFields) -> datetime | None:
    """Return the date and time of `fields` without a zone, or None if they are invalid."""
    text = f"{fields.date.strip()} {fields.time.strip()}"
    try:
        local = datetime.fromisoformat(text) if _DATE_TIME.fullmatch(text) else None
    except ValueError:
        return None
    return local if local and FIRST_DAY <= local.date() <= LAST_DAY else None


def moments_at(local: datetime, zone: tzinfo) -> list[datetime]:
    """Return the moments at which the clock in `zone` shows `local`.

    There is none in the hour that it skips in spring, and there are two in the hour that it repeats in autumn.
    """
    moments = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(moment for moment in moments if moment.astimezone(zone).replace(tzinfo=None) == local)


def parse_form(fields: MultiMapping[str]) -> PollForm:
    """Return the form as it was posted. Missing fields are empty: the form of another version may lack some.

    A missing or malformed edition is -1, which no poll has.
    """
    numbers = sorted({int(match[1]) for name in fields if (match := _TEXT_OF_CHOICE.fullmatch(name))})
    edition = text_field(fields, "edition")
    return PollForm(
        text_field(fields, "text"),
        _parse_datetime(fields, "published"),
        _parse_datetime(fields, "closes"),
        _with_a_row_per_line([_parse_row(fields, row_number) for row_number in numbers]),
        parse_settings(fields),
        int(edition) if _EDITION.fullmatch(edition) else -1,
        frozenset(id_ for value in fields.getall("confirmed", []) if (id_ := parse_number(value))),
        text_field(fields, "confirmed_end"),
        text_field(fields, "back"),
        fields.get("key", "") if FORM_KEY.fullmatch(fields.get("key", "")) else "",
        text_field(fields, "slug") if "slug" in fields else None,
    )


def _parse_datetime(fields: MultiMapping[str], name: str) -> DateTimeFields:
    return DateTimeFields(*(text_field(fields, f"{name}_{part}") for part in ("date", "time", "fold")))


def _parse_row(fields: MultiMapping[str], row_number: int) -> ChoiceRow:
    prefix = f"choice.{row_number}"
    choice_id = text_field(fields, f"{prefix}.id")
    return ChoiceRow(
        row_number,
        multiline_field(fields, f"{prefix}.text"),
        text_field(fields, f"{prefix}.position"),
        choice_id if parse_number(choice_id) else "",
        f"{prefix}.remove" in fields,
    )


def _with_a_row_per_line(rows: Sequence[ChoiceRow]) -> tuple[ChoiceRow, ...]:
    """Return `rows` with a new row for each further line of a text, after its row: a list was pasted there."""
    number = _next_number(rows)
    expanded: list[ChoiceRow] = []
    for row in rows if all("\n" not in row.text for row in rows) else sorted(rows, key=row_order):
        first, *others = [
            line for line in row.text.split("\n", max(0, _MAX_LINES - len(expanded))) if line.strip()
        ] or [""]
        expanded.append(replace(row, text=replace_unprintable(first)))
        expanded += [ChoiceRow(number + index, replace_unprintable(line.strip())) for index, line in enumerate(others)]
        number += len(others)
    if len(expanded) == len(rows):
        return tuple(expanded)
    return tuple(
        row if row.position.strip() and not parse_number(row.position.strip()) else replace(row, position=str(position))
        for position, row in enumerate(expanded, start=1)
    )


def row_order(row: ChoiceRow) -> tuple[int, bool]:
    """Sort by position, rows without one last; a row that was moved to the position of another comes before it."""
    position = parse_number(row.position.strip())
    return position or _NO_POSITION, position == row.number + 1


def rebase(form: PollForm, poll: Poll, zone: tzinfo) -> PollForm:
    """Return `form` with the edition of `poll`, which was saved after the form was filled.

    A choice that was deleted becomes a new one again; a choice that was added comes last. The choices of a form that
    has added the poll are those of the poll, in the same order, and it keeps the time at which it published the poll.
    """
    if form.key:
        published = format_moment(poll.question.pub_date, zone) if form.published.is_empty else form.published
        ids = (str(choice.id) for choice in poll.choices)
        rows = tuple(row if row.is_empty else replace(row, id=next(ids, "")) for row in form.rows)
        form = replace(form, published=published, rows=rows)
    saved_ids = {str(choice.id) for choice in poll.choices}
    kept = [
        row if row.id in saved_ids else replace(row, id="")
        for row in form.rows
        if row.id in saved_ids or not row.is_removed
    ]
    form_ids = {row.id for row in kept}
    added = [choice for choice in poll.choices if str(choice.id) not in form_ids]
    kept += [
        ChoiceRow(number, choice.text, id=str(choice.id)) for number, choice in enumerate(added, _next_number(kept))
    ]
    return replace(form, rows=tuple(kept), edition=poll.edition)


def _next_number(rows: Sequence[ChoiceRow]) -> int:
    return max((row.number for row in rows), default=-1) + 1
