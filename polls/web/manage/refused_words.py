"""Words that this site doesn't accept in polls of visitors."""

from aiohttp import web

from polls.domain.draft import Draft
from polls.domain.methods import METHODS
from polls.domain.refused_words import RefusedWords
from polls.web.manage.form_validation import Validation
from polls.web.pages.rendering import language_of

REFUSED_WORDS = web.AppKey("refused_words", RefusedWords)


def check_words(request: web.Request, draft: Draft, validation: Validation) -> None:
    """Add an error to each field with a refused word."""
    refused, settings, _ = request.app[REFUSED_WORDS], draft.settings, language_of(request).gettext
    texts = {"text": draft.text, "description": settings.description}
    texts |= {f"{settings.method}.{name}": getattr(settings, name) for name in METHODS[settings.method].LABELS}
    texts |= {f"choice.{row.number}": row.text for row in validation.form.rows if not row.is_removed}
    for field, text in texts.items():
        if word := refused.find_in(text):
            message = _("Leave out “%(word)s”: this site doesn't accept it.")
            validation.errors[field] = message % {"word": word}
