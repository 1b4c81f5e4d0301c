"""The fields of a poll's settings in its form: description, method and its settings, and who sees the results.

The fields of a method's settings are named after both: `multiple.most_marks`. Those of other methods than the chosen
one are ignored, but shown again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from multidict import MultiMapping

from polls.domain.methods import METHODS
from polls.domain.settings import PollSettings
from polls.web.http.forms import multiline_field, text_field


@dataclass(frozen=True, slots=True)
class SettingsForm:
    """The fields; those not sent are None, and `values` {"multiple.most_marks": "3"} lack them.

    `sealed` are the values of `results` with which the results are sealed: each of these choices has its own box.

    What isn't sent stays as it is saved: browsers don't send disabled fields, and the form of another version may lack
    some.
    """

    method: str | None = None
    description: str | None = None
    values: Mapping[str, str] | None = None
    results: str | None = None
    results_from: str | None = None
    sealed: frozenset[str] | None = None

    def value(self, name: str) -> str | None:
        """Return the value of a method's setting, None if it wasn't sent."""
        return (self.values or {}).get(name)

    def completed(self, settings: PollSettings) -> "SettingsForm":
        """Return all fields: those not sent are filled from the saved `settings`."""
        saved = settings_form(settings)
        return replace(
            self,
            method=saved.method if self.method is None else self.method,
            description=saved.description if self.description is None else self.description,
            values={**(saved.values or {}), **(self.values or {})},
            results=saved.results if self.results is None else self.results,
            results_from=saved.results_from if self.results_from is None else self.results_from,
            sealed=saved.sealed if self.sealed is None else self.sealed,
        )


def settings_form(settings: PollSettings) -> SettingsForm:
    """Return the fields filled from `settings`, those of other methods from their initial settings."""
    values = {}
    for name, method in METHODS.items():
        shown = settings if name == settings.method else method.INITIAL
        for setting, limit in method.LIMITS.items():
            number = getattr(shown, setting)
            is_left_out = number is None or (limit.at_most and number == getattr(shown, limit.at_most))
            values[f"{name}.{setting}"] = "" if is_left_out else str(number)
        values |= {f"{name}.{setting}": getattr(shown, setting) for setting in method.LABELS}
    return SettingsForm(
        settings.method,
        settings.description,
        values,
        settings.results.value,
        str(settings.results_from or ""),
        frozenset([settings.results.value] if settings.is_sealed else []),
    )


def parse_settings(fields: MultiMapping[str]) -> SettingsForm:
    """Return the fields as they were posted."""
    names = [f"{name}.{setting}" for name, method in METHODS.items() for setting in (*method.LIMITS, *method.LABELS)]
    return SettingsForm(
        text_field(fields, "method") if "method" in fields else None,
        multiline_field(fields, "description") if "description" in fields else None,
        {name: text_field(fields, name) for name in names if name in fields},
        text_field(fields, "results") if "results" in fields else None,
        text_field(fields, "results_from") if "results_from" in fields else None,
        frozenset(fields.getall("sealed", [])) if "results" in fields else None,
    )
