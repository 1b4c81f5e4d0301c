"""Users: letting in, shutting out, passwords."""

import asyncio
from typing import Any

import pytest

from polls.storage.postgres.connect import Connection
from tests.support.pages import find, parse, words
from tests.web.conftest import PASSWORD, Client, SignIn, SignUp

OTHER = "another horse battery"


async def post(browser: Client, address: str, **sent: str) -> Any:
    return await browser.post(address, data=sent, allow_redirects=False)


async def faults(response: Any) -> dict[str, str]:
    document = parse(await response.text())
    assert response.status == 400
    return {
        (message.get("id") or "").removeprefix("error-"): words(message)
        for message in find(document, "p", class_="message")
        if message.get("id")
    }


async def is_in(browser: Client) -> bool:
    return (await browser.get("/admin/", allow_redirects=False)).status == 200


async def test_an_admin_adds_another_who_can_sign_in(ada: Client, sign_in: SignIn) -> None:
    response = await post(ada, "/admin/users/", username="Bob", password=PASSWORD, again=PASSWORD)
    assert (response.status, response.headers["Location"]) == (303, "/admin/users/")

    bob = await sign_in("bob")

    page = parse(await (await bob.get("/admin/users/")).text())
    assert [words(name) for name in find(page, "th", scope="row")] == ["ada", "bob"]
    assert "in 1 browser" in words(page)


UNFIT = {"username": "Use 1 to 150 characters: letters, digits, and . - _ @ +"}
COMMON = {"password": "This password is too easy to guess. Choose another."}


@pytest.mark.parametrize(
    ("username", "password", "again", "wrong"),
    [
        ("", PASSWORD, PASSWORD, UNFIT),
        ("a b", PASSWORD, PASSWORD, UNFIT),
        ("a\x00", PASSWORD, PASSWORD, UNFIT),
        ("a" * 151, PASSWORD, PASSWORD, UNFIT),
        ("ADA", PASSWORD, PASSWORD, {"username": "This user name is already taken."}),
        ("bob", "short", "short", {"password": "Use at least 8 characters."}),
        ("bob", "x" * 1001, "x" * 1001, {"password": "Use at most 1,000 characters."}),
        ("bob", "password1", "password1", COMMON),
        ("robertson-ng", "Robertson-NG", "Robertson-NG", COMMON),
        ("bob", PASSWORD, OTHER, {"again": "The two passwords don't match."}),
    ],
)
async def test_what_cannot_be_added_is_said_beside_its_field(
    ada: Client, database: Connection, username: str, password: str, again: str, wrong: dict[str, str]
) -> None:
    response = await post(ada, "/admin/users/", username=username, password=password, again=again)

    assert await faults(response) == wrong
    assert password not in await response.text()
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM account")
        assert cursor.fetchone() == (1,)


@pytest.mark.parametrize(
    "password", ["ünïcödé pässwörd", "密码密码密码密码一二", "😀😃😄😁😆😅😂🤣", "x y" * 333, "qX7!kv0 "]
)
async def test_any_long_and_rare_password_will_do(ada: Client, sign_in: SignIn, client: Client, password: str) -> None:
    response = await post(ada, "/admin/users/", username="bob", password=password, again=password)
    assert response.status == 303

    await sign_in("bob", password)

    assert (await post(client, "/admin/login", username="bob", password=password[:-1])).status == 400


async def test_who_is_disabled_is_out_at_once_and_in_again_when_enabled(
    ada: Client, bob: Client, client: Client, sign_in: SignIn
) -> None:
    assert await is_in(bob)

    assert (await post(ada, "/admin/users/2", do="disable")).status == 303
    assert not await is_in(bob)
    assert (await post(client, "/admin/login", username="bob", password=PASSWORD)).status == 400

    assert (await post(ada, "/admin/users/2", do="enable")).status == 303
    assert not await is_in(bob)
    assert await is_in(await sign_in("bob"))


async def test_an_admin_ends_the_sessions_of_another(ada: Client, bob: Client, sign_in: SignIn) -> None:
    also_bob = await sign_in("bob")

    await post(ada, "/admin/users/2", do="end")

    assert [await is_in(browser) for browser in (ada, bob, also_bob)] == [True, False, False]


async def test_the_last_one_who_can_sign_in_cannot_be_disabled(ada: Client, sign_up: SignUp) -> None:
    await sign_up("bob")
    await post(ada, "/admin/users/2", do="disable")

    response = await post(ada, "/admin/users/1", do="disable")

    page = parse(await response.text())
    assert response.status == 409
    assert words(find(page, "p", role="alert")[0]) == (
        "This is the last user who can sign in. Add or enable another user first."
    )
    assert await is_in(ada)


async def test_of_admins_who_disable_each_other_at_once_one_is_left(
    ada: Client, bob: Client, database: Connection
) -> None:
    with database.cursor() as cursor:
        for _ in range(10):
            answers = await asyncio.gather(
                post(ada, "/admin/users/2", do="disable"), post(bob, "/admin/users/1", do="disable")
            )
            cursor.execute("SELECT count(*) FROM account WHERE disabled_at IS NULL")
            assert cursor.fetchone() == (1,), [answer.status for answer in answers]
            cursor.execute("UPDATE account SET disabled_at = NULL")
            for browser, name in ((ada, "ada"), (bob, "bob")):
                await post(browser, "/admin/login", username=name, password=PASSWORD)


async def test_a_disabled_account_stays_disabled_when_it_is_disabled_again(
    ada: Client, sign_up: SignUp, database: Connection
) -> None:
    await sign_up("bob")
    for _ in range(2):
        assert (await post(ada, "/admin/users/2", do="disable")).status == 303

    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM history WHERE deed = 'account disabled'")
        assert cursor.fetchone() == (1,)


@pytest.mark.parametrize(
    ("address", "do", "status"), [("/admin/users/9", "disable", 404), ("/admin/users/1", "dance", 400)]
)
async def test_what_nobody_can_do(ada: Client, address: str, do: str, status: int) -> None:
    assert (await post(ada, address, do=do)).status == status


async def test_a_new_password_ends_all_other_sessions(
    ada: Client, bob: Client, sign_in: SignIn, client: Client
) -> None:
    other = await sign_in("ada")

    response = await post(ada, "/admin/account", current=PASSWORD, password=OTHER, again=OTHER)

    assert (response.status, response.headers["Location"]) == (303, "/admin/account")
    assert [await is_in(browser) for browser in (ada, other, bob)] == [True, False, True]
    assert (await post(client, "/admin/login", username="ada", password=PASSWORD)).status == 400
    assert (await post(client, "/admin/login", username="ada", password=OTHER)).status == 303


@pytest.mark.parametrize(
    ("sent", "wrong"),
    [
        ({"current": "wrong horse"}, {"current": "Wrong password."}),
        ({"again": "wrong horse"}, {"again": "The two passwords don't match."}),
        ({"password": "short", "again": "short"}, {"password": "Use at least 8 characters."}),
        ({"current": ""}, {"current": "Wrong password."}),
    ],
)
async def test_a_password_is_changed_by_its_owner_alone(
    ada: Client, client: Client, sent: dict[str, str], wrong: dict[str, str]
) -> None:
    response = await post(ada, "/admin/account", **({"current": PASSWORD, "password": OTHER, "again": OTHER} | sent))

    assert await faults(response) == wrong
    assert (await post(client, "/admin/login", username="ada", password=PASSWORD)).status == 303


async def test_who_found_an_open_browser_cannot_guess_the_password_in_it(ada: Client) -> None:
    answers = [
        await post(ada, "/admin/account", current=f"guess number {number}", password=OTHER, again=OTHER)
        for number in range(6)
    ]

    assert (await faults(answers[4])) == {"current": "Wrong password."}
    assert (await faults(answers[5])) == {"current": "Too many attempts. Try again in a minute."}
