"""Polls, choices and accounts with the largest ids of PostgreSQL's integer, and numbers beyond them."""

import re

import pytest

from polls import paths
from polls.storage.postgres.connect import Connection
from polls.web.http.parameters import SLUG
from tests.conftest import CreatePoll
from tests.web.conftest import Client

LARGEST = 2**31 - 1
PUBLIC = ("", "/results", "/present")
ADMIN = ("", "/delete", "/history")


async def test_a_poll_with_the_largest_id_can_be_opened_voted_in_and_edited(
    ada: Client, create_poll: CreatePoll, database: Connection
) -> None:
    with database.cursor() as cursor:
        cursor.execute(
            f"ALTER SEQUENCE question_id_seq RESTART {LARGEST}; ALTER SEQUENCE choice_id_seq RESTART {LARGEST}"
        )
    create_poll("Tea?", "Yes")

    pages = [f"/poll/{LARGEST}{page}" for page in PUBLIC] + [f"/admin/polls/{LARGEST}{page}" for page in ADMIN]
    assert {page: (await ada.get(page)).status for page in pages} == dict.fromkeys(pages, 200)
    voted = await ada.post(f"/poll/{LARGEST}/vote", data={"choice": str(LARGEST)})
    assert (voted.status, "your vote" in await voted.text()) == (200, True)
    async with ada.ws_connect(f"/poll/{LARGEST}/live") as socket:
        assert (await socket.receive_json(timeout=5))["ballots"] == 1
    selected = await ada.post("/admin/polls/selected", data={"do": "delete", "poll": str(LARGEST)})
    assert "Tea?" in await selected.text()


@pytest.mark.parametrize("number", [LARGEST + 1, 9_999_999_999])
async def test_numbers_beyond_the_largest_id_are_not_found(ada: Client, create_poll: CreatePoll, number: int) -> None:
    create_poll("Tea?", "Yes")

    pages = [f"/poll/{number}{page}" for page in (*PUBLIC, "/live")] + [
        f"/admin/polls/{number}{page}" for page in ADMIN
    ]
    assert {page: (await ada.get(page)).status for page in pages} == dict.fromkeys(pages, 404)
    assert (await ada.post(f"/poll/{number}/vote", data={"choice": "1"})).status == 404
    assert (await ada.post("/poll/1/vote", data={"choice": str(number)})).status == 400
    assert (await ada.post(f"/admin/users/{number}", data={"do": "end"})).status == 404
    assert (
        await ada.get("/poll/1", headers={"Cookie": f"polls_voter={'a' * 32}; polls_ballot_{ada.port}={number}"})
    ).status == 200


def test_nginx_knows_the_same_urls_of_polls() -> None:
    locations = re.findall(r"poll/(\S+?)/(?:results|vote|live)", (paths.CONFIG / "nginx.conf").read_text("utf-8"))

    assert locations == [SLUG] * 3
