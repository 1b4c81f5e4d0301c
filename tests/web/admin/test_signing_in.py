"""Signing in and out: passwords, cookies, sessions, and the limit on failed attempts."""

import asyncio
import re
from typing import Any

import pytest
from aiohttp import CookieJar
from aiohttp.test_utils import TestClient
from argon2 import PasswordHasher

from polls.config.settings import Site
from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll
from tests.support.pages import field_errors, fields, find, parse, words
from tests.web.conftest import PASSWORD, Client, Serve, SignIn, SignUp, add_account

PAGES = [
    "/admin/",
    "/admin/polls/add",
    "/admin/polls/1",
    "/admin/polls/1/delete",
    "/admin/polls/1/close",
    "/admin/polls/1/history",
    "/admin/history",
    "/admin/users/",
    "/admin/account",
]
POSTS: list[tuple[str, dict[str, str]]] = [
    ("/admin/logout", {}),
    ("/admin/polls/add", {"text": "Coffee?", "published_date": "2026-05-03", "published_time": "18:00"}),
    ("/admin/polls/1", {"text": "Coffee?", "published_date": "2026-05-03", "published_time": "18:00", "edition": "3"}),
    ("/admin/polls/1/delete", {}),
    ("/admin/polls/1/close", {}),
    ("/admin/polls/selected", {"do": "delete", "poll": "1", "confirmed": "yes"}),
    ("/admin/users/", {"username": "eve", "password": PASSWORD, "again": PASSWORD}),
    ("/admin/users/1", {"do": "disable"}),
    ("/admin/account", {"current": PASSWORD, "password": "battery horse", "again": "battery horse"}),
]
WRONG = "Wrong user name or password."


async def attempt(client: Client, username: str = "ada", password: str = "wrong horse", **more: str) -> Any:
    sent = {"username": username, "password": password, **more}
    return await client.post("/admin/login", data=sent, allow_redirects=False)


async def destination(client: Client, response: Any) -> str:
    """Return where a browser that has just signed in is sent in the end."""
    response = await client.get(response.headers["Location"], allow_redirects=False)
    location: str = response.headers["Location"]
    return location


async def error_message(response: Any) -> str:
    page = parse(await response.text())
    (alert,) = [element for element in page.iter() if element.get("role") == "alert"]
    (message,) = field_errors(page).values() or [words(alert)]
    return message


def rewind(database: Connection, table: str, column: str, by: str) -> None:
    with database.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = {column} - interval '{by}'")


def snapshot(database: Connection) -> list[Any]:
    """Return everything that a request could change."""
    with database.cursor() as cursor:
        cursor.execute("SELECT id, question_text FROM question")
        questions = cursor.fetchall()
        cursor.execute("SELECT username, password_hash, disabled_at FROM account")
        accounts = cursor.fetchall()
        cursor.execute("SELECT token_hash FROM session")
        sessions = cursor.fetchall()
        cursor.execute("SELECT count(*) FROM history")
        return [questions, accounts, sessions, cursor.fetchall()]


async def test_signing_in_leads_to_the_list(client: Client, sign_up: SignUp) -> None:
    await sign_up("ada")

    response = await client.post("/admin/login", data={"username": "ada", "password": PASSWORD})

    assert response.status == 200
    assert response.url.path == "/admin/"
    assert words(find(parse(await response.text()), "h1")[0]) == "Polls"


@pytest.mark.parametrize("name", ["ADA", " ada ", "Ada", "ａｄａ"])
async def test_user_names_are_compared_without_case_and_width(client: Client, sign_up: SignUp, name: str) -> None:
    await sign_up("ada")

    assert (await attempt(client, name, PASSWORD)).status == 303


async def test_the_cookie_is_http_only_and_same_site(client: Client, sign_up: SignUp) -> None:
    await sign_up("ada")

    cookie = (await attempt(client, password=PASSWORD)).headers["Set-Cookie"]

    assert re.fullmatch(
        rf"polls_session_{client.port}=[\w-]{{43}}; HttpOnly; Max-Age=604800; Path=/; SameSite=Lax", cookie
    )


async def test_behind_https_the_cookie_is_secure(serve: Serve) -> None:
    client = await serve(site=Site(url="https://polls.example.org"))
    async with TestClient(client.server, cookie_jar=CookieJar(unsafe=True)) as browser:
        await add_account(client, "ada")

        assert (await attempt(browser, password=PASSWORD)).headers["Set-Cookie"].endswith("; Secure")


async def test_the_database_keeps_neither_passwords_nor_tokens(
    client: Client, sign_up: SignUp, database: Connection
) -> None:
    await sign_up("ada")
    token = (await attempt(client, password=PASSWORD)).cookies[f"polls_session_{client.port}"].value

    stored = repr(snapshot(database))

    assert PASSWORD not in stored
    assert token not in stored
    assert token.encode().hex() not in stored


@pytest.mark.parametrize(("username", "password"), [("ada", "wrong horse"), ("eve", PASSWORD), ("bob", PASSWORD)])
async def test_every_failure_gets_the_same_message(
    client: Client, sign_up: SignUp, database: Connection, username: str, password: str
) -> None:
    await sign_up("ada")
    await sign_up("bob")
    with database.cursor() as cursor:
        cursor.execute("UPDATE account SET disabled_at = now() WHERE username = 'bob'")

    response = await attempt(client, username, password)

    assert (response.status, await error_message(response)) == (400, WRONG)
    assert "Set-Cookie" not in response.headers


async def test_known_and_unknown_names_cost_one_hash_each(serve: Serve) -> None:
    compared = []

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]  # noqa: A002
            compared.append(hash)
            return super().verify(hash, password)  # type: ignore[arg-type]

    client = await serve(hasher=Counting(time_cost=1, memory_cost=8, parallelism=1))
    await add_account(client, "ada")

    for name in ("ada", "eve"):
        await attempt(client, name)

    assert len(compared) == 2
    assert {str(hashed).rpartition("$")[0].count("$") for hashed in compared} == {4}


async def test_a_failed_sign_in_keeps_the_user_name_but_not_the_password(client: Client, sign_up: SignUp) -> None:
    await sign_up("ada")

    response = await attempt(client, 'ada"><b>', "wrong horse", next="/admin/users/")

    page = await response.text()
    assert fields(parse(page), "/admin/login") == {"next": "/admin/users/", "username": 'ada"><b>', "password": ""}
    assert "wrong horse" not in page


async def test_empty_fields_of_the_sign_in_are_named(client: Client, database: Connection) -> None:
    response = await attempt(client, "", "")

    errors = {"username": "Enter your user name.", "password": "Enter your password."}
    assert (response.status, field_errors(parse(await response.text()))) == (400, errors)
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM sign_in_failure")
        assert cursor.fetchone() == (0,)


async def test_after_one_failure_the_right_password_works_at_once(client: Client, sign_up: SignUp) -> None:
    await sign_up("ada")
    await attempt(client)

    assert (await attempt(client, password=PASSWORD)).status == 303


async def test_after_five_failures_even_the_right_password_must_wait(client: Client, sign_up: SignUp) -> None:
    await sign_up("ada")

    statuses = [(await attempt(client)).status for _ in range(6)]
    refused = await attempt(client, password=PASSWORD)

    assert statuses == [400] * 5 + [429]
    assert refused.status == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 10
    assert await error_message(refused) == "Too many attempts. Try again in a minute."


async def test_unknown_user_names_are_limited_in_the_same_way(client: Client) -> None:
    assert [(await attempt(client, "eve")).status for _ in range(6)] == [400] * 5 + [429]


async def test_the_wait_doubles_up_to_15_minutes(client: Client, sign_up: SignUp, database: Connection) -> None:
    await sign_up("ada")
    for _ in range(5):
        await attempt(client)

    waits = []
    for _ in range(10):
        waits.append(int((await attempt(client)).headers["Retry-After"]))
        rewind(database, "sign_in_failure", "last_at", "15 minutes")
        assert (await attempt(client)).status == 400

    assert waits == [10, 20, 40, 80, 160, 320, 640, 900, 900, 900]


async def test_an_account_is_never_locked_for_good(client: Client, sign_up: SignUp, database: Connection) -> None:
    await sign_up("ada")
    for _ in range(5):
        await attempt(client)
    with database.cursor() as cursor:
        cursor.execute("UPDATE sign_in_failure SET failures = 2000000")
    assert (await attempt(client, password=PASSWORD)).status == 429

    rewind(database, "sign_in_failure", "last_at", "15 minutes")

    assert (await attempt(client, password=PASSWORD)).status == 303


async def test_failures_are_forgotten_after_a_success_and_after_a_day(
    client: Client, sign_up: SignUp, database: Connection
) -> None:
    await sign_up("ada")
    for _ in range(4):
        await attempt(client)
    await attempt(client, password=PASSWORD)
    assert [(await attempt(client)).status for _ in range(6)] == [400] * 5 + [429]

    rewind(database, "sign_in_failure", "last_at", "25 hours")

    assert [(await attempt(client)).status for _ in range(6)] == [400] * 5 + [429]


async def test_of_many_simultaneous_guesses_five_are_checked(client: Client, sign_up: SignUp) -> None:
    await sign_up("ada")
    checked: list[int] = []

    for _ in range(3):
        guesses = [attempt(client, password=f"guess number {number}") for number in range(30)]
        answers = await asyncio.gather(*guesses)
        checked.extend(answer.status for answer in answers if answer.status != 429)

    assert checked == [400] * 5


async def test_a_flood_from_one_network_does_not_block_sign_ins_from_another(serve: Serve) -> None:
    """The queue for hashing is limited per network: the whole flood would take longer than a sign-in may wait."""
    client = await serve(hasher=PasswordHasher(time_cost=3, memory_cost=16 * 1024, parallelism=1), trusted_proxies=1)
    await add_account(client, "ada")

    async def from_(client_ip: str, username: str, password: str) -> int:
        sent = {"username": username, "password": password}
        headers = {"X-Forwarded-For": client_ip}
        return (await client.post("/admin/login", data=sent, headers=headers, allow_redirects=False)).status

    flood = [asyncio.create_task(from_("203.0.113.7", f"unknown{number}", "x")) for number in range(400)]
    await asyncio.sleep(0.2)
    status = await from_("203.0.113.8", "ada", PASSWORD)

    assert status == 303
    assert set(await asyncio.gather(*flood)) == {400, 429}


async def test_failures_are_counted_per_network(serve: Serve) -> None:
    client = await serve(trusted_proxies=1)
    await add_account(client, "ada")
    sent = {"username": "ada", "password": "wrong horse"}

    async def from_(*client_ips: str, password: str = "wrong horse") -> int:
        headers = [("X-Forwarded-For", client_ip) for client_ip in client_ips]
        response = await client.post(
            "/admin/login", data={**sent, "password": password}, headers=headers, allow_redirects=False
        )
        return response.status

    # The proxy adds the last address; the client may have made up those before it.
    assert [await from_(f"198.51.100.{number}", "203.0.113.7") for number in range(6)] == [400] * 5 + [429]
    assert await from_("203.0.113.7, 203.0.113.8", password=PASSWORD) == 303
    # A client with one IPv6 address has a /64 network of them.
    assert [await from_(f"2001:db8::{number}") for number in range(6)] == [400] * 5 + [429]
    assert await from_("2001:db8:0:1::1", password=PASSWORD) == 303


async def test_without_a_proxy_x_forwarded_for_is_ignored(client: Client, sign_up: SignUp) -> None:
    await sign_up("ada")
    sent = {"username": "ada", "password": "wrong horse"}

    answers = [
        await client.post("/admin/login", data=sent, headers={"X-Forwarded-For": f"203.0.113.{number}"})
        for number in range(6)
    ]

    assert [answer.status for answer in answers] == [400] * 5 + [429]


async def test_processes_share_the_count_of_failures(client: Client, sign_up: SignUp, serve: Serve) -> None:
    await sign_up("ada")
    other = await serve()

    statuses = [(await attempt(browser)).status for browser in (client, other) * 3]

    assert statuses == [400] * 5 + [429]


async def test_a_password_is_rehashed_when_the_parameters_have_changed(
    serve: Serve, sign_up: SignUp, database: Connection
) -> None:
    await sign_up("ada")
    client = await serve(hasher=PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))

    await attempt(client, password=PASSWORD)

    with database.cursor() as cursor:
        cursor.execute("SELECT password_hash FROM account")
        assert "$m=16,t=2,p=1$" in (cursor.fetchone() or ("",))[0]
    assert (await attempt(client, password=PASSWORD)).status == 303


@pytest.mark.parametrize("url", ["/admin/users/", "/admin/?q=tea&sort=-ballots", "/poll/1"])
async def test_signing_in_returns_to_the_requested_page(client: Client, sign_up: SignUp, url: str) -> None:
    await sign_up("ada")
    form = fields(parse(await (await client.get("/admin/login", params={"next": url})).text()), "/admin/login")

    response = await attempt(client, password=PASSWORD, next=form["next"])

    assert await destination(client, response) == url


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "", "/ \r\n"]
)
async def test_signing_in_never_redirects_to_another_site(client: Client, sign_up: SignUp, elsewhere: str) -> None:
    await sign_up("ada")

    response = await attempt(client, password=PASSWORD, next=elsewhere)

    assert await destination(client, response) == "/admin/"


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        (None, "Allow cookies for this site and try again."),
        ("https://polls.example", "sign in at https://polls.example."),
    ],
)
async def test_a_browser_that_does_not_keep_the_session_cookie_is_told_so(
    serve: Serve, url: str | None, advice: str
) -> None:
    client = await serve(site=Site(url=url))
    await add_account(client, "ada")
    response = await attempt(client, password=PASSWORD)
    client.session.cookie_jar.clear()

    response = await client.get(response.headers["Location"], allow_redirects=False)

    assert (response.status, response.headers["Cache-Control"]) == (400, "no-store")
    assert (await error_message(response)).startswith("Your browser didn't keep the cookie that signs you in.")
    assert (await error_message(response)).endswith(advice)


async def test_the_sign_in_redirects_when_already_signed_in(ada: Client) -> None:
    response = await ada.get("/admin/login", params={"next": "/admin/users/"}, allow_redirects=False)

    assert (response.status, response.headers["Location"]) == (303, "/admin/users/")


@pytest.mark.parametrize("url", PAGES)
async def test_without_a_session_every_page_redirects_to_the_sign_in(
    client: Client, create_poll: CreatePoll, url: str
) -> None:
    create_poll("Tea?", "Yes", "No")

    response = await client.get(url, allow_redirects=False)

    assert response.status == 303
    assert response.headers["Location"] == f"/admin/login?next={url}"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("url", PAGES)
async def test_without_a_session_json_clients_get_401(client: Client, create_poll: CreatePoll, url: str) -> None:
    create_poll("Tea?", "Yes", "No")

    response = await client.get(url, headers={"Accept": "application/json"})

    assert (response.status, response.content_type) == (401, "application/problem+json")
    assert "WWW-Authenticate" in response.headers


@pytest.mark.parametrize("why", ["no session", "signed out", "disabled", "idle", "too old"])
@pytest.mark.parametrize(("url", "sent"), POSTS)
async def test_without_a_valid_session_nothing_is_changed(
    client: Client,
    ada: Client,
    sign_up: SignUp,
    database: Connection,
    create_poll: CreatePoll,
    url: str,
    sent: dict[str, str],
    why: str,
) -> None:
    create_poll("Tea?", "Yes", "No")
    await sign_up("bob")
    browser = client if why == "no session" else ada
    with database.cursor() as cursor:
        match why:
            case "signed out":
                cursor.execute("DELETE FROM session")
            case "disabled":
                cursor.execute("UPDATE account SET disabled_at = now() WHERE username = 'ada'")
            case "idle":
                cursor.execute("UPDATE session SET seen_at = now() - interval '8 hours 1 second'")
            case "too old":
                cursor.execute("UPDATE session SET began_at = now() - interval '7 days 1 second'")
    before = snapshot(database)

    response = await browser.post(url, data=sent, allow_redirects=False)
    from_program = await browser.post(url, data=sent, headers={"Accept": "application/json"})

    asks = parse(await response.text())
    assert (response.status, response.headers["WWW-Authenticate"]) == (401, 'Cookie realm="polls"')
    assert "sign_in.password" in fields(asks, url)
    assert PASSWORD not in await response.text()
    assert from_program.status == 401
    assert snapshot(database) == before


async def sign_in_again(browser: Client, database: Connection, url: str, sent: dict[str, str]) -> Any:
    """Send a form after the session has ended, sign in on the page that asks for it, and return the response."""
    with database.cursor() as cursor:
        cursor.execute("DELETE FROM session")
    asks = fields(parse(await (await browser.post(url, data=sent)).text()), url)
    refused = await browser.post(url, data={**asks, "sign_in.username": "ada", "sign_in.password": "wrong"})
    assert await error_message(refused) == WRONG
    asks = fields(parse(await refused.text()), url)
    return await browser.post(url, data={**asks, "sign_in.password": PASSWORD})


@pytest.mark.parametrize("url", ["/admin/polls/add", "/admin/polls/1"])
async def test_a_form_is_as_it_was_typed_after_signing_in_again(
    ada: Client, database: Connection, create_poll: CreatePoll, url: str
) -> None:
    create_poll("Tea?", "Yes", "No", votes=(1, 0))
    form = fields(parse(await (await ada.get(f"{url}?back=/admin/?q=t")).text()), url)
    typed = {"text": "“Cof\u200dfee” & <tea>?", "choice.2.text": "Ни то, ни другое", "closes_date": "2099-01-01"}
    before = snapshot(database)[0]

    again = await sign_in_again(ada, database, url, {**form, **typed, "choice.1.position": "9", "do": "save"})

    page = parse(await again.text())
    assert fields(page, url) == {**form, **typed, "choice.1.position": "9"}
    assert [words(message) for message in find(page, "p", class_="flash")] == [
        "You are signed in again. Nothing has been saved yet."
    ]
    assert snapshot(database)[0] == before
    saved = await ada.post(url, data={**fields(page, url), "closes_time": "12:00"}, allow_redirects=False)
    assert (saved.status, saved.headers["Location"]) == (303, "/admin/?q=t")


async def test_signing_in_again_confirms_and_adds_nothing(
    ada: Client, database: Connection, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes")
    action = {"do": "delete", "poll": "1", "confirmed": "yes", "back": "/admin/?q=t"}
    user = {"username": "eve", "password": "battery horse", "again": "battery horse"}
    before = snapshot(database)[:2]

    selected = await sign_in_again(ada, database, "/admin/polls/selected", action)
    deleted = await sign_in_again(ada, database, "/admin/polls/1/delete", action)
    users = await sign_in_again(ada, database, "/admin/users/", user)

    for page in (selected, deleted):
        text = await page.text()
        assert "Delete this poll?" in text
        assert 'href="/admin/?q=t"' in text
    assert fields(parse(await users.text()), "/admin/users/") == {"username": "eve", "password": "", "again": ""}
    assert snapshot(database)[:2] == before


@pytest.mark.parametrize(("url", "sent"), [*POSTS, ("/admin/login", {"username": "ada", "password": PASSWORD})])
async def test_a_cross_site_post_changes_nothing(
    ada: Client, database: Connection, create_poll: CreatePoll, url: str, sent: dict[str, str]
) -> None:
    create_poll("Tea?", "Yes", "No")
    before = snapshot(database)

    response = await ada.post(url, data=sent, headers={"Sec-Fetch-Site": "cross-site"}, allow_redirects=False)

    assert response.status == 403
    assert snapshot(database) == before


async def test_requests_extend_a_session(ada: Client, database: Connection) -> None:
    for _ in range(3):
        rewind(database, "session", "seen_at", "7 hours")
        assert (await ada.get("/admin/", allow_redirects=False)).status == 200


@pytest.mark.parametrize("url", PAGES)
async def test_no_page_is_cached(ada: Client, create_poll: CreatePoll, url: str) -> None:
    create_poll("Tea?", "Yes", "No")

    response = await ada.get(url)

    assert response.headers["Cache-Control"] == "no-store"
    assert response.status == 200


async def test_a_copied_cookie_is_invalid_after_signing_out(ada: Client, client: Client) -> None:
    cookie = next(cookie.value for cookie in ada.session.cookie_jar if cookie.key == f"polls_session_{ada.port}")

    response = await ada.post("/admin/logout", allow_redirects=False)
    replayed = await client.get(
        "/admin/", headers={"Cookie": f"polls_session_{client.port}={cookie}"}, allow_redirects=False
    )

    assert (response.status, response.headers["Location"]) == (303, "/")
    assert f"polls_session_{ada.port}=; HttpOnly; Max-Age=0" in response.headers["Set-Cookie"]
    assert replayed.status == 303


async def test_signing_out_needs_a_post(ada: Client) -> None:
    assert (await ada.get("/admin/logout")).status == 405
    assert (await ada.get("/admin/")).status == 200


async def test_signing_out_keeps_the_sessions_of_other_browsers(ada: Client, sign_in: SignIn) -> None:
    other = await sign_in("ada")

    await ada.post("/admin/logout")

    assert (await other.get("/admin/", allow_redirects=False)).status == 200


async def test_signing_out_everywhere_ends_all_sessions_of_this_account(
    ada: Client, bob: Client, sign_in: SignIn
) -> None:
    other = await sign_in("ada")

    await ada.post("/admin/logout", data={"where": "everywhere"})

    assert (await other.get("/admin/", allow_redirects=False)).status == 303
    assert (await bob.get("/admin/", allow_redirects=False)).status == 200


async def test_signing_in_makes_a_new_token_whatever_the_browser_had(client: Client, sign_up: SignUp) -> None:
    """Session fixation: a token that an attacker has planted is invalid after the sign-in."""
    await sign_up("ada")
    planted = "A" * 43
    sent = {"username": "ada", "password": PASSWORD}
    response = await client.post(
        "/admin/login", data=sent, headers={"Cookie": f"polls_session_{client.port}={planted}"}, allow_redirects=False
    )
    assert response.cookies[f"polls_session_{client.port}"].value != planted

    again = await client.post("/admin/login", data=sent, allow_redirects=False)

    first, second = (answer.cookies[f"polls_session_{client.port}"].value for answer in (response, again))
    assert first != second
    async with TestClient(client.server) as attacker:
        for token in (planted, first):
            replayed = await attacker.get(
                "/admin/", headers={"Cookie": f"polls_session_{client.port}={token}"}, allow_redirects=False
            )
            assert replayed.status == 303


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "A" * 44, "../../etc", "%00", "é" * 43])
async def test_made_up_tokens_are_invalid(client: Client, token: str) -> None:
    response = await client.get(
        "/admin/", headers={"Cookie": f"polls_session_{client.port}={token}"}, allow_redirects=False
    )

    assert response.status == 303


@pytest.mark.usefixtures("ada")
async def test_a_sign_in_deletes_expired_sessions_and_failures(database: Connection, sign_in: SignIn) -> None:
    rewind(database, "session", "seen_at", "9 hours")
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO sign_in_failure VALUES ('old', 3, now() - interval '2 days')")

    await sign_in("ada")

    with database.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM session), (SELECT count(*) FROM sign_in_failure)")
        assert cursor.fetchone() == (1, 0)


async def test_without_accounts_the_sign_in_names_the_command_that_adds_one(client: Client, sign_up: SignUp) -> None:
    assert "python -m polls createadmin" in await (await client.get("/admin/login")).text()

    await sign_up("ada")

    assert "createadmin" not in await (await client.get("/admin/login")).text()


@pytest.mark.parametrize(
    "body",
    [
        b"username=ada&password=%00%ED%A0%80",
        b"username=%00&password=x",
        b"username=%ED%A0%80&password=%ED%A0%80",
        b"username=" + b"a" * 15_000 + b"&password=x",
        b"username=ada&password=" + b"%F0%9F%98%80" * 1_200,
    ],
)
async def test_malformed_credentials_get_the_usual_message(client: Client, sign_up: SignUp, body: bytes) -> None:
    await sign_up("ada")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    response = await client.post("/admin/login", data=body, headers=headers)

    assert (response.status, await error_message(response)) == (400, WRONG)


async def test_an_uploaded_file_is_not_a_user_name(client: Client) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="username"; filename="a"\r\n\r\nada\r\n'
        b'--x\r\nContent-Disposition: form-data; name="password"\r\n\r\nwrong\r\n--x--\r\n'
    )

    response = await client.post("/admin/login", data=body, headers={"Content-Type": "multipart/form-data; boundary=x"})

    assert (response.status, await error_message(response)) == (400, "Enter your user name.")
