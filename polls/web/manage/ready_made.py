"""Ready-made polls: buttons that fill the form of a new one."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from polls.web.manage.poll_form import ChoiceRow, PollForm
from polls.web.pages.languages import Language


@dataclass(frozen=True, slots=True)
class ReadyMade:
    """A ready-made poll: its `name` on the button, and what it fills in. Without `choices`, it keeps those typed."""

    name: str
    choices: tuple[str, ...] = ()
    question: str = ""
    method: str = "single"

    def fill(self, form: PollForm) -> PollForm:
        """Return `form` filled. A question that was typed is kept."""
        filled = replace(
            form,
            text=form.text if form.text.strip() else self.question,
            settings=replace(form.settings, method=self.method),
        )
        if not self.choices:
            return filled
        rows = tuple(ChoiceRow(number, text) for number, text in enumerate(self.choices))
        return replace(filled, rows=rows).with_rows_added(1)


def ready_made_polls(language: Language) -> Mapping[str, ReadyMade]:
    """Return the ready-made polls by the values of their buttons."""
    _ = language.gettext
    return {
        "yes-no": ReadyMade(_("Yes or no"), (_("Yes"), _("No"), _("No opinion"))),
        "agree": ReadyMade(
            _("Agree, 1 to 5"),
            (
                _("1 – I disagree strongly"),
                _("2 – I disagree"),
                _("3 – I’m undecided"),
                _("4 – I agree"),
                _("5 – I agree strongly"),
            ),
        ),
        "lunch": ReadyMade(
            _("Lunch"),
            (_("Pizza"), _("Noodles"), _("Salad"), _("Soup")),
            _("What shall we have for lunch?"),
            "multiple",
        ),
        "several": ReadyMade(_("Several answers"), method="multiple"),
    }
