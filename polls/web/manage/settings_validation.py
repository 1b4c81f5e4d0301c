"""Validation of a poll's settings in its form: they become PollSettings, or error messages by field."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from polls.domain.draft import is_blank
from polls.domain.methods import METHODS
from polls.domain.settings import (
    MAX_DESCRIPTION_LENGTH,
    MAX_LABEL_LENGTH,
    MAX_RESULTS_FROM,
    Limit,
    PollSettings,
    Results,
)
from polls.web.http.parameters import parse_number
from polls.web.manage.settings_form import SettingsForm
from polls.web.pages.languages import Language

_SEALABLE = {Results.AFTER_CLOSE, Results.OWNER}
# A threshold of one vote would hide nothing: there is nothing to see without a vote.
_RESULTS_FROM = Limit(2, MAX_RESULTS_FROM, is_optional=True)


@dataclass(slots=True)
class SettingsValidation:
    """The validation of the fields of settings that are `saved` now.

    It adds messages to `errors`: for "method", "description", "results", and settings such as "multiple.most_marks".
    `check_text` does so for the characters and the length of a text.
    """

    form: SettingsForm
    saved: PollSettings
    language: Language
    errors: dict[str, str]
    check_text: Callable[[str, str, int], None]

    def settings(self) -> PollSettings:
        """Return the settings; they are meaningless if there are errors."""
        form, saved = self.form, self.saved
        name = saved.method if form.method is None else form.method
        if name not in METHODS:
            self.errors["method"] = self.language.gettext("Choose how to vote.")
            return saved
        method = METHODS[name]
        settings = replace(
            saved if name == saved.method else method.INITIAL,
            **self._visibility(),
            description=saved.description if form.description is None else self._text("description", form.description),
        )
        chosen: dict[str, Any] = {}
        for setting, limit in method.LIMITS.items():
            text = form.value(f"{name}.{setting}")
            if text is not None:
                chosen[setting] = self._number(f"{name}.{setting}", text, limit, replace(settings, **chosen))
        for setting in method.LABELS:
            label = form.value(f"{name}.{setting}")
            if label is not None:
                chosen[setting] = self._text(f"{name}.{setting}", label, MAX_LABEL_LENGTH)
        return replace(settings, **chosen)

    def _visibility(self) -> dict[str, Any]:
        """Return the settings that decide who sees the results."""
        form, saved = self.form, self.saved
        if form.results is None:
            results, is_sealed = saved.results, saved.is_sealed
        elif form.results in list(Results):
            results = Results(form.results)
            is_sealed = results in _SEALABLE and results in (form.sealed or ())
        else:
            self.errors["results"] = self.language.gettext("Choose who sees the results.")
            results, is_sealed = saved.results, saved.is_sealed
        results_from = saved.results_from
        if form.results_from is not None:
            results_from = self._number("results_from", form.results_from, _RESULTS_FROM, saved) or 0
        return {"results": results, "results_from": results_from, "is_sealed": is_sealed}

    def check_choices(self, settings: PollSettings, count: int) -> None:
        """Check that a poll with `count` choices has enough of them for a ballot; one without isn't public."""
        if not 0 < count < settings.fewest_marks:
            return
        field = f"{settings.method}.fewest_marks"
        message = self.language.ngettext(
            "Voters must choose at least %(fewest)s, but the poll has only %(count)s choice.",
            "Voters must choose at least %(fewest)s, but the poll has only %(count)s choices.",
            count,
        )
        numbers = {"fewest": self.language.number(settings.fewest_marks), "count": self.language.number(count)}
        self.errors.setdefault("choices" if self.form.value(field) is None else field, message % numbers)

    def _text(self, field: str, raw: str, max_length: int = MAX_DESCRIPTION_LENGTH) -> str:
        text = "" if is_blank(raw) else raw.strip()
        self.check_text(field, text, max_length)
        return text

    def _number(self, field: str, raw: str, limit: Limit, settings: PollSettings) -> int | None:
        """Return the number, or what a field that is left empty means. `settings` has the earlier ones."""
        text = raw.strip()
        highest = getattr(settings, limit.at_most) or limit.highest if limit.at_most else limit.highest
        lowest = getattr(settings, limit.at_least) or limit.lowest if limit.at_least else limit.lowest
        if not text and (limit.is_optional or limit.at_most):
            return highest if limit.at_most else None
        number = parse_number(text)
        if number is None or not lowest <= number <= highest:
            message = self.language.gettext("Enter a number from %(lowest)s to %(highest)s.")
            numbers = {"lowest": self.language.number(lowest), "highest": self.language.number(highest)}
            self.errors[field] = message % numbers
            return limit.lowest
        return number
