"""A database that is read-only for a while, in sessions that begin meanwhile: everything recovers without a restart."""

import time
from pathlib import Path

from tests.faults.conftest import Expect, Serve, readiness
from tests.support.admin import Admin, add_account
from tests.support.crowd import Crowd
from tests.support.healthz import healthy
from tests.support.processes import eventually
from tests.support.servers import Server

TERMINATE_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'polls' AND pid <> pg_backend_pid()
"""


def set_read_only(server: Server, setting: str) -> None:
    """Set whether sessions that begin from now on are read-only."""
    with server.connect("postgres") as connection, connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE polls SET default_transaction_read_only = {setting}")


def test_votes_readiness_and_the_admin_recover_after_the_database_was_read_only(
    serve: Serve, server: Server, tmp_path: Path, expect_exact: Expect
) -> None:
    with serve() as polls, healthy(polls.url), Crowd([polls.url], concurrency=8, pause=0.02) as crowd:
        add_account(tmp_path)
        admin = Admin(polls.url)
        assert admin.sign_in().status == 200
        set_read_only(server, "on")
        server.execute(TERMINATE_SESSIONS)
        assert eventually(lambda: readiness(polls.url) == (503, "read-only"))
        for _ in range(5):  # as many sessions as the pool may have
            assert admin.add_poll("Tea?", "Yes", "No").status == 503
        refused = crowd.answers[503]
        assert eventually(lambda: crowd.answers[503] > refused)

        set_read_only(server, "off")
        back = time.monotonic()

        assert eventually(lambda: bool(crowd.moments) and crowd.moments[-1] > back, 5)
        assert eventually(lambda: readiness(polls.url) == (200, "writable"), 5)
        for _ in range(5):
            assert admin.add_poll("Coffee?", "Yes", "No").status == 200

    assert server.execute("SELECT count(*) FROM question WHERE question_text = 'Coffee?'") == [(5,)]
    expect_exact(crowd)
