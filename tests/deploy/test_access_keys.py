"""Access keys, which open polls to their owners, are in no log."""

import json
from http.client import HTTPConnection
from pathlib import Path

from polls.domain.access_keys import new_key
from tests.support.processes import free_port
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
