"""Applications with cheap password hashes, admins' accounts, and their browsers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
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
Serve = Callable[..., Awaitable[Client]]
SignUp = Callable[..., Awaitable[int]]
SignIn = Callable[..., Awaitable[Client]]


@pytest.fixture
def serve(config: Config, aiohttp_client: Any) -> Serve:
    """Serve an application with other settings, and return a browser: `await serve(trusted_proxies=1)`."""

    async def serve(*, hasher: PasswordHasher = CHEAP, **settings: Any) -> Client:
        app = create_app(replace(config, **settings))
        app[PASSWORDS] = Passwords(hasher)
        client: Client = await aiohttp_client(app)
        return client

    return serve


@pytest.fixture
async def client(serve: Serve) -> Client:
    """A browser without a session."""
    return await serve()


async def add_account(client: Client, username: str, password: str = PASSWORD) -> int:
    """Add an account to the application of `client`, and return its id."""
    assert client.app
    password_hash = await client.app[PASSWORDS].hash(password, username)
    return (await accounts.add(client.app[DATABASE], COMMAND_LINE, username, password_hash)).id


@pytest.fixture
def sign_up(client: Client) -> SignUp:
    """Add an account, and return its id: `await sign_up("ada")`."""
    return partial(add_account, client)


@pytest.fixture
async def sign_in(client: Client) -> AsyncIterator[SignIn]:
    """Sign in with a new browser, and return it: `ada = await sign_in("ada")`."""
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
    """The browser of a signed-in admin, whose account has the id 1."""
    await sign_up("ada")
    return await sign_in("ada")


@pytest.fixture
async def bob(ada: Client, sign_up: SignUp, sign_in: SignIn) -> Client:  # noqa: ARG001 - ada's account has the first id
    """The browser of another admin, whose account has the id 2."""
    await sign_up("bob")
    return await sign_in("bob")
