"""Access keys, which open polls to their owners, are in no log."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from http.client import HTTPConnection
from pathlib import Path

import aiohttp

from polls.config.settings import Postgres
from polls.domain.access_keys import hash_of, new_key
from polls.storage.backup import find_program
from polls.storage.postgres.connect import connect
from tests.conftest import empty_database
from tests.support.admin import PASSWORD, USERNAME, add_account
from tests.support.pages import find, parse
from tests.support.processes import command, free_port, serving
from tests.support.site import nginx_in_front_of


def test_nginx_logs_no_access_link_not_even_if_polls_is_down(tmp_path: Path) -> None:
    key = new_key()
    paths = [f"/poll/k7m2q9xdtb/as/{key}", f"/poll/1/as/{key}/?x={key}", f"/village/poll/1/as%2F{key}", "/"]
    with nginx_in_front_of(f"http://127.0.0.1:{free_port()}", tmp_path) as url:
        client = HTTPConnection(url.removeprefix("http://"), timeout=30)
        for path in paths:
            client.request("GET", path)
            response = client.getresponse()
            assert response.status == 502
            assert key not in response.read().decode()
        client.close()

    logs = [(tmp_path / f"var/nginx-{name}.log").read_text() for name in ("access", "error")]
    logged = [json.loads(line)["path"] for line in logs[0].splitlines()]
    assert logged == ["/poll/k7m2q9xdtb/as/{key}", "/poll/1/as/{key}", "/village/poll/1/as/{key}", "/"]
    assert '"GET / HTTP' in logs[1]
    assert key not in "".join(logs)


class Browser:
    """A browser that remembers all headers and pages it got, and the names of those that failed."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.headers: list[tuple[str, str]] = []
        self.pages: dict[str, str] = {}
        self.failed: list[str] = []

    async def open(self, name: str, path: str, sent: Mapping[str, str] | None = None) -> aiohttp.ClientResponse:
        """Open a page, and remember it under `name`; with `sent`, submit a form."""
        method = "GET" if sent is None else "POST"
        async with self._session.request(method, path, data=sent) as response:
            for each in (*response.history, response):
                self.headers += each.headers.items()
            self.pages[name] = await response.text()
            if not response.ok:
                self.failed.append(name)
        return response


async def ask_and_manage(browser: Browser, own: Postgres) -> str:
    """Ask in all ways that fail and the one that succeeds, manage the poll, vote and sign in; return the access key."""
    await browser.open("form", "/ask")
    form = {"access_key": access_key(browser.pages["form"]), "do": "save"}
    form |= {"text": "Tea?", "choice.0.text": "Yes", "choice.1.text": "No"}
    link = f"/poll/k7m2q9xdtb/as/{form['access_key']}"
    await browser.open("refused", "/ask", {**form, "text": ""})
    await browser.open("unknown", link)
    with broken(own):
        await browser.open("broken", "/ask", form)
        await browser.open("broken link", link)

    asked = await browser.open("asked", "/ask", form)
    slug = asked.url.parts[2]
    await browser.open("again", "/ask", form)
    await browser.open("reloaded", asked.url.path)
    for name in ("edit", "share", "results", "present", "qr.svg", "close", "delete", "new-link"):
        await browser.open(name, f"/poll/{slug}/{name}")
    await browser.open("voted", f"/poll/{slug}/vote", {"choice": "1"})
    await browser.open("language", f"/language/zh-Hans?next=/poll/{slug}/manage")
    for end in ("", "?x=1", "/", "/manage"):
        await browser.open(f"link{end}", f"/poll/{slug}/as/{form['access_key']}{end}")
    await browser.open("closed", f"/poll/{slug}/close", {"confirmed": "yes"})
    await browser.open("sign in", "/admin/login?next=/admin/", {"username": USERNAME, "password": PASSWORD})
    for name in ("/admin/", "/admin/history", "/admin/polls/1", "/admin/polls/1/history", "/", "/poll/1"):
        await browser.open(name, name)
    return form["access_key"]


@contextmanager
def broken(own: Postgres) -> Iterator[None]:
    """Make all statements about owners fail."""
    with connect(own) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("ALTER TABLE poll_settings RENAME COLUMN owner_hash TO something_else")
        yield
        cursor.execute("ALTER TABLE poll_settings RENAME COLUMN something_else TO owner_hash")


def access_key(page: str) -> str:
    (field,) = find(parse(page), "input", name="access_key")
    return field.get("value", "")


async def test_a_key_is_in_no_log_no_header_no_metric_no_history_and_no_backup(
    postgres: Postgres, tmp_path: Path
) -> None:
    with empty_database(postgres, "keys") as own:
        address = {name: value for name, value in asdict(own).items() if value is not None}
        settings = {"postgres": address, "creating": {"who": "anyone"}, "log": {"level": "debug"}}
        port = free_port()
        with serving(tmp_path, f"--metrics={port}", config=settings) as polls:
            add_account(tmp_path)
            jar = aiohttp.CookieJar(unsafe=True)
            async with aiohttp.ClientSession(polls.url, cookie_jar=jar) as session:
                browser = Browser(session)
                key = await ask_and_manage(browser, own)
            async with aiohttp.request("GET", f"http://127.0.0.1:{port}/metrics") as response:
                metrics = await response.text()
            assert polls.end() == 0
        dumped, server_log = dump(own, tmp_path), log_of(own)

    log = polls.log.read_text()
    owner_cookies = [value for _, value in browser.headers if re.match(rf"polls_owner_\d+={key}; ", value)]
    other_headers = [header for header in browser.headers if header[1] not in owner_cookies]
    assert browser.failed == ["refused", "unknown", "broken", "broken link", "link/", "link/manage", "/poll/1"]
    assert [name for name, page in browser.pages.items() if key in page] == ["form", "refused", "asked", "again"]
    assert [header for header in other_headers if key in header[1]] == []
    assert [text for text in (log, server_log, metrics, dumped) if key in text] == []
    # What was searched has what stands for the key.
    assert "GET /poll/{slug}/as/{key} 303" in log
    assert "GET /poll/{slug}/as/{key} failed" in log
    assert 'route="access_link"' in metrics
    assert "owner_hash" in server_log
    assert hash_of(key).hex() in dumped


def dump(own: Postgres, folder: Path) -> str:
    """Back the database up, and return the backup as SQL."""
    done = command(folder, "--config=polls.yaml", "backup", "backup")
    assert done.returncode == 0, done.stderr
    with connect(own) as connection:
        pg_restore = find_program("pg_restore", connection)
    return subprocess.run(
        [pg_restore, "--file=-", folder / "backup"], capture_output=True, text=True, check=True
    ).stdout


def log_of(own: Postgres) -> str:
    """Return the log of the PostgreSQL server."""
    with connect(own) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW data_directory")
        ((folder,),) = cursor.fetchall()
    return Path(f"{folder}.log").read_text()
