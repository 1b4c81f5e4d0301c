"""polls with a PostgreSQL that somebody else looks after: on the network, with a password."""

import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg2.extensions import parse_dsn

from polls.config.settings import Postgres
from polls.storage.postgres import primary
from tests.support.processes import command, serving, write
from tests.support.servers import running

PASSWORD = r"p@ss:w/rd %'\ ="


@pytest.fixture(scope="module", params=[min, max], ids=["oldest", "newest"])
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[dict[str, object]]:
    """A server on 127.0.0.1 alone, not on ::1, that asks for a password; its settings for polls."""
    folder = tmp_path_factory.mktemp("named")
    with running(folder, {"fsync": "off"}, version=request.param, password=PASSWORD) as server:
        yield server.address


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return str(response.read().decode())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_it_serves_and_counts(tmp_path: Path, server: dict[str, object], host: str) -> None:
    file = write(tmp_path, {"postgres": server | {"host": host}})
    with serving(tmp_path, f"--config={file}") as polls:
        assert command(tmp_path, "sample", f"--config={file}").returncode == 0
        before = votes_in(get(f"{polls.url}/poll/1/results"))
        form = urllib.parse.urlencode({"choice": 1}).encode()
        with urllib.request.urlopen(f"{polls.url}/poll/1/vote", form, timeout=10) as response:
            after = votes_in(response.read().decode())

    assert after == before + 1


def votes_in(page: str) -> int:
    return int(re.search(r"(\d+) votes? in all", page)[1])  # type: ignore[index]


def test_of_several_addresses_of_a_name_the_one_that_answers_is_used(
    server: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where localhost is ::1 first, and the server listens on 127.0.0.1 alone: aiopg would hang."""
    monkeypatch.setattr(primary, "_addresses", lambda _: {"::1", "127.0.0.1"})

    chosen = primary.find(Postgres(**server | {"host": "localhost"}))  # type: ignore[arg-type]

    assert parse_dsn(chosen.dsn)["hostaddr"] == "127.0.0.1"


def test_a_named_server_starts_without_sample_polls(tmp_path: Path, server: dict[str, object]) -> None:
    command(tmp_path, "psql", f"--config={write(tmp_path, {'postgres': server})}", "--", "-c", "CREATE DATABASE empty")

    with serving(tmp_path, config={"postgres": server | {"database": "empty"}}) as polls:
        assert "No polls are available." in get(polls.url)


def test_the_settings_may_come_from_libpqs_environment(tmp_path: Path, server: dict[str, object]) -> None:
    environ = {f"PG{key.upper()}": str(value) for key, value in server.items()}

    with serving(tmp_path, config={"postgres": {}}, environ=environ) as polls:
        assert get(polls.url)


def test_the_password_file_in_the_home_folder_counts_too(tmp_path: Path, server: dict[str, object]) -> None:
    escaped = PASSWORD.replace("\\", r"\\").replace(":", r"\:")
    (tmp_path / ".pgpass").write_text(f"*:*:*:keeper:{escaped}\n")
    (tmp_path / ".pgpass").chmod(0o600)
    settings = {key: value for key, value in server.items() if key != "password"}

    with serving(tmp_path, config={"postgres": settings}, environ={"HOME": str(tmp_path)}) as polls:
        assert get(polls.url)


def test_a_password_file_that_is_named_counts_too(tmp_path: Path, server: dict[str, object]) -> None:
    escaped = PASSWORD.replace("\\", r"\\").replace(":", r"\:")
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"*:*:*:keeper:{escaped}\n")
    passfile.chmod(0o600)
    settings = {key: value for key, value in server.items() if key != "password"} | {"passfile": str(passfile)}

    with serving(tmp_path, config={"postgres": settings}) as polls:
        assert get(polls.url)


@pytest.mark.parametrize("arguments", [["--port=0"], ["migrate"]])
@pytest.mark.parametrize("password", ["wrong", None])
def test_a_wrong_password_is_said_in_one_line_without_the_password(
    tmp_path: Path, server: dict[str, object], password: str | None, arguments: list[str]
) -> None:
    file = write(tmp_path, {"postgres": server | {"password": password}})

    done = command(tmp_path, *arguments, f"--config={file}")

    assert (done.returncode, done.stderr) == (
        1,
        (
            "polls: PostgreSQL refused the password. "
            "Set postgres.user and postgres.password in the configuration, or use ~/.pgpass.\n"
        ),
    )
