from datetime import timedelta

import pytest
from aiohttp.test_utils import TestClient

from tests.conftest import CreatePoll
from tests.support.pages import find, links, parse, words

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
    assert [words(row) for row in rows] == ["Yes leads 1,234 votes 100%", "No 1 vote 0%", "Perhaps 0 votes 0%"]
    assert "1,235 votes in all" in words(page)


async def test_bars_are_as_long_as_the_shares(client: TestClient, create_poll: CreatePoll) -> None:
    create_poll("Tea?", "Yes", "No", votes=(3, 1))

    page = await (await client.get("/poll/1/results")).text()

    bars = [
        rect.get("width")
        for rect in parse(page).iter("{http://www.w3.org/2000/svg}rect")
        if rect.get("class") == "fill"
    ]
    assert bars == ["75", "25"]


@pytest.mark.parametrize(
    ("counts", "leading"), [((3, 1), ["Yes"]), ((2, 2), ["Yes", "No"]), ((0, 0), [])], ids=["leader", "tie", "no votes"]
)
async def test_leading_choices_are_marked_with_a_word(
    client: TestClient, create_poll: CreatePoll, counts: tuple[int, int], leading: list[str]
) -> None:
    create_poll("Tea?", "Yes", "No", votes=counts)

    page = parse(await (await client.get("/poll/1/results")).text())

    assert [words(row).split()[0] for row in find(page, "li", class_="result") if "leads" in words(row)] == leading


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
        "1/",
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
