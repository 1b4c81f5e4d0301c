from datetime import timedelta

import pytest
from aiohttp.test_utils import TestClient

from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import SVG, find, links, parse, words

PAGES = ["/poll/{}", "/poll/{}/results"]


async def test_a_poll_is_a_form_with_a_labelled_radio_button_for_each_choice(
    client: TestClient, create_poll: CreatePoll
) -> None:
    poll = create_poll("Tea?", "Yes", "No")

    page = parse(await (await client.get("/poll/1")).text())

    (form,) = page.iter("form")
    assert (form.get("method"), form.get("action")) == ("post", "/poll/1/vote")
    (question,) = form.findall("fieldset/legend/h1")
    assert words(question) == "Tea?"
    labels = [label for label in form.iter("label") if label.find("input") is not None]
    assert [words(label) for label in labels] == ["Yes", "No"]
    assert [label.find("input").attrib for label in labels] == [
        {"type": "radio", "name": "choice", "value": str(choice.id)} for choice in poll.choices
    ]
    assert [words(button) for button in form.iter("button")] == ["Vote"]


async def test_results_show_votes_shares_and_total(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No", "Perhaps", votes=(1234, 1, 0))

    page = parse(await (await client.get("/poll/1/results")).text())

    rows = find(page, "li", class_="result")
    assert [words(row) for row in rows] == ["Yes leads 1,234 votes >99%", "No 1 vote <1%", "Perhaps 0 votes 0%"]
    assert "1,235 votes in all" in words(page)


@pytest.mark.parametrize("accept", ["en", "zh"])
async def test_equal_counts_have_equal_texts_and_bars(client: TestClient, create_poll: CreatePoll, accept: str) -> None:
    create_poll("Tea?", "Yes", "No", "Perhaps", votes=(4, 4, 1))

    page = parse(await (await client.get("/poll/1/results", headers={"Accept-Language": accept})).text())

    assert [words(share) for share in find(page, "span", class_="share")] == ["44%", "44%", "11%"]
    assert [bar.get("width") for bar in find(page, f"{SVG}rect", class_="fill")] == ["44.444", "44.444", "11.111"]


@pytest.mark.parametrize(
    ("votes", "shares"),
    [
        ((501, 499), ["50.1%", "49.9%"]),
        ((400, 1), [">99%", "<1%"]),
    ],
)
async def test_shares_of_different_counts_differ_where_a_decimal_can_tell_them_apart(
    client: TestClient, create_poll: CreatePoll, votes: tuple[int, ...], shares: list[str]
) -> None:
    create_poll("Tea?", *(f"choice {number}" for number, _ in enumerate(votes)), votes=votes)

    page = parse(await (await client.get("/poll/1/results")).text())

    assert [words(share) for share in find(page, "span", class_="share")] == shares


@pytest.mark.parametrize(("votes", "is_said"), [((4, 4, 1), True), ((2, 1, 1), False), ((0, 0, 0), False)])
async def test_a_sentence_says_that_rounded_shares_do_not_add_up(
    client: TestClient, create_poll: CreatePoll, votes: tuple[int, ...], is_said: bool
) -> None:
    create_poll("Tea?", "Yes", "No", "Perhaps", votes=votes)

    page = parse(await (await client.get("/poll/1/results")).text())

    (sentence,) = find(page, "p", class_="rounding")
    assert words(sentence) == "Rounded percentages don't add up to 100."
    assert ("hidden" not in sentence.attrib) is is_said


async def test_bars_are_as_long_as_the_shares(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No", votes=(3, 1))

    page = parse(await (await client.get("/poll/1/results")).text())

    assert [bar.get("width") for bar in find(page, f"{SVG}rect", class_="fill")] == ["75", "25"]


@pytest.mark.parametrize(
    ("counts", "is_closed", "marked"),
    [
        ((3, 1, 1), False, ["Yes leads"]),
        ((3, 1, 1), True, ["Yes won"]),
        ((2, 2, 1), False, ["Yes tied", "No tied"]),
        ((2, 2, 1), True, ["Yes tied", "No tied"]),
        ((0, 0, 0), True, []),
    ],
)
async def test_choices_with_the_most_votes_are_marked_with_a_word(
    client: TestClient, create_poll: CreatePoll, counts: tuple[int, ...], is_closed: bool, marked: list[str]
) -> None:
    create_poll("Tea?", "Yes", "No", "Perhaps", votes=counts, closed=timedelta(0) if is_closed else None)

    for name in ("results", "present"):
        page = parse(await (await client.get(f"/poll/1/{name}")).text())
        texts = [words(text) for text in find(page, "span", class_="text")]
        assert [text for text in texts if " " in text] == marked


async def test_pages_of_a_closed_poll_say_so_with_its_end_and_that_the_result_is_final(
    client: TestClient, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes", "No", votes=(3, 1), closed=timedelta(days=1))

    for name in ("", "/results", "/present"):
        page = parse(await (await client.get(f"/poll/1{name}")).text())
        assert "This poll closed on" in words(page)
        assert ("Final result" in [words(heading) for heading in page.iter("h2")]) is bool(name)
        assert "leads" not in words(page)
        assert "Live" not in words(page)


async def test_pages_of_an_open_poll_say_until_when_it_is_open(
    client: TestClient, create_poll: CreatePoll, database: Connection
) -> None:
    create_poll("Tea?", "Yes")
    create_poll("Coffee?", "Yes")
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET closes_at = '2099-05-03 18:00+00' WHERE id = 1")

    for address in ("/poll/1", "/poll/1/results"):
        assert "open until 3 May 2099 at 18:00 UTC" in words(parse(await (await client.get(address)).text()))
    assert "This poll is open." in words(parse(await (await client.get("/poll/2/results")).text()))


async def test_results_link_to_the_form(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes")

    assert links(parse(await (await client.get("/poll/1/results")).text()))["Vote"] == "/poll/1"


@pytest.mark.parametrize("address", PAGES)
@pytest.mark.parametrize("ago", [timedelta(hours=-1), timedelta(days=-365)])
async def test_a_poll_of_the_future_is_not_found(
    client: TestClient, create_poll: CreatePoll, address: str, ago: timedelta
) -> None:
    poll = create_poll("Tea?", "Yes", ago=ago)

    assert (await client.get(address.format(poll.question.id))).status == 404


@pytest.mark.parametrize("address", PAGES)
async def test_a_poll_without_choices_is_not_found(client: TestClient, create_poll: CreatePoll, address: str) -> None:
    poll = create_poll("Tea?")

    assert (await client.get(address.format(poll.question.id))).status == 404


@pytest.mark.parametrize("address", PAGES)
async def test_an_unknown_poll_is_not_found_and_the_page_links_to_the_latest_polls(
    client: TestClient, address: str
) -> None:
    response = await client.get(address.format(999))

    page = parse(await response.text())
    assert response.status == 404
    assert "This poll doesn't exist" in words(page)
    assert links(page)["See the latest polls"] == "/"


@pytest.mark.parametrize(
    "number",
    [
        "0",
        "-1",
        "+1",
        "01",
        "1.0",
        "1x",
        "x",
        "9" * 11,
        "9" * 22,
        "%D9%A1",
        "%201",
        "1%20",
        "%20%201",
        "1%00",
        "",
    ],
)
@pytest.mark.parametrize("address", ["/poll/{}", "/poll/{}/results", "/poll/{}/vote"])
async def test_an_invalid_poll_number_is_not_found(
    client: TestClient, create_poll: CreatePoll, address: str, number: str
) -> None:
    create_poll("Tea?", "Yes")

    assert (await client.get(address.format(number))).status == 404
    assert (await client.post(address.format(number), data={"choice": "1"})).status == 404


async def test_html_in_a_question_is_escaped(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("<script>alert(1)</script>", "<b>Yes</b>", '"><img src=x>')

    for address in ("/", "/poll/1", "/poll/1/results"):
        page = await (await client.get(address)).text()
        assert "<script>alert" not in page
        assert "<b>Yes" not in page
        assert "<img src=x" not in page
