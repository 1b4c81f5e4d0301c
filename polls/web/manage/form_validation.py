"""Validation of a poll's form: it becomes a Draft, or error messages by field."""

from collections.abc import Iterator
from datetime import datetime, tzinfo

from polls.domain.draft import (
    MAX_CHOICES,
    MAX_TEXT_LENGTH,
    REPLACEMENT_CHARACTER,
    Draft,
    DraftChoice,
    comparison_key,
    is_blank,
)
from polls.domain.poll import Poll
from polls.web.http.parameters import parse_number
from polls.web.manage.datetime_fields import DateTimeFields, InvalidDateTime, parse_moment
from polls.web.manage.poll_form import ChoiceRow, PollForm
from polls.web.pages.languages import Language

_NO_POSITION = 10**9  # sorts after all positions, which have at most nine digits


def to_draft(
    form: PollForm, poll: Poll | None, zone: tzinfo, language: Language
) -> tuple[Draft | None, dict[str, str]]:
    """Return the draft, None if the form is invalid, and the error messages by field.

    `poll` is the poll that the form edits, None for a new one.
    The fields are "text", "published", "closes", "choices", and "choice.3" for a row.
    """
    validator = _Validator(form, poll, zone, language)
    draft = validator.draft()
    return (None if validator.errors else draft), validator.errors


class _Validator:
    """The validation of one form, with its error messages by field."""

    def __init__(self, form: PollForm, poll: Poll | None, zone: tzinfo, language: Language) -> None:
        self.errors: dict[str, str] = {}
        self._form = form
        self._poll = poll
        self._zone = zone
        self._language = language
        self._ = language.gettext

    def draft(self) -> Draft | None:
        form, question = self._form, self._poll.question if self._poll else None
        text = self._text("text", form.text, self._("Enter a question."))
        published = self._moment("published", form.published, question.pub_date if question else None)
        closes = self._moment("closes", form.closes, question.closes_at if question else None)
        self._check_order(published, closes)
        saved_ids = {str(choice.id) for choice in self._poll.choices} if self._poll else set()
        removed = frozenset(int(row.id) for row in form.rows if row.is_removed and row.id in saved_ids)
        choices = tuple(self._choices(saved_ids))
        # Saved choices that the form lacks are kept.
        unlisted = len(saved_ids) - len(removed) - sum(choice.id is not None for choice in choices)
        self._check_count(len(choices) + unlisted)
        return Draft(text, published, closes, choices, removed, form.edition) if published else None

    def _text(self, field: str, raw: str, if_blank: str) -> str:
        text = raw.strip()
        if is_blank(text):
            self.errors[field] = if_blank
        elif REPLACEMENT_CHARACTER in text:
            self.errors[field] = self._("The text contains a character that can't be displayed. Enter it again.")
        elif len(text) > MAX_TEXT_LENGTH:
            message = self._("Use at most %(max)s characters. This text has %(length)s.")
            self.errors[field] = message % {
                "max": self._language.number(MAX_TEXT_LENGTH),
                "length": self._language.number(len(text)),
            }
        return text

    def _moment(self, field: str, fields: DateTimeFields, saved: datetime | None) -> datetime | None:
        try:
            return parse_moment(fields, self._zone, self._language, saved=saved)
        except InvalidDateTime as error:
            self.errors[field] = error.message
            return None

    def _check_order(self, published: datetime | None, closes: datetime | None) -> None:
        if published is None:
            self.errors.setdefault("published", self._("Enter when the poll is published."))
        elif closes and closes <= published:
            self.errors["closes"] = self._("The poll must close after it is published.")

    def _choices(self, saved_ids: set[str]) -> Iterator[DraftChoice]:
        rows = [row for row in self._form.rows if not (row.is_empty or row.is_removed)]
        for row in rows:
            if row.position.strip() and parse_number(row.position.strip()) is None:
                self.errors[f"choice.{row.number}"] = self._("Enter the position as a number: 1, 2, 3 …")
        seen: set[str] = set()
        for row in sorted(rows, key=_sort_key):
            field = f"choice.{row.number}"
            text = self._text(field, row.text, self._("Enter the choice, or tick “Remove”."))
            if comparison_key(text) in seen:
                self.errors.setdefault(field, self._("Another choice has the same text."))
            seen.add(comparison_key(text))
            yield DraftChoice(text, int(row.id) if row.id in saved_ids else None)

    def _check_count(self, count: int) -> None:
        excess = count - MAX_CHOICES
        if excess > 0:
            message = self._language.ngettext(
                "A poll can have at most %(max)s choices. Remove one.",
                "A poll can have at most %(max)s choices. Remove %(excess)s.",
                excess,
            )
            self.errors["choices"] = message % {
                "max": self._language.number(MAX_CHOICES),
                "excess": self._language.number(excess),
            }


def _sort_key(row: ChoiceRow) -> tuple[int, bool]:
    """Sort by position, rows without one last; a row that was moved to the position of another comes before it."""
    position = parse_number(row.position.strip())
    return position or _NO_POSITION, position == row.number + 1
