"""A poll of a visitor, its owner's browser and another one."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from polls.domain.access_keys import hash_of
from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import fields, parse, words
from tests.web.conftest import Client

KEY = "0123456789abcdefghjkmnpqrs"
POLL = "/poll/k7m2q9xdtb"
MANAGE = f"{POLL}/manage"
EDIT = f"{POLL}/edit"
LINK = f"{POLL}/as/{KEY}"


@pytest.fixture
def poll(create_poll: CreatePoll, database: Connection) -> None:
    """A poll with votes, whose owner has KEY."""
    create_poll("Tea?", "Yes", "No", votes=(2, 1), slug="k7m2q9xdtb")
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO poll_settings (question_id, owner_hash, asked_at) VALUES (1, %s, now())", (hash_of(KEY),)
        )


@pytest.fixture
async def browser(client: Client) -> AsyncIterator[Client]:
    """Another browser than the client's."""
    other: Client = TestClient(client.server)
    yield other
    await other.session.close()


@pytest.fixture
async def owners_browser(client: Client, poll: None) -> Client:  # noqa: ARG001 - the link is the poll's
    """A browser in which the access link has been opened."""
    response = await client.get(LINK)
    assert response.url.path == MANAGE
    return client


async def page_of(browser: Client, url: str, *, status: int = 200) -> Any:
    response = await browser.get(url)
    assert response.status == status
    return parse(await response.text())


async def send(browser: Client, url: str, page: Any, **changes: str) -> Any:
    """Send the poll's form on `page` with other values, and return the response."""
    sent = fields(page, url)
    sent.update({"do": "save", **{name.replace("__", "."): value for name, value in changes.items()}})
    return await browser.post(url, data=sent)


def heading(page: Any) -> str:
    return words(next(page.iter("h1")))


def actors(database: Connection) -> list[tuple[str, str]]:
    with database.cursor() as cursor:
        cursor.execute("SELECT actor, deed FROM history ORDER BY id")
        return [(str(actor), str(deed)) for actor, deed in cursor.fetchall()]
