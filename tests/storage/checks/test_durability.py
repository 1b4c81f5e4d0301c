"""Server settings with which committed votes survive a crash."""

from pathlib import Path

import pytest

from polls.config.settings import Postgres
from polls.storage.checks.durability import weak_settings
from polls.storage.postgres.connect import connect
from tests.support.servers import running


def test_settings_that_endanger_votes_are_reported(postgres: Postgres) -> None:
    """The tests' own server has all of them off, for speed."""
    with connect(postgres) as connection:
        found = weak_settings(connection)

    assert [sentence.split()[0] for sentence in found] == ["fsync", "full_page_writes", "synchronous_commit"]
    assert "a crash can lose counted votes. Set it to on" in found[0]


@pytest.mark.parametrize("version", [min, max], ids=["oldest", "newest"])
def test_a_server_with_default_settings_is_safe(tmp_path: Path, version: object) -> None:
    with running(tmp_path, version=version) as server, server.connect() as connection:  # type: ignore[arg-type]
        connection.autocommit = False

        assert weak_settings(connection) == []
