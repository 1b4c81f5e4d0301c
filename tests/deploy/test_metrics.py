"""Metrics of real processes: what they count, and who may see them."""

import asyncio
import re
import socket
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from polls.config.settings import Postgres
from tests.conftest import Ask
from tests.support.metrics import Samples, samples, votes
from tests.support.processes import Polls, eventually, free_port, serving


@pytest.fixture
def settings(postgres: Postgres) -> dict[str, object]:
    address = {key: value for key, value in asdict(postgres).items() if value is not None}
    return {"postgres": address | {"minsize": 1, "maxsize": 3}}


def get(url: str, **headers: str) -> tuple[int, str, Mapping[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as response:
            return response.status, response.read().decode(), response.headers
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode(), refusal.headers


def told(port: int) -> Samples:
    return samples(get(f"http://127.0.0.1:{port}/metrics")[1])


def port_of(polls: Polls) -> int:
    found = re.search(r"metrics are told at http://127\.0\.0\.1:(\d+)/metrics", polls.log.read_text())
    assert found, polls.log.read_text()
    return int(found[1])


async def test_a_process_counts_what_happens_to_it(ask: Ask, settings: dict[str, object], tmp_path: Path) -> None:
    tea, closed = ask("Tea?", "Yes", "No"), ask("Coffee?", "Yes", closed=timedelta(minutes=1))
    yes, no, of_the_other = (choice.id for choice in (*tea.choices, *closed.choices))
    poll, results = f"/poll/{tea.question.id}", f"/poll/{tea.question.id}/results"
    with serving(tmp_path, f"--metrics={free_port()}", config=settings) as polls:
        port = port_of(polls)
        async with aiohttp.ClientSession(polls.url, cookie_jar=aiohttp.DummyCookieJar()) as visitors:
            for address in (results, results, results, "/nowhere", "/metrics", f"{poll}9999/results"):
                await visitors.get(address)
            await visitors.delete("/")
            for address, choice in [
                (poll, yes),
                (poll, yes),
                (poll, no),
                (poll, of_the_other),
                (f"/poll/{closed.question.id}", of_the_other),
                (f"{poll}9999", yes),
            ]:
                await visitors.post(f"{address}/vote", data={"choice": str(choice)}, allow_redirects=False)
            await visitors.post(f"{poll}/vote", data={})
            async with visitors.ws_connect(f"{poll}/live") as screen:
                await screen.receive(timeout=30)
                assert await asyncio.to_thread(eventually, lambda: told(port)["polls_listener_lag_seconds_count"])
                during = told(port)
            assert await asyncio.to_thread(eventually, lambda: told(port)["polls_websockets"] == 0)
        after = told(port)
        exit_status = polls.end()

    assert exit_status == 0
    assert votes(after) == {"stored": 3, "no_such_choice": 1, "closed": 1, "no_such_poll": 1}
    requests = {name: number for name, number in after.items() if name.startswith("polls_http_requests_total")}
    assert requests == {
        f'polls_http_requests_total{{route="{route}",status="{status}"}}': number
        for route, status, number in [
            ("results", "2xx", 3),
            ("results", "4xx", 1),
            ("none", "4xx", 2),
            ("index", "4xx", 1),
            ("vote", "3xx", 3),
            ("vote", "4xx", 4),
            ("live", "1xx", 1),
        ]
    }
    assert during["polls_websockets"] == 1
    assert after['polls_http_request_duration_seconds_count{route="results"}'] == 4
    assert after['polls_http_request_duration_seconds_bucket{le="+Inf",route="results"}'] == 4
    assert after['polls_http_request_duration_seconds_count{route="live"}'] == 0
    assert after["polls_batch_ballots_sum"] == 6
    assert after["polls_ballots_waiting"] == 0
    assert after["polls_listener_connected"] == 1
    assert after["polls_heartbeat_duration_seconds_count"] >= 1
    assert after['polls_pool_connections{state="busy"}'] == 0
    assert 1 <= after['polls_pool_connections{state="free"}'] <= 3
    assert after["process_open_fds"] > 3
    assert after["process_resident_memory_bytes"] > 10_000_000


def test_metrics_are_for_a_port_of_their_own(settings: dict[str, object], tmp_path: Path) -> None:
    metrics = {"metrics": {"port": free_port()}}
    with serving(tmp_path, config=settings | metrics) as polls:
        port = port_of(polls)
        # As several workers do, who have one configuration.
        with serving(tmp_path, config=settings | metrics) as neighbour:
            assert get(f"{polls.url}/metrics")[0] == get(f"{neighbour.url}/metrics")[0] == 404
            assert get(f"http://127.0.0.1:{port}/")[0] == get(f"http://127.0.0.1:{port}/poll/1")[0] == 404
            ports = {port, port_of(neighbour)}
            started = {told(port)["process_start_time_seconds"] for port in ports}
            status, text, headers = get(
                f"http://127.0.0.1:{port}/metrics", Accept="application/openmetrics-text; version=1.0.0"
            )

    assert len(ports) == len(started) == 2
    assert all(port <= other <= port + 16 for other in ports)
    assert (status, text.endswith("# EOF\n")) == (200, True)
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert headers["Server"] == "polls"


def test_metrics_may_be_told_on_a_socket_and_are_not_worth_a_process(
    settings: dict[str, object], tmp_path: Path
) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="polls-") as folder,  # a short name: 107 characters are a socket's most
        serving(tmp_path, config=settings | {"metrics": {"path": f"{folder}/metrics.sock"}}) as polls,
    ):
        path = Path(folder, "metrics.sock")
        with socket.socket(socket.AF_UNIX) as scraper:
            scraper.connect(str(path))
            scraper.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert scraper.recv(1000).startswith(b"HTTP/1.0 200 OK")
        with serving(tmp_path, config=settings | {"metrics": {"path": str(path)}}) as neighbour:
            assert get(f"{neighbour.url}/healthz")[0] == 200
            log = neighbour.log.read_text()
        assert path.exists()
        polls.end()
        assert not path.exists()

    assert "ERROR polls.app: metrics are not told: can't listen on" in log
    assert "another process serves it" in log
