"""Searching and sorting are the same on each server: without regard to case and accents, in every locale."""

import random
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from polls.config.settings import Postgres
from polls.storage import listing
from polls.storage.listing import Column, PollFilter, SortKey
from polls.storage.postgres import migrations
from polls.storage.postgres.connect import connect, query
from polls.storage.postgres.pool import open_database
from tests.support.servers import Server, running

IN_ORDER = [
    "10 cafés",
    "Äpple",
    "apples",
    "Café — where?",
    "CAFE, when",
    "Łódź…",
    "lodz?",
    "Œuvre",
    "Straße",
    "STRASSE zwei",
    "zebra",
    "Ζεύς",
    "Ёлка",
    "ЁЛКИ",
    "Западноевропейский",
    "ցորեն",
    "がくせい",
    "喝茶吗",
]

SEARCHES = {
    "cafe": ["10 cafés", "Café — where?", "CAFE, when"],
    "CAFÉ": ["10 cafés", "Café — where?", "CAFE, when"],
    "cafe\u0301s": ["10 cafés"],
    "Łódź": ["Łódź…", "lodz?"],
    "łÓdZ": ["Łódź…", "lodz?"],
    "lodz": ["Łódź…", "lodz?"],
    "oeuvre": ["Œuvre"],
    "strasse": ["Straße", "STRASSE zwei"],
    "ＡＰＰＬＥ": ["Äpple", "apples"],
    "ζευΣ": ["Ζεύς"],
    "елка": ["Ёлка"],
    "ՑՈՐԵՆ": ["ցորեն"],
    "茶": ["喝茶吗"],
    "ppl": ["Äpple", "apples"],
    "asse zw": ["STRASSE zwei"],
    "ПАДН": ["Западноевропейский"],
    "адноевропейск": ["Западноевропейский"],
    "адноевропейско": [],
    "—": [],  # no word
}

SCRIPTS = ("LATIN ", "GREEK ", "CYRILLIC ", "ARMENIAN ")
LOCALES = ("LOCALE 'C'", "LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'", "LOCALE 'C.UTF-8'")
LOCALES_OF_ICU = ("LOCALE_PROVIDER icu ICU_LOCALE 'sv-SE' LOCALE 'C'", "LOCALE_PROVIDER icu ICU_LOCALE 'tr' LOCALE 'C'")


@pytest.fixture(scope="module", params=[min, max])
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    version: Callable[..., int] = request.param
    with running(tmp_path_factory.mktemp("folded"), {"fsync": "off"}, version=version) as server:
        yield server


@contextmanager
def database_of(server: Server, locale: str) -> Iterator[Postgres]:
    server.execute(f"CREATE DATABASE other TEMPLATE template0 ENCODING 'UTF8' {locale}")
    try:
        yield replace(Postgres(**server.address), database="other")  # type: ignore[arg-type]
    finally:
        server.execute("DROP DATABASE other WITH (FORCE)")


async def test_searching_and_sorting_are_the_same_in_each_locale(server: Server) -> None:
    has_icu = server.execute("SELECT FROM pg_collation WHERE collprovider = 'i'") != []
    for locale in [*LOCALES, *LOCALES_OF_ICU] if has_icu else LOCALES:
        with database_of(server, locale) as postgres:
            await assert_searched_and_sorted(postgres)


async def assert_searched_and_sorted(postgres: Postgres) -> None:
    with connect(postgres) as connection:
        migrations.migrate(postgres, connection)
        for text in reversed(IN_ORDER):
            query(connection, "INSERT INTO question (question_text, pub_date) VALUES (%s, now())", text)
    database = await open_database(postgres)
    now = datetime.now(UTC) + timedelta(minutes=1)

    async def found(words: str, *, descending: bool = False) -> list[str]:
        poll_filter = PollFilter(now, words=words, order=(SortKey(Column.TEXT, descending),))
        poll_filter, _ = await listing.prefetch_matches(database, poll_filter)
        return [row.question.text for row in await listing.page(database, poll_filter, skip=0, limit=100)]

    try:
        assert await found("") == IN_ORDER
        assert await found("", descending=True) == IN_ORDER[::-1]
        for words, expected in SEARCHES.items():
            assert await found(words) == expected, words
    finally:
        await database.close()


def test_long_words_and_odd_characters_can_be_stored(postgres: Postgres) -> None:
    """PostgreSQL refuses a word of 2 kB; some characters become many when they are folded."""
    with connect(postgres) as connection:
        for text in (
            "\ufdfa" * 200,
            "\U0001f600" * 200,
            "'\\ '':* & | ! ( <-> \u2028\x01",
            "\u0301" * 200,
            "İIıi" * 50,
        ):
            ((_, query_text),) = query(connection, "SELECT words_in(%s), beginnings_of(%s)::text", text, text)
            assert query(connection, "SELECT words_in(%s) @@ beginnings_of(%s)", text, text) == [(query_text != "",)]


def test_the_poll_with_the_most_and_longest_texts_can_be_stored(postgres: Postgres) -> None:
    """A tsvector has at most 1 MB; some letters have 4 bytes, and some become several letters when they are folded."""
    dice = random.Random(1)
    with connect(postgres) as connection:
        for letters in map(chr, range(0x1E900, 0x1E922)), map(chr, range(0xFD50, 0xFD90)):
            choices = list(letters)
            texts = [" ".join("".join(dice.choices(choices, k=49)) for _ in range(4)) for _ in range(101)]
            ((size, is_found),) = query(
                connection,
                "SELECT sum(octet_length(part)), parts @@ min(part)::tsquery "
                "FROM parts_of_words_in(%s) AS parts, unnest(tsvector_to_array(parts)) AS part GROUP BY parts",
                " ".join(texts),
            )
            assert (is_found, size < 2**20) == (True, True)


def test_folding_equals_that_of_python_for_letters(postgres: Postgres) -> None:
    """Every letter of the scripts with case has one folded form, whether it is written large or small."""
    letters = [letter for letter in map(chr, range(0x2000)) if unicodedata.name(letter, "").startswith(SCRIPTS)]
    with connect(postgres) as connection:
        rows = query(connection, "SELECT folded(%s), folded(%s)", "|".join(letters), "|".join(map(str.lower, letters)))

    assert rows[0][0].split("|") == rows[0][1].split("|")
