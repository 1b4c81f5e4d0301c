"""Validation of a poll's form: it becomes a Draft, or error messages by field."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
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
from polls.domain.settings import DEFAULT_SETTINGS
from polls.domain.slugs import CUSTOM_SLUG
from polls.web.http.parameters import parse_number
from polls.web.manage.poll_form import DateTimeFields, PollForm, format_moment, local_time, moments_at, row_order
from polls.web.manage.settings_validation import SettingsValidation
from polls.web.pages.languages import Language

_CUSTOM_SLUG = re.compile(CUSTOM_SLUG)


@dataclass(slots=True)
class Validation:
    """The validation of a `form` that edits `poll` (None: adds one), with times in `zone`.

    `now` is the database's time. `form` is replaced if its next version confirms something. `errors` are messages by
    field: "text", "slug", "published", "closes", "choices", for a row "choice.3" and "choice.3.position", and those of
    `SettingsValidation`.
    """

    form: PollForm
    poll: Poll | None
    zone: tzinfo
    now: datetime
    language: Language
    errors: dict[str, str] = field(default_factory=dict)

    def draft(self) -> Draft | None:
        """Return the draft, or None if the form is invalid, and set `errors`."""
        _ = self.language.gettext
        form, poll, question = self.form, self.poll, self.poll.question if self.poll else None
        text = self._text("text", form.text, _("Enter a question."))
        slug = self._slug()
        settings_validation = self._settings_validation()
        settings = settings_validation.settings()
        at_once = poll is None and form.published.is_empty
        saved_dates = (question.pub_date, question.closes_at) if question else (None, None)
        published = self.now if at_once else self._moment("published", form.published, saved_dates[0])
        closes = self._moment("closes", form.closes, saved_dates[1])
        if published is None:
            self.errors.setdefault("published", _("Enter when the poll is published."))
        elif closes and closes <= published:
            self.errors["closes"] = _("The poll must close after it is published.")
        elif closes and closes != (question and question.closes_at):
            self._confirm_end(closes)
        saved_ids = {str(choice.id) for choice in poll.choices} if poll else set()
        removed = frozenset(int(row.id) for row in form.rows if row.is_removed and row.id in saved_ids)
        choices = tuple(self._choices(saved_ids))
        # Saved choices that the form lacks are kept.
        unlisted = len(saved_ids) - len(removed) - sum(choice.id is not None for choice in choices)
        self._check_count(len(choices) + unlisted)
        settings_validation.check_choices(settings, len(choices) + unlisted)
        if self.errors or published is None:
            return None
        return Draft(text, published, closes, choices, removed, form.edition, at_once, settings, slug)

    def _text(self, field: str, raw: str, if_blank: str) -> str:
        _, text = self.language.gettext, raw.strip()
        if is_blank(text):
            self.errors[field] = if_blank
        else:
            self._check_text(field, text, MAX_TEXT_LENGTH)
        return text

    def _slug(self) -> str | None:
        """Return the poll's custom slug, empty for none, or None if the form has no such field."""
        if self.form.slug is None:
            return None
        _, slug = self.language.gettext, self.form.slug.strip().lower()
        if slug and not _CUSTOM_SLUG.fullmatch(slug):
            self.errors["slug"] = _("Use 3 to 40 letters from a to z, digits and hyphens. Begin with a letter.")
        elif not slug and self.poll and not self.poll.question.is_listed:
            self.errors["slug"] = _("A poll that isn't listed needs an address of its own.")
        return slug

    def _check_text(self, field: str, text: str, max_length: int) -> None:
        _ = self.language.gettext
        if REPLACEMENT_CHARACTER in text:
            self.errors[field] = _("The text contains a character that can't be displayed. Enter it again.")
        elif len(text) > max_length:
            message = _("Use at most %(max)s characters. This text has %(length)s.")
            self.errors[field] = message % {
                "max": self.language.number(max_length),
                "length": self.language.number(len(text)),
            }

    def _settings_validation(self) -> SettingsValidation:
        saved = self.poll.settings if self.poll else DEFAULT_SETTINGS
        return SettingsValidation(self.form.settings, saved, self.language, self.errors, self._check_text)

    def _moment(self, field: str, fields: DateTimeFields, saved: datetime | None) -> datetime | None:
        """Return the moment in UTC, None if both fields are empty.

        If the fields still show `saved`, it is returned unchanged: parsing would lose its seconds.
        """
        _, texts = self.language.gettext, (fields.date.strip(), fields.time.strip())
        if fields.is_empty:
            return None
        if fields == format_moment(saved, self.zone):
            return saved
        local = local_time(fields)
        if local is None:
            invalid = _("Enter a valid date and time, such as 2026-05-03 and 18:00.")
            self.errors[field] = invalid if all(texts) else _("Enter a date and a time.")
            return None
        moments = moments_at(local, self.zone)
        if not moments:
            message = _("On this day the clock skips %(time)s. Choose a later time.")
        elif len(moments) > 1 and fields.fold not in {"0", "1"}:
            message = _("On this day the clock shows %(time)s twice. Choose which of the two you mean.")
        else:
            return moments[-1 if fields.fold == "1" else 0]
        self.errors[field] = message % {"time": f"{local:%H:%M}"}
        return None

    def _confirm_end(self, closes: datetime) -> None:
        """Ask once if `closes` has passed already."""
        if closes <= self.now and self.form.confirmed_end != (asked := " ".join(self.form.closes)):
            self.form = replace(self.form, confirmed_end=asked)
            message = self.language.gettext(
                "This time has passed: the poll will be closed at once. Save again to confirm, or choose a later time."
            )
            self.errors["closes"] = message

    def _choices(self, saved_ids: set[str]) -> Iterator[DraftChoice]:
        _ = self.language.gettext
        rows = [row for row in self.form.rows if not (row.is_empty or row.is_removed)]
        for row in rows:
            if row.position.strip() and parse_number(row.position.strip()) is None:
                self.errors[f"choice.{row.number}.position"] = _("Enter the position as a number: 1, 2, 3 …")
        seen: set[str] = set()
        for row in sorted(rows, key=row_order):
            field = f"choice.{row.number}"
            text = self._text(field, row.text, _("Enter the choice, or tick “Remove”."))
            if len(text) <= MAX_TEXT_LENGTH:  # comparing longer texts can take seconds
                if comparison_key(text) in seen:
                    self.errors.setdefault(field, _("Another choice has the same text."))
                seen.add(comparison_key(text))
            yield DraftChoice(text, int(row.id) if row.id in saved_ids else None)

    def _check_count(self, count: int) -> None:
        excess = count - MAX_CHOICES
        if excess > 0:
            message = self.language.ngettext(
                "A poll can have at most %(max)s choices. Remove one.",
                "A poll can have at most %(max)s choices. Remove %(excess)s.",
                excess,
            )
            self.errors["choices"] = message % {
                "max": self.language.number(MAX_CHOICES),
                "excess": self.language.number(excess),
            }
