"""Error messages for user names and passwords that can't be set."""

import asyncio

from multidict import MultiMapping

from polls.domain.account import MAX_PASSWORD_LENGTH, MAX_USERNAME_LENGTH, MIN_PASSWORD_LENGTH
from polls.domain.errors import InvalidPassword, InvalidUsername, UsernameTaken
from polls.storage.passwords import validate_password
from polls.web.pages.languages import Language


async def new_password_errors(form: MultiMapping[str], username: str, language: Language) -> dict[str, str]:
    """Return the error messages for the fields "password" and "again", a new password for `username`."""
    password, errors = form.get("password", ""), {}
    try:
        await asyncio.to_thread(validate_password, password, username)
    except InvalidPassword as error:
        errors["password"] = field_error(error, language)
    if password != form.get("again", ""):
        errors["again"] = language.gettext("The two passwords don't match.")
    return errors


def field_error(error: InvalidUsername | UsernameTaken | InvalidPassword, language: Language) -> str:
    """Return the message to show beside the field of the user name or of the new password."""
    _ = language.gettext
    match error:
        case UsernameTaken():
            return _("This user name is already taken.")
        case InvalidUsername():
            invalid = _("Use 1 to %(max)s characters: letters, digits, and . - _ @ +")
            return invalid % {"max": language.number(MAX_USERNAME_LENGTH)}
        case InvalidPassword("short"):
            return _("Use at least %(min)s characters.") % {"min": language.number(MIN_PASSWORD_LENGTH)}
        case InvalidPassword("long"):
            return _("Use at most %(max)s characters.") % {"max": language.number(MAX_PASSWORD_LENGTH)}
    return _("This password is too easy to guess. Choose another.")
