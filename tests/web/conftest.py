"""Admins: their accounts, and browsers in which they have signed in."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from argon2 import PasswordHasher

from polls.app import create_app
from polls.config.settings import Config
from polls.domain.permissions import COMMAND_LINE
from polls.storage import accounts
from polls.storage.passwords import Passwords
from polls.web.keys import DATABASE, PASSWORDS

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "correct horse battery"

Client = TestClient[Any, Any]
SignUp = Callable[..., Awaitable[int]]
SignIn = Callable[..., Awaitable[Client]]


@pytest.fixture
async def client(config: Config, aiohttp_client: Any) -> Client:
    """A stranger's browser, and an application that hashes passwords as cheaply as can be."""
    app = create_app(config)
    app[PASSWORDS] = Passwords(CHEAP)
    return await aiohttp_client(app)


async def add_account(client: Client, username: str, password: str = PASSWORD) -> int:
    """Let somebody sign in to the application of `client`, and return the account's id."""
    assert client.app
    kept = await client.app[PASSWORDS].hash(password, username)
    return (await accounts.add(client.app[DATABASE], COMMAND_LINE, username, kept)).id


@pytest.fixture
def sign_up(client: Client) -> SignUp:
    """Give somebody an account, and return its id: `await sign_up("ada")`."""

    return partial(add_account, client)


@pytest.fixture
async def sign_in(client: Client) -> AsyncIterator[SignIn]:
    """Sign somebody in with a browser of their own: `ada = await sign_in("ada")`."""
    browsers = []

    async def sign_in(username: str, password: str = PASSWORD) -> Client:
        browser = TestClient(client.server)
        browsers.append(browser)
        sent = {"username": username, "password": password}
        response = await browser.post("/admin/login", data=sent, allow_redirects=False)
        assert response.status == 303
        return browser

    yield sign_in
    for browser in browsers:
        await browser.session.close()


@pytest.fixture
async def ada(sign_up: SignUp, sign_in: SignIn) -> Client:
    """The browser of an admin who has signed in."""
    await sign_up("ada")
    return await sign_in("ada")


@pytest.fixture
async def bob(ada: Client, sign_up: SignUp, sign_in: SignIn) -> Client:  # noqa: ARG001 - bob comes after her
    """The browser of another one."""
    await sign_up("bob")
    return await sign_in("bob")
