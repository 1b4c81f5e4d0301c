"""Checks of a poll in a file: it may contain what the form of a poll accepts."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from polls.config.yaml_file import Key, YAMLFile
from polls.domain.draft import MAX_CHOICES, MAX_TEXT_LENGTH, comparison_key, is_blank, replace_unprintable
from polls.domain.methods import METHODS, Method
from polls.domain.poll import FIRST_DAY, LAST_DAY
from polls.domain.poll_copy import PollCopy
from polls.domain.settings import (
    DEFAULT_SETTINGS,
    MAX_DESCRIPTION_LENGTH,
    MAX_LABEL_LENGTH,
    MAX_RESULTS_FROM,
    Limit,
    PollSettings,
    Results,
)
from polls.domain.slugs import CUSTOM_SLUG

_SETTINGS = tuple(field.name for field in fields(PollSettings))
_NUMBERS = ("budget", "fewest_marks", "most_marks", "most_points")  # in an order in which they refer to earlier ones
_LABELS = ("lowest_label", "highest_label")
_KEYS = {"question", "slug", "listed", "published", "closes", "taken_down", "choices", *_SETTINGS}
_MARKS = Limit(1, MAX_CHOICES)
_SEALABLE = (Results.AFTER_CLOSE, Results.OWNER)
_REQUIRED = object()


class PollChecks:
    """The checks of the `values` of a poll at `key` of a `file`; `problems` are lines and messages."""

    def __init__(self, values: object, key: Key, file: YAMLFile) -> None:
        self.problems: list[tuple[int, str]] = []
        self._key = key
        self._file = file
        self._values: Mapping[Any, Any] = values if isinstance(values, Mapping) else {}
        if not isinstance(values, Mapping):
            self.report((), "needs a mapping of keys to values")

    def report(self, key: Key, message: str) -> None:
        """Add a problem with `key` of the poll."""
        path = (*self._key, *key)
        self.problems.append((self._file.line(path), f"{'.'.join(path)}: {message}"))

    def poll(self) -> PollCopy:
        """Return the poll; it is meaningless if there are problems."""
        if self.problems:
            return PollCopy("", (), datetime.now(UTC))
        for key in self._values.keys() - _KEYS:
            similar = difflib.get_close_matches(str(key), _KEYS, n=1)
            self.report((str(key),), f"unknown key; did you mean {similar[0]}?" if similar else "unknown key")
        choices = self._choices()
        return PollCopy(
            self._line("question", MAX_TEXT_LENGTH, self._get("question", _REQUIRED)),
            choices,
            self._moment("published", _REQUIRED) or datetime.now(UTC),
            self._moment("closes", None),
            self._slug(),
            self._boolean("listed", default=True),
            self._moment("taken_down", None),
            self._settings(len(choices)),
        )

    def _get(self, name: str, default: object) -> object:
        if name in self._values:
            return self._values[name]
        if default is _REQUIRED:
            self.report((name,), "is required")
        return default

    def _line(self, name: str, max_length: int, value: object, *key: str, may_be_blank: bool = False) -> str:
        """Return a text of one line."""
        if value is _REQUIRED:
            return ""
        if not isinstance(value, str):
            self.report((name, *key), "value is not text; put it between quotes")
        elif len(value) > max_length:
            self.report((name, *key), f"value has {len(value)} characters; use at most {max_length}")
        elif replace_unprintable(value) != value:
            self.report((name, *key), "value contains a line break or another character that can't be displayed")
        elif is_blank(value) and not (may_be_blank and not value):
            self.report((name, *key), "value is blank")
        else:
            return value
        return ""

    def _choices(self) -> tuple[str, ...]:
        values = self._get("choices", _REQUIRED)
        if not isinstance(values, list):
            if values is not _REQUIRED:
                self.report(("choices",), "value is not a list")
            return ()
        if len(values) > MAX_CHOICES:
            self.report(("choices",), f"a poll can have at most {MAX_CHOICES} choices, not {len(values)}")
            return ()
        seen: dict[str, int] = {}
        texts = []
        for number, value in enumerate(values, start=1):
            text = self._line("choices", MAX_TEXT_LENGTH, value, str(number))
            if text and (first := seen.setdefault(comparison_key(text), number)) != number:
                self.report(("choices", str(number)), f"choice {first} has the same text")
            texts.append(text)
        return tuple(texts)

    def _moment(self, name: str, default: object) -> datetime | None:
        value = self._get(name, default)
        if isinstance(value, datetime) and value.tzinfo and FIRST_DAY <= value.date() <= LAST_DAY:
            return value.astimezone(UTC)
        if value is not default:
            self.report((name,), "value is not a date and time with its zone, like 2026-05-03 18:00:00+02:00")
        return None

    def _slug(self) -> str | None:
        value = self._get("slug", None)
        if value is None or (isinstance(value, str) and re.fullmatch(CUSTOM_SLUG, value)):
            return value
        self.report(("slug",), "value is not 3 to 40 small letters, digits and hyphens, beginning with a letter")
        return None

    def _boolean(self, name: str, *, default: bool) -> bool:
        value = self._get(name, default)
        if isinstance(value, bool):
            return value
        self.report((name,), "value is neither true nor false")
        return default

    def _settings(self, choices: int) -> PollSettings:
        name = self._get("method", DEFAULT_SETTINGS.method)
        method = METHODS.get(name) if isinstance(name, str) else None
        if method is None:
            self.report(("method",), f"value is not one of {', '.join(METHODS)}")
            return DEFAULT_SETTINGS
        values: dict[str, Any] = {"method": method.NAME, "description": self._description()}
        for label in _LABELS:
            values[label] = self._line(label, MAX_LABEL_LENGTH, self._get(label, ""), may_be_blank=True)
            if values[label] and label not in method.LABELS:
                self.report((label,), f"a poll with method {method.NAME} has none")
        for number in _NUMBERS:
            values[number] = self._number(number, method, values)
        values |= self._visibility()
        if 0 < choices < (values["fewest_marks"] or 0):
            self.report(("fewest_marks",), f"the poll has only {choices} choices")
        return PollSettings(**values)

    def _visibility(self) -> dict[str, Any]:
        """Return the settings that decide who sees the results."""
        results = self._get("results", DEFAULT_SETTINGS.results)
        if not isinstance(results, str) or results not in set(Results):
            self.report(("results",), f"value is not one of {', '.join(Results)}")
            results = DEFAULT_SETTINGS.results
        results_from = self._get("results_from", 0)
        if type(results_from) is not int or not 0 <= results_from <= MAX_RESULTS_FROM:
            self.report(("results_from",), f"value is not a whole number from 0 to {MAX_RESULTS_FROM}")
        is_sealed = self._boolean("is_sealed", default=False)
        if is_sealed and results not in _SEALABLE:
            self.report(("is_sealed",), f"only with results: {' or '.join(_SEALABLE)}")
        return {"results": Results(results), "results_from": results_from, "is_sealed": is_sealed}

    def _description(self) -> str:
        value = self._get("description", "")
        if not isinstance(value, str):
            self.report(("description",), "value is not text; put it between quotes")
        elif len(value) > MAX_DESCRIPTION_LENGTH:
            self.report(("description",), f"value has {len(value)} characters; use at most {MAX_DESCRIPTION_LENGTH}")
        elif any(replace_unprintable(line) != line for line in value.split("\n")):
            self.report(("description",), "value contains a character that can't be displayed")
        else:
            return value
        return ""

    def _number(self, name: str, method: Method, earlier: Mapping[str, Any]) -> int | None:
        """Return a limit, within what the method and the `earlier` ones allow."""
        initial: int | None = getattr(method.INITIAL, name)
        limit = method.LIMITS.get(name)
        if limit is None and name == "fewest_marks" and not method.HAS_ONE_MARK:
            limit = _MARKS
        value = self._get(name, initial)
        if limit is None:
            if value != initial or isinstance(value, bool):
                self.report((name,), f"can't be chosen with method {method.NAME}")
            return initial
        if value is None and limit.is_optional:
            return None
        lowest = max(limit.lowest, earlier.get(limit.at_least) or 0)
        highest = min(limit.highest, earlier.get(limit.at_most) or limit.highest)
        if type(value) is int and lowest <= value <= highest:
            return value
        self.report((name,), f"value is not a whole number from {lowest} to {highest}")
        return initial
