"""nginx in front of four processes under supervisord, with the configuration files in the wheel."""

import gzip
import http.client
import itertools
import json
import os
import re
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from polls import paths
from polls.web.http.security_headers import SECURITY_HEADERS
from polls.web.http.static import CACHE_FOR_A_YEAR
from tests.support import unavailable_pages
from tests.support.crowd import RESPONSE_TIMEOUT, Crowd
from tests.support.processes import TIMEOUT, eventually
from tests.support.readers import Readers
from tests.support.site import (
    PORT,
    SOCKETS,
    TLS_PORT,
    Response,
    Site,
    exclusive_ports,
    kill,
    new_site,
    nginx,
    serves,
    supervisord,
)
from tests.support.watchers import Watchers

pytestmark = pytest.mark.timeout(1200)  # includes waiting for another run that uses the ports and sockets

VOTER = f"polls_voter={'0' * 31}"  # one digit is missing
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def site(wheel: Path) -> Iterator[Site]:
    with exclusive_ports(), new_site(wheel) as site, supervisord(site), nginx(site):
        yield site


@pytest.fixture
def poll(site: Site) -> int:
    return site.add_poll("Tea?", "Yes", "No")


def vote(site: Site, poll: int, **headers: str) -> Response:
    return site.request("POST", f"/poll/{poll}/vote", f"choice={site.choices(poll)[0]}", **headers)


def logged(site: Site, path: str) -> list[dict[str, str]]:
    """Return the lines of nginx's access log about `path`, after its workers have flushed them."""
    log = site.folder / "var/nginx-access.log"
    last = site.get("/static/img/polls.svg").headers["X-Request-ID"]
    time.sleep(0.05)  # a line is logged after its response
    signal_nginx(site, "-s", "reopen")
    assert eventually(lambda: last in log.read_text())
    time.sleep(0.1)  # the other workers flush at the same time
    return [line for line in map(json.loads, log.read_text().splitlines()) if line["path"] == path]


def get_directly(path: str, **headers: str) -> Response:
    """Send a request to a process of polls, without nginx, and return its response."""
    connection = http.client.HTTPConnection("polls")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(SOCKETS[0]))
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", path, headers=names)
    response = connection.getresponse()
    answer = Response(response.status, response.headers, response.read())
    connection.close()
    return answer


def send_raw(*lines: str) -> str:
    """Send lines that no library would send, and return the beginning of the response, with status and headers."""
    with socket.create_connection(("127.0.0.1", PORT), timeout=TIMEOUT) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(65536) or b"\r\n\r\n"
        return answer.decode()


# ---- pages, votes and static files


def test_pages_and_votes_are_proxied(site: Site, poll: int) -> None:
    assert "Tea?" in site.get("/").text
    form = site.get(f"/poll/{poll}")
    assert form.status == 200
    voter = form.headers["Set-Cookie"].split(";")[0]

    answer = vote(site, poll, cookie=voter)
    assert answer.status == 303
    results = site.get(answer.headers["Location"], cookie=f"{voter}; {answer.headers['Set-Cookie'].split(';')[0]}")

    assert "1 vote in all" in results.text
    assert site.polls("verify").returncode == 0


def test_a_vote_from_the_site_with_its_port_is_accepted_and_from_another_site_refused(site: Site, poll: int) -> None:
    own, foreign = f"http://127.0.0.1:{PORT}", "http://evil.example"

    assert vote(site, poll, origin=own, sec_fetch_site="same-origin").status == 303
    assert vote(site, poll, origin=own).status == 303
    assert vote(site, poll, origin="http://127.0.0.1").status == 403
    assert vote(site, poll, origin=foreign, sec_fetch_site="cross-site").status == 403


def test_websockets_are_proxied(site: Site, poll: int) -> None:
    with Watchers([site.url], 8, poll=poll) as watchers:
        for voter in range(3):
            assert vote(site, poll, cookie=f"{VOTER}{voter}").status == 303

        assert eventually(lambda: watchers.votes == {3})
        assert watchers.open == 8


def test_a_poll_with_a_word_is_proxied_like_one_with_a_number(site: Site, poll: int) -> None:
    site.server.execute(f"UPDATE question SET slug = 'k7m2q9xd-{poll}', is_listed = false WHERE id = {poll}")
    path, handshake = f"/poll/k7m2q9xd-{poll}", {"connection": "Upgrade", "upgrade": "websocket"}
    handshake |= {"sec_websocket_version": "13", "sec_websocket_key": "AAAAAAAAAAAAAAAAAAAAAA=="}

    answer = site.request("POST", f"{path}/vote", f"choice={site.choices(poll)[0]}", cookie=f"{VOTER}1")

    assert (answer.status, answer.headers["Location"].partition("?")[0]) == (303, f"{path}/results")
    assert eventually(lambda: "1 vote in all" in site.get(f"{path}/results").text)
    assert site.get(f"{path}/live", **handshake).status == 101
    assert any(line["cache"] == "MISS" for line in logged(site, f"{path}/results"))
    for _ in range(8):  # all processes
        assert vote(site, poll).status == site.get(f"/poll/{poll}/results").status == 404


def test_a_websocket_from_another_site_is_refused(site: Site, poll: int) -> None:
    handshake = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec_websocket_version": "13",
        "sec_websocket_key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }

    assert site.get(f"/poll/{poll}/live", origin=site.url, **handshake).status == 101
    assert site.get(f"/poll/{poll}/live", origin="http://evil.example", **handshake).status == 403


def test_fifteen_hundred_simultaneous_clients_are_served(site: Site, poll: int) -> None:
    """A UNIX socket whose queue is full refuses connections, and nginx would respond with an error."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with Crowd([site.url], {poll: site.choices(poll)}, voters=1500, retries=False, concurrency=1500) as crowd:
        pass

    assert crowd.answers == {303: 1500}
    site.assert_exact(poll, crowd)


def test_static_files_are_served_compressed_and_cacheable(site: Site) -> None:
    url = re.search(r'href="(/static/css/public\.css\?v=[^"]+)"', site.get("/").text)[1]  # type: ignore[index]

    plain, compressed = site.get(url), site.get(url, accept_encoding="gzip")

    sources = [file.read_bytes() for file in sorted((paths.STATIC / "css/public").iterdir())]
    assert plain.body == gzip.decompress(compressed.body) == b"".join(sources)
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert compressed.headers["Content-Type"] == "text/css; charset=utf-8"
    assert compressed.headers["Cache-Control"] == CACHE_FOR_A_YEAR
    for other in ("/static/css/public.css", "/static/css/public/base.css?v=older"):
        assert site.get(other).headers["Cache-Control"] == "no-cache"
    assert {line["upstream"] for line in logged(site, "/static/css/public.css")} == {""}


def test_a_static_file_that_is_missing_is_requested_from_polls(site: Site) -> None:
    assert site.get("/static/nothing.css").status == 404
    assert [line["upstream_status"] for line in logged(site, "/static/nothing.css")] == ["404"]


def test_pages_are_compressed_and_revalidated(site: Site, poll: int) -> None:
    first = site.get(f"/poll/{poll}", accept_encoding="gzip")
    again = site.get(f"/poll/{poll}", accept_encoding="gzip", if_none_match=first.headers["ETag"])

    assert first.headers["Content-Encoding"] == "gzip"
    assert "Tea?" in gzip.decompress(first.body).decode()
    assert (again.status, again.body) == (304, b"")
    assert "Content-Encoding" not in site.get("/admin/login", accept_encoding="gzip").headers


@pytest.mark.parametrize("path", ["/poll/{poll}", "/poll/{poll}/results"])
def test_only_pages_that_are_the_same_for_all_are_compressed(site: Site, poll: int, path: str) -> None:
    url = path.format(poll=poll)

    compressed, plain = site.get(url, accept_encoding="gzip"), site.get(url)
    own = site.get(url, accept_encoding="gzip", cookie=f"polls_ballot={site.choices(poll)[0]}")

    assert gzip.decompress(compressed.body) == plain.body
    assert "Content-Encoding" not in own.headers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/nothing", 404),
        ("/metrics", 404),
        ("/healthz", 404),
        ("/static/css/public.css", 200),
        ("/favicon.ico", 200),
        ("/robots.txt", 200),
    ],
)
def test_security_headers_are_set_once(site: Site, path: str, status: int) -> None:
    answer = site.get(path)

    assert answer.status == status
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers.get_all(name) == [value if name != "Server" else "nginx"]
    assert len(answer.headers.get_all("Cache-Control") or []) == 1


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("GET / HTTP/1.1", "no header"), 400),
        (("GET / HTTP/1.1", "Host: polls", f"Cookie: {'c' * 9_000}"), 400),
        ((f"GET /{'p' * 9_000} HTTP/1.1", "Host: polls"), 414),
        (("POST /poll/1/vote HTTP/1.1", "Host: polls", "Content-Length: 2000000"), 413),
        (("POST / HTTP/1.1", "Host: polls", "Content-Length: 2000000"), 413),
        (("GET / HTTP/1.1", "Host: polls", 'If-Match: "other"'), 412),
        (("GET / HTTP/1.1", "Host: polls", "If-Unmodified-Since: Mon, 01 Jan 2001 00:00:00 GMT"), 412),
        (("GET /static/css/public.css HTTP/1.1", "Host: polls", 'If-Match: "other"'), 412),
    ],
)
def test_errors_of_nginx_have_security_headers_and_no_version(site: Site, lines: tuple[str, ...], status: int) -> None:
    response = send_raw(*lines)

    assert response.startswith(f"HTTP/1.1 {status} "), site.logs()
    assert "nginx/" not in response
    for name, value in SECURITY_HEADERS.items():
        if name != "Server":
            assert response.count(f"{name}: {value}\r\n") == 1
    assert response.count("Cache-Control: no-store\r\n") == 1
    assert response.count("X-Request-ID: ") == 1


@pytest.mark.parametrize("path", ["/", "/poll/{poll}", "/poll/{poll}/results", "/poll/{poll}/present", "/admin/login"])
def test_http_1_0_without_host_is_served(site: Site, poll: int, path: str) -> None:
    response = send_raw(f"GET {path.format(poll=poll)} HTTP/1.0")

    assert response.startswith("HTTP/1.1 200 "), site.logs()


def test_the_connection_of_a_form_that_stops_arriving_is_reset(site: Site, poll: int) -> None:
    """nginx reads a form before polls sees it, and answers nothing."""
    lines = (f"POST /poll/{poll}/vote HTTP/1.1", "Host: polls", f"Content-Type: {FORM}", "Content-Length: 20")
    started = time.monotonic()

    with pytest.raises(ConnectionResetError):
        send_raw(*lines)

    assert 9 < time.monotonic() - started < 15
    assert site.server.execute(f"SELECT ballots FROM question WHERE id = {poll}") == [(0,)]


def test_a_form_that_is_too_large_gets_the_error_page_of_polls(site: Site, poll: int) -> None:
    answer = site.request("POST", f"/poll/{poll}/vote", "choice=1&" + "x" * 100_000)

    assert answer.status == 413
    assert "Nothing was saved." in answer.text


def test_every_response_has_its_own_request_id(site: Site, poll: int) -> None:
    answers = [site.get(path) for path in 3 * (f"/poll/{poll}/results", f"/poll/{poll}", "/static/css/public.css")]

    ids = {each for answer in answers for each in answer.headers.get_all("X-Request-ID") or []}
    assert len(ids) == len(answers)
    assert ids >= {line["request_id"] for line in logged(site, f"/poll/{poll}/results")}


# ---- client addresses


def test_a_client_cannot_forge_its_address_or_scheme(site: Site) -> None:
    def sign_in(source: str, number: int) -> int:
        forged = {"x_forwarded_for": f"203.0.113.{number}", "forwarded": f"for=203.0.113.{number}"}
        guess = f"username=ada&password=guess-number-{number}"
        return site.request("POST", "/admin/login", guess, source=source, **forged).status

    assert [sign_in("127.0.0.7", number) for number in range(7)] == [400] * 5 + [429] * 2
    assert sign_in("127.0.0.8", 7) == 400
    assert "Secure" not in site.get("/poll/1", x_forwarded_proto="https").headers["Set-Cookie"]


def test_health_checks_and_metrics_are_not_public(site: Site) -> None:
    assert site.get("/readyz").status == 200
    assert site.request("GET", "/readyz", source="127.0.0.2").status == 403
    for path in ("/metrics", "/healthz", "/%6detrics", "//metrics", "/x/../metrics"):
        assert site.get(path).status == 404
    assert not [line for path in ("/metrics", "/healthz") for line in logged(site, path) if line["upstream"]]


def test_one_address_may_have_three_thousand_requests_at_a_time(site: Site, poll: int) -> None:
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    request = f"POST /poll/{poll}/vote HTTP/1.1\r\nHost: polls\r\nContent-Length: 8\r\n\r\n".encode()
    waiting = []

    def wait() -> None:
        waiting.append(socket.create_connection(("127.0.0.1", PORT), source_address=("127.0.0.9", 0)))
        waiting[-1].sendall(request)

    def is_refused() -> bool:
        wait()  # an earlier request may have ended
        return site.request("GET", f"/poll/{poll}", source="127.0.0.9").status == 429

    try:
        for _ in range(3000):
            wait()
        assert eventually(is_refused)
        answer = site.request("GET", "/", source="127.0.0.9", accept_language="zh")
        assert (answer.status, answer.headers["Retry-After"]) == (429, "3")
        assert answer.text == unavailable_pages.pages()["page.zh-Hans.html"]
        assert site.get("/").status == 200
    finally:
        for connection in waiting:
            connection.close()


# ---- the cache


def test_a_vote_is_visible_to_all_within_two_seconds_and_to_its_voter_at_once(site: Site, poll: int) -> None:
    results = f"/poll/{poll}/results"
    with Readers(site.url, [results]):
        for count in range(1, 4):
            time.sleep(0.7)
            answer = vote(site, poll, cookie=f"{VOTER}{count}")
            voted = time.monotonic()
            cookies = f"{VOTER}{count}; {answer.headers['Set-Cookie'].split(';')[0]}"
            counted = f"{count} vote{'s' if count > 1 else ''} in all"
            assert counted in site.get(answer.headers["Location"], cookie=cookies).text
            assert "your vote" in site.get(results, cookie=cookies).text  # not from nginx's cache
            for headers in ({"cookie": cookies}, {}):
                while counted not in site.get(results, **headers).text:
                    assert time.monotonic() < voted + 2

    statuses = [line["cache"] for line in logged(site, results) if line["cache"]]
    assert statuses.count("MISS") + statuses.count("EXPIRED") < 0.1 * len(statuses), statuses


def test_an_expired_page_is_not_served(site: Site, poll: int) -> None:
    results = f"/poll/{poll}/results"
    assert "0 votes in all" in site.get(results).text
    assert vote(site, poll, cookie=f"{VOTER}1").status == 303
    time.sleep(2.1)

    assert "1 vote in all" in site.get(results).text


def test_simultaneous_clients_get_no_expired_page(site: Site, poll: int) -> None:
    results = f"/poll/{poll}/results"
    assert "0 votes in all" in site.get(results).text
    assert vote(site, poll, cookie=f"{VOTER}1").status == 303
    time.sleep(2.1)

    with ThreadPoolExecutor(24) as crowd:
        pages = list(crowd.map(site.get, [results] * 24))

    assert all("1 vote in all" in page.text for page in pages)


def test_a_withdrawn_poll_disappears_within_seconds_under_load(site: Site, poll: int) -> None:
    results = f"/poll/{poll}/results"
    assert site.get(results).status == 200

    with Readers(site.url, [results], count=8) as readers:
        time.sleep(0.5)
        site.server.execute(f"UPDATE question SET pub_date = now() + interval '1 day' WHERE id = {poll}")
        time.sleep(3.5)  # more than the two seconds for which it may be cached
        readers.answers.clear()
        time.sleep(1)

    assert set(readers.answers) == {404}, readers.answers


def test_cached_pages_have_the_language_of_the_client(site: Site, poll: int) -> None:
    """nginx derives the language in the cache key from cookie and Accept-Language as polls does."""
    cookies = [
        "",
        f"{VOTER}1",
        *(f"polls_language={tag}" for tag in ("en", "zh-Hans", "zh-hans", "EN", "fr", "", "en=zh-Hans")),
        "polls_language=fr; polls_language=en",
        "polls_language=zh-Hans!; polls_language=en",
        "a=b;polls_language=zh-Hans ;c=d",
        "xpolls_language=en",
        "Polls_language=zh-Hans",
        "language=zh-Hans",
    ]
    preferences = [
        *("", "en", "en-GB,zh;q=0.9", "EN-us", "en;q=0.1,zh", "en ,zh", "zh", "zh-CN,zh;q=0.9,en;q=0.8", "zh-TW,en"),
        *("zh-Hans-HK,en", "zh-Hant,zh;q=0.5", "de", "de,zh;q=0.5,en;q=0.4", "de,en;q=0.4,zh;q=0.5", "*", "en-Shaw,zh"),
        *("zh-SG;q=0.3,en;q=0.4", "xx,en,zh", "q=1", "zh-HK,zh;q=0.2"),
    ]
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    clients = [
        {name: value for name, value in (("cookie", cookie), ("accept_language", preference)) if value}
        for cookie, preference in itertools.product(cookies, preferences)
    ]
    expected = [get_directly(f"/poll/{poll}/results", **headers).headers["Content-Language"] for headers in clients]

    actual = [
        site.request("GET", f"/poll/{poll}/results", client=connection, **headers).headers["Content-Language"]
        for headers in clients
    ]
    connection.close()

    different = [
        (headers, right, wrong)
        for headers, right, wrong in zip(clients, expected, actual, strict=True)
        if right != wrong
    ]
    assert not different
    assert set(expected) == {"en", "zh-Hans"}
    statuses = [line["cache"] for line in logged(site, f"/poll/{poll}/results")]
    assert statuses.count("HIT") > len(clients) / 2


def test_several_accept_language_lines_do_not_change_cached_pages_of_others(site: Site, poll: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    connection.putrequest("GET", f"/poll/{poll}/results")
    for language in ("de", "zh"):
        connection.putheader("Accept-Language", language)
    connection.endheaders()
    assert connection.getresponse().status == 200
    connection.close()

    for language, expected in (("de", "en"), ("de, zh", "zh-Hans"), ("de,zh", "zh-Hans"), ("zh", "zh-Hans")):
        answer = site.get(f"/poll/{poll}/results", accept_language=language)
        assert answer.headers["Content-Language"] == expected, language


def test_personal_pages_are_not_cached(site: Site, poll: int) -> None:
    results = f"/poll/{poll}/results"
    answer = vote(site, poll, cookie=f"{VOTER}1")
    cookies = f"{VOTER}1; {answer.headers['Set-Cookie'].split(';')[0]}"
    voted = next(cookie for cookie in answer.headers.get_all("Set-Cookie") or () if cookie.startswith("polls_voted"))
    session = f"polls_session={'s' * 43}"

    own = site.get(results, cookie=cookies)
    anonymous = site.get(results)
    other = site.get(results, cookie=f"{VOTER}2")
    flash = site.get(results, cookie=f"{VOTER}2; polls_flash_{PORT}=counted.1")
    owner = site.get(results, cookie=f"{VOTER}2; polls_owner_{PORT}={'0' * 26}")
    admin = site.get("/", cookie=session)
    own_list = site.get("/", cookie=f"{VOTER}1; {voted}")
    other_list = site.get("/", cookie=f"{VOTER}2")
    after = site.get(answer.headers["Location"])

    assert "Change your vote" in own.text
    assert own.headers["Cache-Control"].startswith("private")
    assert "Change your vote" not in anonymous.text
    assert other.text == flash.text == owner.text == anonymous.text
    assert (admin.status, after.status) == (200, 200)
    assert "You voted" in own_list.text
    assert "You voted" not in other_list.text
    assert "no-store" in after.headers["Cache-Control"]
    assert sorted(line["cache"] for line in logged(site, results)) == ["", "", "", "", "HIT", "MISS"]
    private = {answer.headers["X-Request-ID"] for answer in (admin, own_list)}
    assert [line["cache"] for line in logged(site, "/") if line["request_id"] in private] == ["", ""]


def test_percent_encoded_after_parameters_are_not_cached(site: Site, poll: int) -> None:
    """polls accepts spellings of `after=` that nginx doesn't recognize."""
    for query in ("?%61fter=1", "?x=1&after=1", "?after=1"):
        answer = site.get(f"/poll/{poll}/results{query}")

        assert "no-store" in answer.headers["Cache-Control"]
    assert {line["cache"] for line in logged(site, f"/poll/{poll}/results")} <= {"", "MISS"}
    assert "max-age=0" in site.get(f"/poll/{poll}/results").headers["Cache-Control"]


def test_voter_cookies_are_never_cached(site: Site, poll: int) -> None:
    cookies = {site.get(f"/poll/{poll}").headers["Set-Cookie"].split(";")[0] for _ in range(10)}

    assert len(cookies) == 10
    for path in ("/", f"/poll/{poll}/results"):
        assert "Set-Cookie" not in site.get(path).headers


def test_hosts_do_not_share_cached_pages(site: Site, poll: int) -> None:
    for host in ("one.example", "two.example", "one.example"):
        assert site.get(f"/poll/{poll}/results", host=host).status == 200

    statuses = sorted(line["cache"] for line in logged(site, f"/poll/{poll}/results"))
    assert statuses == ["HIT", "MISS", "MISS"]


# ---- failures


def test_without_polls_nginx_serves_stale_results_and_error_pages(site: Site, poll: int) -> None:
    cached = site.get(f"/poll/{poll}/results")
    site.supervisorctl("stop", "polls:*")
    try:
        assert not any(path.exists() for path in SOCKETS)
        for language, tag in (("en-GB,zh;q=0.5", "en"), ("zh-CN,en;q=0.5", "zh-Hans"), ("de,zh;q=0.8", "zh-Hans")):
            known = vote(site, poll, cookie=f"{VOTER}1", accept_language=language)
            unknown = vote(site, poll, accept_language=language)
            page = site.get(f"/poll/{poll}", accept_language=language)

            assert known.text == unavailable_pages.pages()[f"vote.{tag}.html"]
            assert unknown.text == page.text == unavailable_pages.pages()[f"page.{tag}.html"]
            for answer in (known, unknown, page):
                assert (answer.status, answer.headers["Retry-After"]) == (502, "3")
                assert answer.headers["Cache-Control"] == "no-store"
                for name, value in SECURITY_HEADERS.items():
                    assert answer.headers.get_all(name) == [value if name != "Server" else "nginx"]
        stale = site.get(f"/poll/{poll}/results")
        assert (stale.status, stale.text) == (200, cached.text)
        assert site.get("/unavailable/vote.en.html").status == 404
    finally:
        site.supervisorctl("start", "polls:*")
    assert eventually(lambda: all(map(serves, SOCKETS)))
    assert eventually(lambda: site.get(f"/poll/{poll}").status == 200)


def test_the_error_pages_match_the_translation_catalogues() -> None:
    assert {
        file.name: file.read_text("utf-8") for file in unavailable_pages.FOLDER.iterdir()
    } == unavailable_pages.pages()


def pid_of(site: Site, path: Path) -> int:
    return int(site.supervisorctl("pid", f"polls:{path.stem}"))


def test_killed_processes_under_load_fail_no_vote_with_a_cookie(site: Site, poll: int) -> None:
    pages = ["/", f"/poll/{poll}", f"/poll/{poll}/results"]
    polls = {poll: site.choices(poll)}
    with (
        Watchers([site.url], 40, poll=poll) as watchers,
        Readers(site.url, pages) as readers,
        Crowd([site.url], polls) as known,
        Crowd([site.url], polls, sends_cookie=False, retries=False, concurrency=8) as others,
    ):
        for path in SOCKETS:
            time.sleep(0.5)
            before = pid_of(site, path)
            kill(before)
            assert eventually(lambda path=path, before=before: pid_of(site, path) not in {0, before})
            assert eventually(lambda path=path: serves(path))
    # Only requests in flight at the killed process that must not be repeated fail.
    assert set(known.answers) == {303}, known.answers
    assert set(readers.answers) == {200}, readers.answers
    assert set(others.answers) <= {303, 502}, others.answers
    assert others.answers[502] <= len(SOCKETS) * 8
    assert known.slowest < RESPONSE_TIMEOUT
    assert watchers.reconnects >= 40
    site.assert_exact(poll, known, others)


def test_no_request_fails_in_a_rolling_restart_while_a_newer_version_migrates(site: Site, poll: int) -> None:
    """Processes of this version keep working, and start, with a database that a newer version has migrated."""
    newer = site.folder / "wheel/polls/assets/sql/9999_newer.sql"
    newer.write_text(
        """
        ALTER TABLE question ADD COLUMN subtitle text NOT NULL DEFAULT '';
        ALTER TABLE choice ADD COLUMN picture bytea;
        ALTER TABLE ballot ADD COLUMN way text NOT NULL DEFAULT 'web';
        CREATE TABLE remark (question_id integer NOT NULL REFERENCES question ON DELETE CASCADE, said text NOT NULL);
        """
    )
    pages = ["/", f"/poll/{poll}", f"/poll/{poll}/results"]
    polls = {poll: site.choices(poll)}
    with (
        Watchers([site.url], 40, poll=poll) as watchers,
        Readers(site.url, pages) as readers,
        Crowd([site.url], polls) as known,
        Crowd([site.url], polls, sends_cookie=False, retries=False, concurrency=8) as others,
    ):
        time.sleep(0.5)
        before = known.total()
        migrated = subprocess.run(
            [sys.executable, "-m", "polls", "--config=config/production.yaml", "migrate"],
            cwd=site.folder,
            env=site.environ | {"PYTHONPATH": str(site.folder / "wheel")},
            capture_output=True,
            text=True,
            check=True,
        )
        assert migrated.stdout == "applied 9999_newer\n"
        assert eventually(lambda: known.total() > before + 100)
        for path in SOCKETS:
            assert "started" in site.supervisorctl("restart", f"polls:{path.stem}")
            assert eventually(lambda path=path: serves(path))

    assert set(known.answers) == {303}, known.answers
    assert set(readers.answers) == {200}, readers.answers
    assert set(others.answers) <= {303, 502}, others.answers
    assert others.answers[502] <= others.answers.total() / 100
    assert known.slowest < RESPONSE_TIMEOUT
    assert set(watchers.closings) <= {1001}, watchers.closings
    assert watchers.reconnects >= 40
    site.assert_exact(poll, known, others)
    for number in range(1, 5):
        log = (site.folder / f"var/polls_{number}.log").read_text()
        assert "a newer version of polls has applied 9999_newer to the database; this one works with it" in log


# ---- TLS and permissions


def test_with_a_certificate_https_is_served_and_http_redirected(site: Site) -> None:
    folder, file = site.folder / "config/tls", site.folder / "config/nginx.conf"
    folder.mkdir()
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"),
        ],
        check=True,
        capture_output=True,
    )
    shipped = file.read_text()
    assert shipped.count("# include nginx-tls.conf;") == 1
    file.write_text(shipped.replace("# include nginx-tls.conf;", "include nginx-tls.conf;"))
    try:
        signal_nginx(site, "-t")
        signal_nginx(site, "-s", "reload")
        trusted = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))

        def is_listening() -> bool:
            try:
                with socket.create_connection(("127.0.0.1", TLS_PORT)):
                    return True
            except OSError:
                return False

        assert eventually(is_listening)
        connection = http.client.HTTPSConnection("127.0.0.1", TLS_PORT, context=trusted, timeout=30)
        secure = site.request("GET", "/poll/1", client=connection)
        assert connection.sock.version() in {"TLSv1.2", "TLSv1.3"}  # type: ignore[attr-defined]
        static = site.request("GET", "/static/css/public.css", client=connection)
        cached = [site.request("GET", "/", client=connection) for _ in range(2)]
        connection.close()
        assert secure.status == 200
        assert secure.headers["Set-Cookie"].endswith("; Secure")
        for answer in (secure, static, *cached):
            assert answer.headers.get_all("Strict-Transport-Security") == ["max-age=31536000"]
        # Old workers may accept a few more connections after the reload.
        assert eventually(lambda: site.request("POST", "/poll/1/vote", "choice=0").status == 308)
        redirect = site.get("/poll/1/vote")
        assert redirect.headers["Location"] == "https://127.0.0.1/poll/1/vote"
        assert "Strict-Transport-Security" not in redirect.headers
    finally:
        file.write_text(shipped)
        signal_nginx(site, "-s", "reload")
    assert eventually(lambda: site.get("/").status == 200)


def test_an_ordinary_user_can_run_nginx(site: Site) -> None:
    user = {"user": "nobody", "group": "nogroup", "extra_groups": ()} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="polls-") as name:
        folder = Path(name)
        (folder / "var").mkdir()
        (folder / "var").chmod(0o777)
        folder.chmod(0o755)
        for each in ("config", "static"):
            (folder / each).symlink_to(site.folder / each)

        result = subprocess.run(
            ["nginx", "-t", "-p", f"{folder}/", "-c", "config/nginx.conf"],
            env=site.environ,
            capture_output=True,
            text=True,
            check=False,
            **user,  # type: ignore[call-overload]
        )

    assert result.returncode == 0, result.stderr
    assert [line for line in result.stderr.splitlines() if "[warn]" in line or "[alert]" in line] == []


def signal_nginx(site: Site, *arguments: str) -> None:
    result = subprocess.run(
        ["nginx", "-p", f"{site.folder}/", "-c", "config/nginx.conf", *arguments],
        cwd=site.folder,
        env=site.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
