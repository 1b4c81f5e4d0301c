"""The words for ballots that aren't valid in their poll."""

from http import HTTPStatus

from polls.domain.ballot import Fault
from polls.domain.errors import InvalidBallot
from polls.web.pages.languages import Language


def describe_fault(error: InvalidBallot, language: Language) -> tuple[int, str, str]:
    """Return the status, the title and the sentence that say what is wrong with a ballot and what to do."""
    title, detail = _words(error, language)
    return HTTPStatus.BAD_REQUEST.value, title, detail


def _words(error: InvalidBallot, language: Language) -> tuple[str, str]:
    _, settings = language.gettext, error.settings
    match error.fault:
        case Fault.NO_MARKS if settings.most_points is not None:
            return _("No points given"), _("You didn't give points to any choice.")
        case Fault.NO_MARKS:
            return _("No choice selected"), _("You didn't select a choice.")
        case Fault.TOO_FEW_MARKS:
            detail = language.ngettext(
                "Select at least %(count)s choice.", "Select at least %(count)s choices.", settings.fewest_marks
            )
            return _("Too few choices"), detail % {"count": language.number(settings.fewest_marks)}
        case Fault.TOO_MANY_MARKS if (settings.most_marks or 1) == 1:
            return _("Too many choices"), _("You can select only one choice.")
        case Fault.TOO_MANY_MARKS:
            most = settings.most_marks or 1
            detail = language.ngettext("Select at most %(count)s choice.", "Select at most %(count)s choices.", most)
            return _("Too many choices"), detail % {"count": language.number(most)}
        case Fault.WRONG_POINTS if settings.most_points is not None:
            detail = _("Points are whole numbers from 0 to %(most)s.")
            return _("Invalid points"), detail % {"most": language.number(settings.most_points)}
        case Fault.WRONG_POINTS:
            return _("Invalid vote"), _("Choices of this poll have no points. Select them again.")
        case Fault.OVER_BUDGET:
            budget = settings.budget or 0
            detail = language.ngettext(
                "You can give %(count)s point in all.", "You can give %(count)s points in all.", budget
            )
            return _("Too many points"), detail % {"count": language.number(budget)}
    return _("Choice not available"), _("That choice is no longer available.")
