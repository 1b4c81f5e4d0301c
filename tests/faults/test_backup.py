"""A backup taken while votes arrive, restored into another server."""

import time
import urllib.request
from pathlib import Path

import pytest

from tests.faults.conftest import Serve, settings
from tests.support.crowd import Crowd
from tests.support.processes import command, serving, write
from tests.support.servers import Server, installed_versions, running

OWNER = "owner"  # a role that owns a database and is no superuser


def vote(url: str, choice: int, voter: int) -> None:
    headers = {"Cookie": f"polls_voter={voter:032x}"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/poll/1/vote", b"choice=%d" % choice, headers)) as answer:
        assert "/results?after=" in answer.url


def ballots(server: Server) -> int:
    ((count,),) = server.execute("SELECT count(*) FROM ballot")
    return int(str(count))


@pytest.mark.parametrize("server", [min], indirect=True, ids=["oldest"])
def test_a_backup_under_load_is_restored_into_a_newer_server_that_accepts_votes(
    server: Server, serve: Serve, tmp_path: Path
) -> None:
    """From the oldest to the newest version, by a role that can't create extensions: the backup must contain none."""
    if server.execute("SELECT name FROM pg_available_extensions WHERE name = 'pg_stat_statements'"):
        server.execute("CREATE EXTENSION pg_stat_statements")
    with serve() as polls:
        vote(polls.url, 1, voter=1)
        with Crowd([polls.url]) as crowd:
            time.sleep(1)
            before = crowd.total()
            done = command(tmp_path, "backup", "--config=polls.yaml", "live.backup")
            after = crowd.total()
            time.sleep(0.5)

    assert done.returncode == 0, done.stderr
    assert crowd.answers.total() == crowd.total()
    assert after > before

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with running(elsewhere) as newer:
        newer.execute(f"CREATE ROLE {OWNER} LOGIN")
        newer.execute(f"ALTER DATABASE polls OWNER TO {OWNER}")
        config = settings(newer, postgres=newer.address | {"user": OWNER})
        file = write(elsewhere, config)
        restored = command(elsewhere, "restore", f"--config={file}", "../live.backup")
        assert restored.returncode == 0, restored.stdout + restored.stderr
        total = ballots(newer)
        assert f"{total:,} ballots in 1 poll, counted exactly" in restored.stdout
        assert before <= total - 1 <= crowd.total()

        with serving(elsewhere, config=config) as polls:
            vote(polls.url, 2, voter=1)
            assert ballots(newer) == total
            with Crowd([polls.url], voters=100) as crowd:
                pass
            assert ballots(newer) == total + 100
        assert command(elsewhere, "verify", f"--config={file}").returncode == 0

        if len(installed_versions()) > 1:
            assert command(elsewhere, "backup", f"--config={file}", "newer.backup").returncode == 0
            server.execute("CREATE DATABASE back")
            file = write(tmp_path, settings(server, postgres=server.address | {"database": "back"}))
            refused = command(tmp_path, "restore", f"--config={file}", "elsewhere/newer.backup")
            assert refused.returncode == 1
            assert "was written by a newer PostgreSQL than the server's" in refused.stderr
