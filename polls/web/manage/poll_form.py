"""The form of a poll: what was typed, what is wrong with it, and what it means."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, tzinfo

from multidict import MultiMapping

from polls.domain.draft import ILLEGIBLE, MOST_CHARACTERS, MOST_CHOICES, Draft, DraftChoice, is_blank, plain
from polls.domain.poll import FIRST_DAY, LAST_DAY, Choice, Poll
from polls.web.http.forms import line
from polls.web.http.numbers import number
from polls.web.pages.languages import Language

EMPTY_SLOTS = 3
MOST_BYTES = 512 * 1024  # a hundred choices of two hundred emojis each take half of that

_LAST_PLACE = 10**9
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile("[0-9]{2}:[0-9]{2}(:[0-9]{2})?")
_FIELD_OF_A_ROW = re.compile(r"choice\.([0-9]{1,6})\.text")


@dataclass(frozen=True, slots=True)
class When:
    """A date and a time as they are typed."""

    date: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A choice on the form. `id` is empty where it is new, `number` its place among the fields."""

    number: int
    text: str = ""
    place: str = ""
    id: str = ""
    is_removed: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether it is a slot that nobody has used."""
        return not self.id and not self.text.strip()


@dataclass(frozen=True, slots=True)
class PollForm:
    """What the form says: texts as they were typed. `edition` is the one that was shown."""

    text: str
    published: When
    closes: When
    rows: tuple[Row, ...]
    edition: int = 0
    confirmed: frozenset[int] = frozenset()

    @property
    def with_empty_slots(self) -> "PollForm":
        """The same, with three slots for more choices, where there may be more."""
        used = tuple(row for row in self.rows if not row.is_empty)
        return _with_slots(replace(self, rows=used), min(EMPTY_SLOTS, max(0, MOST_CHOICES - len(used))))

    @property
    def with_another_slot(self) -> "PollForm":
        """The same, with one slot more."""
        return _with_slots(self, 1)


def blank(now: datetime, zone: tzinfo) -> PollForm:
    """The form for a new poll, which is published now unless somebody says otherwise."""
    return PollForm("", written(now, zone), When(), ()).with_empty_slots


def filled(poll: Poll, zone: tzinfo) -> PollForm:
    """The form of a poll as it is."""
    question = poll.question
    rows = tuple(
        Row(place - 1, choice.text, str(place), str(choice.id)) for place, choice in enumerate(poll.choices, start=1)
    )
    return PollForm(
        question.text, written(question.pub_date, zone), written(question.closes_at, zone), rows, poll.edition
    ).with_empty_slots


def typed(fields: MultiMapping[str]) -> PollForm:
    """What arrived. Fields that are missing are empty: another version's form may lack some."""
    numbers = sorted({int(found[1]) for name in fields if (found := _FIELD_OF_A_ROW.fullmatch(name))})
    rows = tuple(
        Row(
            place,
            line(fields, f"choice.{place}.text"),
            line(fields, f"choice.{place}.place"),
            line(fields, f"choice.{place}.id") if number(line(fields, f"choice.{place}.id")) else "",
            f"choice.{place}.remove" in fields,
        )
        for place in numbers
    )
    edition = line(fields, "edition")
    published, closes = (
        When(line(fields, f"{moment}_date"), line(fields, f"{moment}_time")) for moment in ("published", "closes")
    )
    return PollForm(
        line(fields, "text"),
        published,
        closes,
        rows,
        int(edition) if re.fullmatch("[0-9]{1,18}", edition, re.ASCII) else -1,
        frozenset(id_ for value in fields.getall("confirmed", []) if (id_ := number(value))),
    )


def merged(form: PollForm, poll: Poll) -> PollForm:
    """What was typed, for the poll as somebody else has made it meanwhile.

    A choice that is gone becomes a new one again; one that is new stands behind the others.
    """
    here = {str(choice.id) for choice in poll.choices}
    rows = [row if row.id in here else replace(row, id="") for row in form.rows if row.id in here or not row.is_removed]
    known = {row.id for row in rows}
    first = max((row.number for row in rows), default=-1) + 1
    rows += [
        Row(first + place, choice.text, "", str(choice.id))
        for place, choice in enumerate(choice for choice in poll.choices if str(choice.id) not in known)
    ]
    return replace(form, rows=tuple(rows), edition=poll.edition)


def drafted(form: PollForm, poll: Poll | None, zone: tzinfo, language: Language) -> tuple[Draft | None, dict[str, str]]:
    """What the form means; or what is wrong with it, by field, in words. `poll` is what it changes.

    {"text", "published", "closes", "choices", "choice.3" ...: sentence}
    """
    reader = _Reader(form, poll, zone, language)
    draft = reader.read()
    return (None if reader.faults else draft), reader.faults


def written(moment: datetime | None, zone: tzinfo) -> When:
    """A moment as it is typed in `zone`, to the minute."""
    if moment is None:
        return When()
    local = moment.astimezone(zone)
    return When(local.date().isoformat(), local.strftime("%H:%M"))


class _Reader:
    """Reads a form, and notes what is wrong with it."""

    def __init__(self, form: PollForm, poll: Poll | None, zone: tzinfo, language: Language) -> None:
        self.faults: dict[str, str] = {}
        self._form = form
        self._poll = poll
        self._zone = zone
        self._language = language
        self._ = language.gettext

    def read(self) -> Draft | None:
        _, form = self._, self._form
        pub_date, closes_at = (
            (self._poll.question.pub_date, self._poll.question.closes_at) if self._poll else (None, None)
        )
        text = self._line("text", form.text, _("Write a question."))
        published = self._moment("published", form.published, pub_date)
        closes = self._moment("closes", form.closes, closes_at)
        if published is None:
            self.faults.setdefault("published", _("Say when it is published."))
        if published and closes and closes <= published:
            self.faults["closes"] = _("It can't close before it is published.")
        known = {str(choice.id) for choice in self._poll.choices} if self._poll else set()
        removed = frozenset(int(row.id) for row in form.rows if row.is_removed and row.id in known)
        choices = tuple(self._choices(known))
        staying = len(known) - len(removed) - sum(choice.id is not None for choice in choices)
        if (excess := len(choices) + staying - MOST_CHOICES) > 0:
            sentence = self._language.ngettext(
                "A poll has at most %(most)s choices. Leave out one.",
                "A poll has at most %(most)s choices. Leave out %(excess)s.",
                excess,
            )
            self.faults["choices"] = sentence % {
                "most": self._language.number(MOST_CHOICES),
                "excess": self._language.number(excess),
            }
        return Draft(text, published, closes, choices, removed, form.edition) if published else None

    def _choices(self, known: set[str]) -> Iterator[DraftChoice]:
        _ = self._
        rows = [row for row in self._form.rows if not (row.is_empty or row.is_removed)]
        for row in rows:
            if row.place.strip() and number(row.place.strip()) is None:
                self.faults[f"choice.{row.number}"] = _("Its place must be a number: 1, 2, 3 ...")
        before: set[str] = set()
        for row in sorted(rows, key=_order):
            where = f"choice.{row.number}"
            text = self._line(where, row.text, _("Write what can be chosen, or tick “Remove”."))
            if plain(text) in before:
                self.faults.setdefault(where, _("There is the same choice already."))
            before.add(plain(text))
            yield DraftChoice(text, int(row.id) if row.id in known else None)

    def _line(self, where: str, raw: str, if_blank: str) -> str:
        text = raw.strip()
        if is_blank(text):
            self.faults[where] = if_blank
        elif ILLEGIBLE in text:
            self.faults[where] = self._("There is a character in it that can't be shown. Type it again.")
        elif len(text) > MOST_CHARACTERS:
            sentence = self._("At most %(most)s characters, please: this has %(length)s.")
            self.faults[where] = sentence % {
                "most": self._language.number(MOST_CHARACTERS),
                "length": self._language.number(len(text)),
            }
        return text

    def _moment(self, where: str, when: When, before: datetime | None) -> datetime | None:
        _ = self._
        when = When(when.date.strip(), when.time.strip())
        if when == When():
            return None
        if when == written(before, self._zone):
            return before  # to the second, and in the right one of an hour that the clock repeats
        try:
            day = date.fromisoformat(when.date) if _DATE.fullmatch(when.date) else None
            hour = time.fromisoformat(when.time) if _TIME.fullmatch(when.time) else None
        except ValueError:
            day = hour = None
        if not when.date or not when.time:
            self.faults[where] = _("Give a date and a time.")
        elif day is None or hour is None or not FIRST_DAY <= day <= LAST_DAY:
            self.faults[where] = _("There is no such moment. Write it like 2026-05-03 and 18:00.")
        else:
            return self._placed(where, datetime.combine(day, hour, self._zone))
        return None

    def _placed(self, where: str, local: datetime) -> datetime | None:
        moment = local.astimezone(UTC)
        if moment.astimezone(self._zone).replace(tzinfo=None) != local.replace(tzinfo=None):
            sentence = self._("On this day the clock skips %(time)s. Take a later time.")
            self.faults[where] = sentence % {"time": f"{local:%H:%M}"}
            return None
        return moment


def _order(row: Row) -> tuple[int, bool]:
    """By places; whoever was given the place of another stands before it, and who has none at the end."""
    place = number(row.place.strip())
    return place or _LAST_PLACE, place == row.number + 1


def _with_slots(form: PollForm, slots: int) -> PollForm:
    first = max((row.number for row in form.rows), default=-1) + 1
    last = max((number(row.place) or 0 for row in form.rows), default=0)
    added = (Row(first + slot, place=str(last + slot + 1)) for slot in range(slots))
    return replace(form, rows=(*form.rows, *added))


def votes_by_row(form: PollForm, poll: Poll | None) -> dict[int, int]:
    """{number of a row: votes} of the choices that there are."""
    choices: dict[str, Choice] = {str(choice.id): choice for choice in poll.choices} if poll else {}
    return {row.number: choices[row.id].votes for row in form.rows if row.id in choices}
