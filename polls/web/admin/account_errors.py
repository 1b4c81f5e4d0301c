"""Error messages for user names and passwords that can't be set."""

from polls.domain.account import FEWEST_IN_PASSWORD, MOST_IN_PASSWORD, MOST_LETTERS
from polls.domain.errors import UnfitPassword, UnfitUsername, UsernameTaken
from polls.web.pages.languages import Language


def username_error(error: UnfitUsername | UsernameTaken, language: Language) -> str:
    """Return the message to show beside the field of the user name."""
    _ = language.gettext
    if isinstance(error, UsernameTaken):
        return _("This user name is already taken.")
    invalid = _("Use 1 to %(max)s characters: letters, digits, and . - _ @ +")
    return invalid % {"max": language.number(MOST_LETTERS)}


def password_error(error: UnfitPassword, language: Language) -> str:
    """Return the message to show beside the field of the new password."""
    _ = language.gettext
    match error.reason:
        case "short":
            return _("Use at least %(min)s characters.") % {"min": language.number(FEWEST_IN_PASSWORD)}
        case "long":
            return _("Use at most %(max)s characters.") % {"max": language.number(MOST_IN_PASSWORD)}
    return _("This password is too easy to guess. Choose another.")
