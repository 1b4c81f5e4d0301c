"""What watches over a real process learns in time that its database has gone."""

import json
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.support.processes import eventually, serving
from tests.support.servers import running

SLOWEST = 3.5  # seconds; polls gives up after 2, and the machine may be busy


def ask(url: str) -> tuple[int, dict[str, object], float]:
    """The status of an answer, what it says, and how many seconds it took."""
    begun = time.monotonic()
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return response.status, json.load(response), time.monotonic() - begun
    except urllib.error.HTTPError as refusal:
        return refusal.status, json.load(refusal), time.monotonic() - begun


def test_a_frozen_database_and_a_stopped_one_are_told_in_time(tmp_path: Path) -> None:
    with running(tmp_path) as server, serving(tmp_path, config={"postgres": server.address}) as polls:
        assert ask(f"{polls.url}/readyz")[0] == 200

        for take_away, bring_back in ((server.freeze, server.thaw), (server.stop, server.start)):
            take_away()
            for _ in range(2):
                status, said, took = ask(f"{polls.url}/readyz")
                assert (status, said["database"], said["schema"]) == (503, "unreachable", "unknown")
                assert took < SLOWEST
                assert ask(f"{polls.url}/healthz")[:2] == (200, {"alive": True})
            bring_back()
            assert eventually(lambda: ask(f"{polls.url}/readyz")[0] == 200)

        polls.end()
    assert "Traceback" not in polls.log.read_text()
