"""Health checks of a real process whose database fails."""

import json
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.support.processes import eventually, serving
from tests.support.servers import running

MAX_SECONDS = 3.5  # polls times out after 2, and the machine may be busy


def get(url: str) -> tuple[int, dict[str, object], float]:
    """Return the status of a response, its JSON, and the seconds that it took."""
    start = time.monotonic()
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return response.status, json.load(response), time.monotonic() - start
    except urllib.error.HTTPError as error:
        return error.status, json.load(error), time.monotonic() - start


def test_readiness_fails_in_time_if_the_database_is_frozen_or_stopped(tmp_path: Path) -> None:
    with running(tmp_path) as server, serving(tmp_path, config={"postgres": server.address}) as polls:
        assert get(f"{polls.url}/readyz")[0] == 200

        for fail, recover in ((server.freeze, server.thaw), (server.stop, server.start)):
            fail()
            for _ in range(2):
                status, body, seconds = get(f"{polls.url}/readyz")
                assert (status, body["database"], body["schema"]) == (503, "unreachable", "unknown")
                assert seconds < MAX_SECONDS
                assert get(f"{polls.url}/healthz")[:2] == (200, {"alive": True})
            recover()
            assert eventually(lambda: get(f"{polls.url}/readyz")[0] == 200)

        polls.end()
    assert "Traceback" not in polls.log.read_text()
