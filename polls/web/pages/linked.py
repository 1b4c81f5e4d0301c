"""Links in plain text."""

import re

from markupsafe import Markup, escape

# http and https. A path may have any letters and pairs of parentheses, but Chinese punctuation ends it, and so does
# punctuation at its end, which belongs to the sentence. jinja2's `urlize` finds no end of a URL without a space.
_URL = re.compile(
    r"""https?://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?
    (?:[/?#](?:\([^\s<>"'()]*\)|[^\s<>"'()\u2018-\u201f\u3000-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40])*(?<![.,;:!?]))?""",
    re.VERBOSE,
)


def linked(text: str) -> Markup:
    """Return `text` as HTML in which URLs are links, which search engines should ignore."""
    parts = []
    end = 0
    for url in _URL.finditer(text):
        parts += [escape(text[end : url.start()]), _LINK.format(url[0])]
        end = url.end()
    return Markup("").join([*parts, escape(text[end:])])


_LINK = Markup('<a href="{0}" rel="nofollow noopener">{0}</a>')
