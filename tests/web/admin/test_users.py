"""Users: adding, disabling and enabling accounts, and changing passwords."""

import asyncio
from typing import Any

import pytest

from polls.storage.postgres.connect import Connection
from tests.support.pages import field_errors, find, parse, words
from tests.web.conftest import PASSWORD, Client, SignIn, SignUp

OTHER_PASSWORD = "another horse battery"


async def post(browser: Client, url: str, **sent: str) -> Any:
    return await browser.post(url, data=sent, allow_redirects=False)


async def errors(response: Any) -> dict[str, str]:
    assert response.status == 400
    return field_errors(parse(await response.text()))


async def is_signed_in(browser: Client) -> bool:
    return (await browser.get("/admin/", allow_redirects=False)).status == 200


async def test_an_admin_adds_another_who_can_sign_in(ada: Client, sign_in: SignIn) -> None:
    response = await post(ada, "/admin/users/", username="Bob", password=PASSWORD, again=PASSWORD)
    assert (response.status, response.headers["Location"]) == (303, "/admin/users/")

    bob = await sign_in("bob")

    page = parse(await (await bob.get("/admin/users/")).text())
    assert [words(name) for name in find(page, "th", scope="row")] == ["ada", "bob"]
    assert "in 1 browser" in words(page)


INVALID_USERNAME = {"username": "Use 1 to 150 characters: letters, digits, and . - _ @ +"}
COMMON_PASSWORD = {"password": "This password is too easy to guess. Choose another."}


@pytest.mark.parametrize(
    ("username", "password", "again", "expected"),
    [
        ("", PASSWORD, PASSWORD, INVALID_USERNAME),
        ("a b", PASSWORD, PASSWORD, INVALID_USERNAME),
        ("a\x00", PASSWORD, PASSWORD, INVALID_USERNAME),
        ("a" * 151, PASSWORD, PASSWORD, INVALID_USERNAME),
        ("ADA", PASSWORD, PASSWORD, {"username": "This user name is already taken."}),
        ("bob", "short", "short", {"password": "Use at least 8 characters."}),
        ("bob", "x" * 1001, "x" * 1001, {"password": "Use at most 1,000 characters."}),
        ("bob", "password1", "password1", COMMON_PASSWORD),
        ("robertson-ng", "Robertson-NG", "Robertson-NG", COMMON_PASSWORD),
        ("bob", PASSWORD, OTHER_PASSWORD, {"again": "The two passwords don't match."}),
        (
            "Ada",
            "short",
            "shirt",
            {
                "username": "This user name is already taken.",
                "password": "Use at least 8 characters.",
                "again": "The two passwords don't match.",
            },
        ),
    ],
)
async def test_invalid_accounts_are_refused_with_a_message_by_field(
    ada: Client, database: Connection, username: str, password: str, again: str, expected: dict[str, str]
) -> None:
    response = await post(ada, "/admin/users/", username=username, password=password, again=again)

    assert await errors(response) == expected
    assert password not in await response.text()
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM account")
        assert cursor.fetchone() == (1,)


@pytest.mark.parametrize(
    "password", ["ünïcödé pässwörd", "密码密码密码密码一二", "😀😃😄😁😆😅😂🤣", "x y" * 333, "qX7!kv0 "]
)
async def test_any_long_and_uncommon_password_is_accepted(
    ada: Client, sign_in: SignIn, client: Client, password: str
) -> None:
    response = await post(ada, "/admin/users/", username="bob", password=password, again=password)
    assert response.status == 303

    await sign_in("bob", password)

    assert (await post(client, "/admin/login", username="bob", password=password[:-1])).status == 400


async def test_a_disabled_user_is_signed_out_until_enabled_again(
    ada: Client, bob: Client, client: Client, sign_in: SignIn
) -> None:
    assert await is_signed_in(bob)

    assert (await post(ada, "/admin/users/2", do="disable")).status == 303
    assert not await is_signed_in(bob)
    assert (await post(client, "/admin/login", username="bob", password=PASSWORD)).status == 400

    assert (await post(ada, "/admin/users/2", do="enable")).status == 303
    assert not await is_signed_in(bob)
    assert await is_signed_in(await sign_in("bob"))


async def test_an_admin_ends_the_sessions_of_another(ada: Client, bob: Client, sign_in: SignIn) -> None:
    also_bob = await sign_in("bob")

    await post(ada, "/admin/users/2", do="end")

    assert [await is_signed_in(browser) for browser in (ada, bob, also_bob)] == [True, False, False]


async def test_the_last_user_who_can_sign_in_cannot_be_disabled(ada: Client, sign_up: SignUp) -> None:
    await sign_up("bob")
    await post(ada, "/admin/users/2", do="disable")

    response = await post(ada, "/admin/users/1", do="disable")

    page = parse(await response.text())
    assert response.status == 409
    assert words(find(page, "p", role="alert")[0]) == (
        "This is the last user who can sign in. Add or enable another user first."
    )
    assert await is_signed_in(ada)


async def test_of_two_admins_who_disable_each_other_one_stays_enabled(
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
    ("url", "do", "status"), [("/admin/users/9", "disable", 404), ("/admin/users/1", "dance", 400)]
)
async def test_unknown_users_and_actions_are_refused(ada: Client, url: str, do: str, status: int) -> None:
    assert (await post(ada, url, do=do)).status == status


async def test_a_new_password_ends_all_other_sessions(
    ada: Client, bob: Client, sign_in: SignIn, client: Client
) -> None:
    other = await sign_in("ada")

    response = await post(ada, "/admin/account", current=PASSWORD, password=OTHER_PASSWORD, again=OTHER_PASSWORD)

    assert (response.status, response.headers["Location"]) == (303, "/admin/account")
    assert [await is_signed_in(browser) for browser in (ada, other, bob)] == [True, False, True]
    assert (await post(client, "/admin/login", username="ada", password=PASSWORD)).status == 400
    assert (await post(client, "/admin/login", username="ada", password=OTHER_PASSWORD)).status == 303


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"current": "wrong horse"}, {"current": "Wrong password."}),
        ({"again": "wrong horse"}, {"again": "The two passwords don't match."}),
        ({"password": "short", "again": "short"}, {"password": "Use at least 8 characters."}),
        (
            {"current": "wrong", "password": "short", "again": "shirt"},
            {
                "current": "Wrong password.",
                "password": "Use at least 8 characters.",
                "again": "The two passwords don't match.",
            },
        ),
        ({"current": ""}, {"current": "Wrong password."}),
    ],
)
async def test_invalid_password_changes_are_refused(
    ada: Client, client: Client, sent: dict[str, str], expected: dict[str, str]
) -> None:
    response = await post(
        ada, "/admin/account", **({"current": PASSWORD, "password": OTHER_PASSWORD, "again": OTHER_PASSWORD} | sent)
    )

    assert await errors(response) == expected
    assert (await post(client, "/admin/login", username="ada", password=PASSWORD)).status == 303


async def test_guesses_of_the_current_password_are_limited(ada: Client) -> None:
    answers = [
        await post(
            ada, "/admin/account", current=f"guess number {number}", password=OTHER_PASSWORD, again=OTHER_PASSWORD
        )
        for number in range(6)
    ]

    assert (await errors(answers[4])) == {"current": "Wrong password."}
    assert (await errors(answers[5])) == {"current": "Too many attempts. Try again in a minute."}
