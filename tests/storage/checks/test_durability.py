from pathlib import Path

import pytest

from polls.config.settings import Postgres
from polls.storage.checks.durability import weak_settings
from polls.storage.postgres.connect import connect
from tests.support.servers import running


def test_what_endangers_votes_is_said(postgres: Postgres) -> None:
    """The tests' own server is careless, and may be."""
    with connect(postgres) as connection:
        found = weak_settings(connection)

    assert [weakness.split()[0] for weakness in found] == ["fsync", "full_page_writes", "synchronous_commit"]
    assert "can be lost when it crashes. Set it to on" in found[0]


@pytest.mark.parametrize("version", [min, max], ids=["oldest", "newest"])
def test_a_server_as_it_comes_is_fit(tmp_path: Path, version: object) -> None:
    with running(tmp_path, version=version) as server, server.connect() as connection:  # type: ignore[arg-type]
        connection.autocommit = False

        assert weak_settings(connection) == []
