"""A poll with long words and texts from right to left, and a measurement of pages that show such texts."""

from playwright.sync_api import Page

WORD = "Donaudampfschifffahrt" * 3
LONG = ("a choice of two hundred characters " * 6)[:200]
ARABIC = "ما هو لونك المفضل من بين جميع الألوان التي تراها في السماء عند الغروب؟ (1)"
HEBREW = "שלום עולם, מה שלומך היום? (2)"

# The second poll has the id that is printed, the first the id before it.
LONG_POLLS = f"""
    INSERT INTO question (question_text, pub_date) VALUES ('{WORD} {ARABIC}', now() - interval '99 days');
    INSERT INTO question (question_text, pub_date) VALUES ('{ARABIC}', now() - interval '98 days');
    INSERT INTO choice (question_id, choice_text, votes) SELECT question.id, text, number FROM question,
      (VALUES ('{WORD}', 1234567), ('{LONG}', 7), ('{ARABIC}', 600000), ('{HEBREW}', 3)) AS choices (text, number)
      WHERE pub_date < now() - interval '90 days';
    SELECT max(id) FROM question;
"""

_FEWEST_CHARACTERS = 8  # on a line, on average, of texts longer than 40

_CHARACTERS_A_LINE = """
    () => [...document.querySelectorAll("main :is([dir=auto], bdi)")].flatMap((element) => {
        const range = document.createRange();
        range.selectNodeContents(element);
        const lines = new Set([...range.getClientRects()].map((line) => Math.round(line.bottom / 4))).size;
        const text = element.textContent.trim();
        return text.length > 40 ? [[text, text.length / lines]] : [];
    })
"""


def layout_faults(page: Page, text_size: str) -> list[str]:
    """Return what is wrong with the page's layout when the size of text is changed, such as to "200%"."""
    page.evaluate("size => document.documentElement.style.fontSize = size", text_size)
    excess = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    scrolls = [f"{page.url} is {excess} px too wide"] if excess > 0 else []
    return scrolls + [
        f"{page.url} has {characters:.1f} characters on a line of {text}"
        for text, characters in page.evaluate(_CHARACTERS_A_LINE)
        if characters < _FEWEST_CHARACTERS
    ]
