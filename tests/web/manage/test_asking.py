"""Asking without an account: what is stored, one poll a form, limits, and that nothing typed is lost."""

import re
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import MultiDict

from polls.config.settings import Creating
from polls.domain.access_keys import PATTERN
from polls.domain.errors import PollsUnavailable
from polls.storage.postgres.connect import Connection
from polls.web.manage import ask
from tests.conftest import CreatePoll
from tests.support.pages import field_errors, fields, find, links, parse, words
from tests.web.conftest import Client, Serve

ASK = "/ask"
TEA = {"text": "Tea?", "choice.0.text": "Yes", "choice.1.text": "No", "do": "save"}


@pytest.fixture
async def open_site(serve: Serve) -> Client:
    """A browser at a site where anyone may ask."""
    return await serve(creating=Creating(who="anyone", refused_words=("Spam",)))


async def form_of(browser: Client) -> MultiDict[str]:
    response = await browser.get(ASK)
    assert response.status == 200
    assert response.headers["Cache-Control"] == "no-store"
    return fields(parse(await response.text()), ASK)


async def send(browser: Client, sent: Any, **headers: str) -> Any:
    return await browser.post(ASK, data=sent, allow_redirects=False, headers=headers)


async def fill(browser: Client, **others: str) -> MultiDict[str]:
    """Return the form of a new poll, filled in."""
    form = await form_of(browser)
    form.update({**TEA, **others})
    return form


def rows(database: Connection, query: str) -> list[Any]:
    with database.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


async def test_a_visitors_poll_is_at_an_address_of_its_own_and_only_the_hash_of_its_key_is_stored(
    open_site: Client, database: Connection
) -> None:
    form = await fill(open_site, description="Until five.", method="multiple")
    assert re.fullmatch(PATTERN, form["access_key"])

    response = await send(open_site, form)

    assert response.status == 303
    (poll,) = rows(
        database,
        "SELECT slug, is_listed, pub_date <= now(), encode(owner_hash, 'hex'), asked_at <= now(), description, method "
        "FROM question JOIN poll_settings ON question_id = id",
    )
    slug = poll[0]
    assert response.headers["Location"] == f"/poll/{slug}/manage"
    assert poll[1:] == (False, True, sha256(form["access_key"].encode()).hexdigest(), True, "Until five.", "multiple")
    assert rows(database, "SELECT choice_text FROM choice ORDER BY position") == [("Yes",), ("No",)]
    assert rows(database, "SELECT actor, deed FROM history") == [("owner", "added")]


async def test_a_form_that_is_sent_again_makes_one_poll(open_site: Client, database: Connection) -> None:
    form = await fill(open_site)

    first, again = await send(open_site, form), await send(open_site, {**form, "text": "Coffee?"})

    assert first.headers["Location"] == again.headers["Location"]
    assert rows(database, "SELECT question_text FROM question") == [("Tea?",)]


async def test_every_form_has_a_key_of_its_own(open_site: Client, database: Connection) -> None:
    forms = [await fill(open_site), await fill(open_site), TEA, {**TEA, "access_key": "guessed"}]

    places = {(await send(open_site, form)).headers["Location"] for form in forms}

    assert len(places) == len(rows(database, "SELECT FROM question")) == len(forms)


async def test_a_refused_form_is_shown_again_with_everything_typed_and_links_to_its_errors(
    open_site: Client, database: Connection
) -> None:
    typed = {
        "text": "",
        "description": "Two\nlines",
        "choice.0.text": "x" * 201,
        "choice.2.text": "Yes",
        "method": "multiple",
        "multiple.most_marks": "many",
        "closes_date": "2026-02-30",
        "closes_time": "18:00",
    }
    form = await fill(open_site, **typed)

    response = await send(open_site, form)
    page = parse(await response.text())

    assert response.status == 400
    assert field_errors(page).keys() == {"text", "choice.0", "multiple.most_marks", "closes"}
    shown = fields(page, ASK)
    assert {name: shown[name] for name in typed} == typed
    assert shown["access_key"] == form["access_key"]
    assert rows(database, "SELECT FROM question") == []


@pytest.mark.parametrize("choices", [{}, {"choice.1.text": "  "}])
async def test_a_poll_needs_two_choices(open_site: Client, choices: dict[str, str]) -> None:
    response = await send(open_site, {"text": "Tea?", "choice.0.text": "Yes", **choices})

    assert field_errors(parse(await response.text())) == {"choices": "Enter at least two choices."}


async def test_the_time_at_which_a_poll_opens_cant_be_chosen(open_site: Client, database: Connection) -> None:
    await send(open_site, {**TEA, "published_date": "2099-01-01", "published_time": "18:00"})

    assert rows(database, "SELECT pub_date <= now() FROM question") == [(True,)]


@pytest.mark.parametrize(
    ("button", "question", "choices", "method"),
    [
        ("yes-no", "Tea?", ["Yes", "No", "No opinion"], "single"),
        ("agree", "Tea?", ["1 – I disagree strongly", "2 – I disagree", "3 – I’m undecided"], "single"),
        ("lunch", "", ["Pizza", "Noodles", "Salad"], "multiple"),
        ("several", "Tea?", ["Green", "Black"], "multiple"),
    ],
)
async def test_ready_made_polls_fill_the_form_and_keep_the_question(
    open_site: Client, button: str, question: str, choices: list[str], method: str
) -> None:
    typed = {"text": question, "choice.0.text": "Green", "choice.1.text": "Black", "description": "Hot"}
    form = await fill(open_site, **typed, do=f"ready-made.{button}")

    filled = fields(parse(await (await send(open_site, form)).text()), ASK)

    assert filled["text"] == (question or "What shall we have for lunch?")
    assert [filled[f"choice.{number}.text"] for number in range(len(choices))] == choices
    assert (filled["method"], filled["description"]) == (method, "Hot")
    assert filled["access_key"] == form["access_key"]


@pytest.mark.parametrize("field", ["text", "description", "choice.1", "score.highest_label"])
async def test_a_refused_word_is_named_at_its_field(open_site: Client, database: Connection, field: str) -> None:
    name = f"{field}.text" if field.startswith("choice") else field
    sent = {**TEA, "method": "score", "score.most_points": "5", name: "ＳＰＡＭ!"}

    response = await send(open_site, sent)

    assert field_errors(parse(await response.text())) == {field: "Leave out “spam”: this site doesn't accept it."}
    assert rows(database, "SELECT FROM question") == []


async def test_a_network_over_its_limit_is_asked_to_wait_and_another_goes_on(
    serve: Serve, database: Connection
) -> None:
    browser = await serve(trusted_proxies=1, creating=Creating(who="anyone", per_hour=3, per_hour_in_all=5))
    forms = [await fill(browser, text=f"Tea {number}?") for number in range(10)]

    answers = [await send(browser, form, **{"X-Forwarded-For": "192.0.2.1"}) for form in forms]

    assert [answer.status for answer in answers] == [303] * 3 + [429] * 7
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60 * 60
    page = parse(await answers[-1].text())
    assert "Yours was not saved. Try again in 60 minutes." in words(page)
    assert fields(page, ASK)["text"] == "Tea 9?"
    assert (await send(browser, forms[0], **{"X-Forwarded-For": "192.0.2.1"})).status == 303
    others = [await send(browser, await fill(browser), **{"X-Forwarded-For": f"192.0.2.{n}"}) for n in (2, 3, 4)]
    assert [answer.status for answer in others] == [303, 303, 429]
    assert len(rows(database, "SELECT FROM question")) == 5


async def test_the_password_of_the_site_is_asked_for(serve: Serve, database: Connection) -> None:
    browser = await serve(creating=Creating(who="password", password="tulip"))

    for typed, message in [("", "Enter the password."), ("rose", "This is not the password of this site.")]:
        response = await send(browser, await fill(browser, site_password=typed))
        assert field_errors(parse(await response.text())) == {"site_password": message}
    assert rows(database, "SELECT FROM question") == []

    assert (await send(browser, await fill(browser, site_password=" tulip "))).status == 303
    guessed = [(await send(browser, {**TEA, "site_password": str(number)})).status for number in range(5)]
    assert guessed == [400, 400, 429, 429, 429]
    assert (await send(browser, await fill(browser, site_password="tulip"))).status == 303


async def test_only_admins_ask_unless_the_configuration_says_otherwise(client: Client, database: Connection) -> None:
    assert (await client.get(ASK)).status == 403
    assert (await send(client, TEA)).status == 403
    assert "Ask a question" not in links(parse(await (await client.get("/")).text()))
    assert rows(database, "SELECT FROM question") == []


@pytest.mark.parametrize("address", ["/", "/poll/1", "/poll/1/results", "/poll/99"])
async def test_every_page_leads_to_the_form(open_site: Client, create_poll: CreatePoll, address: str) -> None:
    create_poll("Tea?", "Yes")

    assert links(parse(await (await open_site.get(address)).text()))["Ask a question"] == ASK


async def test_a_browser_finds_the_polls_that_it_asked(open_site: Client) -> None:
    assert "The polls that you ask with this browser will be here." in words(
        parse(await (await open_site.get(ASK)).text())
    )
    places = [(await send(open_site, await fill(open_site, text=f"Tea {n}?"))).headers["Location"] for n in range(3)]

    listed = links(parse(await (await open_site.get(ASK)).text()))

    assert [listed[f"Tea {number}?"] for number in range(3)] == places
    assert list(listed.values()).index(places[2]) < list(listed.values()).index(places[0])


async def test_a_made_up_cookie_shows_no_polls_of_others(
    open_site: Client, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Secret?", "Yes")
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET slug = 'budget', pub_date = now() + interval '1 day'")

    for word, value in [("budget", "1"), ("1", "1"), ("nothing", "0"), ("x" * 3000, "1"), ("budget", "9" * 3000)]:
        page = await open_site.get(ASK, headers={"Cookie": f"polls_asked-{word}_{open_site.port}={value}"})
        assert (page.status, "Secret?" in await page.text()) == (200, False)


async def test_without_the_database_everything_typed_is_kept(
    open_site: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = await fill(open_site)

    async def fail(*_: object) -> None:
        raise PollsUnavailable

    monkeypatch.setattr(ask.asking, "add", fail)
    response = await send(open_site, form)

    assert response.status == 503
    page = parse(await response.text())
    assert find(page, "section", role="alert")
    assert fields(page, ASK)["text"] == "Tea?"


_NAMES = (
    "text description choice.0.text choice.1.text choice.7.text choice.999999.text choice.0.id choice.0.remove method "
    "multiple.most_marks closes_date closes_time closes_fold confirmed_end access_key back edition do"
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.dictionaries(st.sampled_from(_NAMES.split()), st.binary(max_size=60), max_size=8))
async def test_any_bytes_in_any_field_show_the_form_again(open_site: Client, sent: dict[str, bytes]) -> None:
    body = b"&".join(
        name.encode() + b"=" + b"".join(b"%%%02x" % byte for byte in value) for name, value in sent.items()
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    response = await open_site.post(ASK, data=body, headers=headers, allow_redirects=False)

    assert response.status in {200, 303, 400}
    if response.status != 303:
        parse(await response.text())
