"""Metrics of real processes: their values, and where they are served."""

import asyncio
import gzip
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
from tests.conftest import CreatePoll
from tests.support.healthz import healthy
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
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


def scrape(port: int) -> Samples:
    return samples(get(f"http://127.0.0.1:{port}/metrics")[1])


def port_of(polls: Polls) -> int:
    found = re.search(r"metrics are served at http://127\.0\.0\.1:(\d+)/metrics", polls.log.read_text())
    assert found, polls.log.read_text()
    return int(found[1])


async def test_a_process_counts_requests_votes_and_connections(
    create_poll: CreatePoll, settings: dict[str, object], tmp_path: Path
) -> None:
    tea, closed = create_poll("Tea?", "Yes", "No"), create_poll("Coffee?", "Yes", closed=timedelta(minutes=1))
    yes, no, other_choice = (choice.id for choice in (*tea.choices, *closed.choices))
    poll, results = f"/poll/{tea.question.id}", f"/poll/{tea.question.id}/results"
    with serving(tmp_path, f"--metrics={free_port()}", config=settings) as polls:
        port = port_of(polls)
        async with aiohttp.ClientSession(polls.url, cookie_jar=aiohttp.DummyCookieJar()) as client:
            for path in (results, results, results, "/nowhere", "/metrics", f"{poll}9999/results"):
                await client.get(path)
            await client.delete("/")
            for path, choice in [
                (poll, yes),
                (poll, yes),
                (poll, no),
                (poll, other_choice),
                (f"/poll/{closed.question.id}", other_choice),
                (f"{poll}9999", yes),
            ]:
                await client.post(f"{path}/vote", data={"choice": str(choice)}, allow_redirects=False)
            await client.post(f"{poll}/vote", data={})
            async with client.ws_connect(f"{poll}/live") as websocket:
                await websocket.receive(timeout=30)
                assert await asyncio.to_thread(eventually, lambda: scrape(port)["polls_listener_lag_seconds_count"])
                during = scrape(port)
            assert await asyncio.to_thread(eventually, lambda: scrape(port)["polls_websockets"] == 0)
        after = scrape(port)
        exit_status = polls.end()

    assert exit_status == 0
    assert votes(after) == {"stored": 3, "invalid": 1, "closed": 1, "no_such_poll": 1}
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


def test_metrics_are_served_only_on_their_own_port(settings: dict[str, object], tmp_path: Path) -> None:
    metrics = {"metrics": {"port": free_port()}}
    with serving(tmp_path, config=settings | metrics) as polls:
        port = port_of(polls)
        # As several gunicorn workers do, which share one configuration.
        with serving(tmp_path, config=settings | metrics) as other:
            assert get(f"{polls.url}/metrics")[0] == get(f"{other.url}/metrics")[0] == 404
            assert get(f"http://127.0.0.1:{port}/")[0] == get(f"http://127.0.0.1:{port}/poll/1")[0] == 404
            ports = {port, port_of(other)}
            started = {scrape(port)["process_start_time_seconds"] for port in ports}
            status, text, headers = get(
                f"http://127.0.0.1:{port}/metrics", Accept="application/openmetrics-text; version=1.0.0"
            )

    assert len(ports) == len(started) == 2
    assert all(port <= each <= port + 16 for each in ports)
    assert (status, text.endswith("# EOF\n")) == (200, True)
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert headers["Server"] == "polls"


def test_the_port_of_metrics_repeats_no_invalid_header_and_decompresses_nothing(
    settings: dict[str, object], tmp_path: Path
) -> None:
    bomb = gzip.compress(bytes(100_000_000))
    with serving(tmp_path, f"--metrics={free_port()}", config=settings) as polls:

        def send(request: bytes) -> bytes:
            with socket.create_connection(("127.0.0.1", port_of(polls)), timeout=10) as connection:
                connection.sendall(request)
                return b"".join(iter(lambda: connection.recv(65_536), b""))

        with healthy(polls.url):
            invalid = send(b"GET /metrics HTTP/1.1\r\nHost: polls\r\nCookie: polls_session=SECRET\x01\r\n\r\n")
            posted = send(
                b"POST /metrics HTTP/1.1\r\nHost: polls\r\nConnection: close\r\nContent-Encoding: gzip\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(bomb), bomb)
            )

    assert invalid.split()[1] == b"400"
    assert b"\r\nServer: polls\r\n" in invalid
    assert b"SECRET" not in invalid
    assert posted.split()[1] == b"405"


def test_metrics_can_be_served_on_a_socket_and_their_failure_stops_no_process(
    settings: dict[str, object], tmp_path: Path
) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="polls-") as folder,  # a socket's path has at most 107 characters
        serving(tmp_path, config=settings | {"metrics": {"path": f"{folder}/metrics.sock"}}) as polls,
    ):
        path = Path(folder, "metrics.sock")
        with socket.socket(socket.AF_UNIX) as scraper:
            scraper.connect(str(path))
            scraper.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert scraper.recv(1000).startswith(b"HTTP/1.0 200 OK")
        with serving(tmp_path, config=settings | {"metrics": {"path": str(path)}}) as other:
            assert get(f"{other.url}/healthz")[0] == 200
            log = other.log.read_text()
        assert path.exists()
        polls.end()
        assert not path.exists()

    assert "ERROR polls.server.metrics: metrics are off: can't listen on" in log
    assert "another process is listening on it" in log
