"""polls with a named PostgreSQL server, on the network and with a password."""

import re
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg2.extensions import parse_dsn

from polls.config.settings import Postgres
from polls.storage.postgres.primary import find_primary
from tests.support.processes import command, serving, write
from tests.support.servers import running

PASSWORD = r"p@ss:w/rd %'\ ="


@pytest.fixture(scope="module", params=[min, max], ids=["oldest", "newest"])
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[dict[str, object]]:
    """The settings of a server that listens on 127.0.0.1, not on ::1, and requires a password."""
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


def test_a_name_with_several_addresses_is_pinned_to_the_one_that_answers(
    server: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if localhost were ::1 first, where the server doesn't listen: aiopg would hang."""
    addresses = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: addresses)

    primary = find_primary(Postgres(**server | {"host": "localhost"}))  # type: ignore[arg-type]

    assert parse_dsn(primary.dsn)["hostaddr"] == "127.0.0.1"


def test_a_named_server_starts_without_sample_polls(tmp_path: Path, server: dict[str, object]) -> None:
    command(tmp_path, "psql", f"--config={write(tmp_path, {'postgres': server})}", "--", "-c", "CREATE DATABASE empty")

    with serving(tmp_path, config={"postgres": server | {"database": "empty"}}) as polls:
        assert "There are no polls yet." in get(polls.url)


def test_settings_may_come_from_libpqs_environment_variables(tmp_path: Path, server: dict[str, object]) -> None:
    environ = {f"PG{key.upper()}": str(value) for key, value in server.items()}

    with serving(tmp_path, config={"postgres": {}}, environ=environ) as polls:
        assert get(polls.url)


def test_the_password_file_in_the_home_folder_is_used(tmp_path: Path, server: dict[str, object]) -> None:
    escaped = PASSWORD.replace("\\", r"\\").replace(":", r"\:")
    (tmp_path / ".pgpass").write_text(f"*:*:*:operator:{escaped}\n")
    (tmp_path / ".pgpass").chmod(0o600)
    settings = {key: value for key, value in server.items() if key != "password"}

    with serving(tmp_path, config={"postgres": settings}, environ={"HOME": str(tmp_path)}) as polls:
        assert get(polls.url)


def test_a_configured_password_file_is_used(tmp_path: Path, server: dict[str, object]) -> None:
    escaped = PASSWORD.replace("\\", r"\\").replace(":", r"\:")
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"*:*:*:operator:{escaped}\n")
    passfile.chmod(0o600)
    settings = {key: value for key, value in server.items() if key != "password"} | {"passfile": str(passfile)}

    with serving(tmp_path, config={"postgres": settings}) as polls:
        assert get(polls.url)


@pytest.mark.parametrize("arguments", [["--port=0"], ["migrate"]])
@pytest.mark.parametrize("password", ["wrong", None])
def test_a_wrong_password_is_reported_in_one_line_without_the_password(
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
