"""nginx in front of four processes under supervisord, all with the files that the wheel ships."""

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
from polls.web.http.static import A_YEAR
from tests.support import unavailable_pages
from tests.support.crowd import TOO_LONG, Crowd
from tests.support.processes import TIMEOUT, eventually
from tests.support.readers import Readers
from tests.support.site import PORT, SOCKETS, TLS_PORT, Answer, Site, alone, kill, laid_out, nginx, serves, supervisord
from tests.support.watchers import Watchers

pytestmark = pytest.mark.timeout(1200)  # another run of these tests may have the ports and the sockets first

VOTER = f"voter={'0' * 31}"  # and one digit more
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def site(wheel: Path) -> Iterator[Site]:
    with alone(), laid_out(wheel) as site, supervisord(site), nginx(site):
        yield site


@pytest.fixture
def poll(site: Site) -> int:
    return site.ask("Tea?", "Yes", "No")


def vote(site: Site, poll: int, **headers: str) -> Answer:
    return site.request("POST", f"/poll/{poll}/vote", f"choice={site.choices(poll)[0]}", **headers)


def logged(site: Site, path: str) -> list[dict[str, str]]:
    """The lines of nginx's access log about `path`, which its workers write at once when they are told to."""
    log = site.folder / "var/nginx-access.log"
    last = site.get("/static/img/polls.svg").headers["X-Request-ID"]
    time.sleep(0.05)  # a line comes a moment after its answer
    signal_nginx(site, "-s", "reopen")
    assert eventually(lambda: last in log.read_text())
    time.sleep(0.1)  # and the other worker is told at the same time
    return [line for line in map(json.loads, log.read_text().splitlines()) if line["path"] == path]


def directly(path: str, **headers: str) -> Answer:
    """What a process of polls answers itself."""
    connection = http.client.HTTPConnection("polls")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(SOCKETS[0]))
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", path, headers=names)
    response = connection.getresponse()
    answer = Answer(response.status, response.headers, response.read())
    connection.close()
    return answer


def raw(*lines: str) -> str:
    """How nginx begins to answer lines that no library would send, with status and headers."""
    with socket.create_connection(("127.0.0.1", PORT), timeout=TIMEOUT) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(65536) or b"\r\n\r\n"
        return answer.decode()


# ---- what visitors get


def test_pages_and_votes_go_through_it(site: Site, poll: int) -> None:
    assert "Tea?" in site.get("/").text
    form = site.get(f"/poll/{poll}")
    assert form.status == 200
    voter = form.headers["Set-Cookie"].split(";")[0]

    answer = vote(site, poll, cookie=voter)
    assert answer.status == 303
    results = site.get(answer.headers["Location"], cookie=f"{voter}; {answer.headers['Set-Cookie'].split(';')[0]}")

    assert "1 vote in all" in results.text
    assert site.polls("verify").returncode == 0


def test_a_browser_behind_a_host_with_a_port_votes_and_another_sites_page_does_not(site: Site, poll: int) -> None:
    ours, theirs = f"http://127.0.0.1:{PORT}", "http://evil.example"

    assert vote(site, poll, origin=ours, sec_fetch_site="same-origin").status == 303
    assert vote(site, poll, origin=ours).status == 303
    assert vote(site, poll, origin="http://127.0.0.1").status == 403
    assert vote(site, poll, origin=theirs, sec_fetch_site="cross-site").status == 403


def test_watchers_see_votes_through_it(site: Site, poll: int) -> None:
    with Watchers([site.url], 8, poll=poll) as watchers:
        for voter in range(3):
            assert vote(site, poll, cookie=f"{VOTER}{voter}").status == 303

        assert eventually(lambda: watchers.votes == {3})
        assert watchers.open == 8


def test_pages_of_other_sites_may_not_watch(site: Site, poll: int) -> None:
    handshake = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec_websocket_version": "13",
        "sec_websocket_key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }

    assert site.get(f"/poll/{poll}/live", origin=site.url, **handshake).status == 101
    assert site.get(f"/poll/{poll}/live", origin="http://evil.example", **handshake).status == 403


def test_a_crowd_that_comes_in_one_moment_is_served(site: Site, poll: int) -> None:
    """Each process has room for those who wait: where it had none, a connection would be refused, and nginx give up."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with Crowd([site.url], {poll: site.choices(poll)}, voters=1500, persistent=False, at_once=1500) as crowd:
        pass

    assert crowd.answers == {303: 1500}
    site.expect_exact(poll, crowd)


def test_static_files_come_from_the_folder_compressed_and_may_be_kept(site: Site) -> None:
    address = re.search(r'href="(/static/css/base\.css\?v=[^"]+)"', site.get("/").text)[1]  # type: ignore[index]

    plain, compressed = site.get(address), site.get(address, accept_encoding="gzip")

    assert plain.body == gzip.decompress(compressed.body) == (paths.STATIC / "css/base.css").read_bytes()
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert compressed.headers["Content-Type"] == "text/css; charset=utf-8"
    assert compressed.headers["Cache-Control"] == A_YEAR
    for other in ("/static/css/base.css", "/static/css/base.css?v=older"):
        assert site.get(other).headers["Cache-Control"] == "no-cache"
    assert {line["upstream"] for line in logged(site, "/static/css/base.css")} == {""}


def test_for_a_file_that_the_folder_lacks_polls_is_asked(site: Site) -> None:
    assert site.get("/static/nothing.css").status == 404
    assert [line["upstream_status"] for line in logged(site, "/static/nothing.css")] == ["404"]


def test_pages_are_compressed_and_may_be_asked_for_again(site: Site, poll: int) -> None:
    first = site.get(f"/poll/{poll}", accept_encoding="gzip")
    again = site.get(f"/poll/{poll}", accept_encoding="gzip", if_none_match=first.headers["ETag"])

    assert first.headers["Content-Encoding"] == "gzip"
    assert "Tea?" in gzip.decompress(first.body).decode()
    assert (again.status, again.body) == (304, b"")
    assert "Content-Encoding" not in site.get("/admin/login", accept_encoding="gzip").headers


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/nothing", 404), ("/metrics", 404), ("/healthz", 404), ("/static/css/base.css", 200)],
)
def test_the_headers_that_protect_visitors_are_there_once(site: Site, path: str, status: int) -> None:
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
    ],
)
def test_what_nginx_refuses_itself_is_protected_and_tells_no_version(
    site: Site, lines: tuple[str, ...], status: int
) -> None:
    answer = raw(*lines)

    assert answer.startswith(f"HTTP/1.1 {status} "), site.logs()
    assert "nginx/" not in answer
    for name, value in SECURITY_HEADERS.items():
        if name != "Server":
            assert answer.count(f"{name}: {value}\r\n") == 1


def test_a_form_that_is_too_large_is_said_by_polls(site: Site, poll: int) -> None:
    answer = site.request("POST", f"/poll/{poll}/vote", "choice=1&" + "x" * 100_000)

    assert answer.status == 413
    assert "Nothing was saved." in answer.text


def test_every_answer_has_a_name_of_its_own(site: Site, poll: int) -> None:
    answers = [site.get(path) for path in 3 * (f"/poll/{poll}/results", f"/poll/{poll}", "/static/css/base.css")]

    names = {name for answer in answers for name in answer.headers.get_all("X-Request-ID") or []}
    assert len(names) == len(answers)
    assert names >= {line["request_id"] for line in logged(site, f"/poll/{poll}/results")}


# ---- who they are


def test_where_a_visitor_comes_from_is_not_theirs_to_say(site: Site) -> None:
    def sign_in(source: str, number: int) -> int:
        made_up = {"x_forwarded_for": f"203.0.113.{number}", "forwarded": f"for=203.0.113.{number}"}
        guess = f"username=somebody&password=guess-number-{number}"
        return site.request("POST", "/admin/login", guess, source=source, **made_up).status

    assert [sign_in("127.0.0.7", number) for number in range(7)] == [400] * 5 + [429] * 2
    assert sign_in("127.0.0.8", 7) == 400
    assert "Secure" not in site.get("/poll/1", x_forwarded_proto="https").headers["Set-Cookie"]


def test_what_operators_look_at_is_not_for_everybody(site: Site) -> None:
    assert site.get("/readyz").status == 200
    assert site.request("GET", "/readyz", source="127.0.0.2").status == 403
    for path in ("/metrics", "/healthz", "/%6detrics", "//metrics", "/x/../metrics"):
        assert site.get(path).status == 404
    assert not [line for path in ("/metrics", "/healthz") for line in logged(site, path) if line["upstream"]]


def test_one_address_has_three_thousand_requests_at_a_time(site: Site, poll: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    begun = f"POST /poll/{poll}/vote HTTP/1.1\r\nHost: polls\r\nContent-Length: 8\r\n\r\n".encode()
    waiting = []

    def wait() -> None:
        waiting.append(socket.create_connection(("127.0.0.1", PORT), source_address=("127.0.0.9", 0)))
        waiting[-1].sendall(begun)

    def refused() -> bool:
        wait()  # a place may have been free, for a request that is over
        return site.request("GET", f"/poll/{poll}", source="127.0.0.9").status == 429

    try:
        for _ in range(3000):
            wait()
        assert eventually(refused)
        answer = site.request("GET", "/", source="127.0.0.9", accept_language="zh")
        assert (answer.status, answer.headers["Retry-After"]) == (429, "3")
        assert answer.text == unavailable_pages.pages()["page.zh-Hans.html"]
        assert site.get("/").status == 200
    finally:
        for connection in waiting:
            connection.close()


# ---- what is kept for a second


def test_a_vote_is_seen_by_everybody_within_two_seconds_and_by_its_voter_at_once(site: Site, poll: int) -> None:
    results = f"/poll/{poll}/results"
    with Readers(site.url, [results]):
        for count in range(1, 4):
            time.sleep(0.7)
            answer = vote(site, poll, cookie=f"{VOTER}{count}")
            voted = time.monotonic()
            cookies = f"{VOTER}{count}; {answer.headers['Set-Cookie'].split(';')[0]}"
            counted = f"{count} vote{'s' if count > 1 else ''} in all"
            assert counted in site.get(answer.headers["Location"], cookie=cookies).text
            assert "your vote" in site.get(results, cookie=cookies).text  # not out of nginx's memory
            for of_whom in ({"cookie": cookies}, {}):
                while counted not in site.get(results, **of_whom).text:
                    assert time.monotonic() < voted + 2

    seen = [line["cache"] for line in logged(site, results) if line["cache"]]
    assert seen.count("MISS") + seen.count("EXPIRED") < 0.1 * len(seen), seen


def test_a_page_that_nobody_has_read_for_a_while_is_not_shown_once_more(site: Site, poll: int) -> None:
    results = f"/poll/{poll}/results"
    assert "0 votes in all" in site.get(results).text
    assert vote(site, poll, cookie=f"{VOTER}1").status == 303
    time.sleep(2.1)

    assert "1 vote in all" in site.get(results).text


def test_a_crowd_that_comes_at_once_sees_what_was_voted_before(site: Site, poll: int) -> None:
    results = f"/poll/{poll}/results"
    assert "0 votes in all" in site.get(results).text
    assert vote(site, poll, cookie=f"{VOTER}1").status == 303
    time.sleep(2.1)

    with ThreadPoolExecutor(24) as crowd:
        pages = list(crowd.map(site.get, [results] * 24))

    assert all("1 vote in all" in page.text for page in pages)


def test_a_poll_that_is_withdrawn_is_out_of_sight_of_a_crowd_in_seconds(site: Site, poll: int) -> None:
    results = f"/poll/{poll}/results"
    assert site.get(results).status == 200

    with Readers(site.url, [results], count=8) as readers:
        time.sleep(0.5)
        site.server.execute(f"UPDATE question SET pub_date = now() + interval '1 day' WHERE id = {poll}")
        time.sleep(3.5)  # it is kept for two seconds at most, and then some
        readers.answers.clear()
        time.sleep(1)

    assert set(readers.answers) == {404}, readers.answers


def test_everybody_reads_their_own_language(site: Site, poll: int) -> None:
    """Whatever is kept: the key is nginx's word for what polls makes of cookie and preferences."""
    cookies = [
        *("", f"{VOTER}1", "language=en", "language=zh-Hans", "language=zh-hans", "language=EN", "language=fr"),
        *("language=fr; language=en", "language=zh-Hans!; language=en", "a=b;language=zh-Hans ;c=d", "xlanguage=en"),
        *("Language=zh-Hans", "language=", "language=en=zh-Hans"),
    ]
    preferences = [
        *("", "en", "en-GB,zh;q=0.9", "EN-us", "en;q=0.1,zh", "en ,zh", "zh", "zh-CN,zh;q=0.9,en;q=0.8", "zh-TW,en"),
        *("zh-Hans-HK,en", "zh-Hant,zh;q=0.5", "de", "de,zh;q=0.5,en;q=0.4", "de,en;q=0.4,zh;q=0.5", "*", "en-Shaw,zh"),
        *("zh-SG;q=0.3,en;q=0.4", "xx,en,zh", "q=1", "zh-HK,zh;q=0.2"),
    ]
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    everyone = [
        {name: value for name, value in (("cookie", cookie), ("accept_language", wanted)) if value}
        for cookie, wanted in itertools.product(cookies, preferences)
    ]
    right = [directly(f"/poll/{poll}/results", **headers).headers["Content-Language"] for headers in everyone]

    got = [
        site.request("GET", f"/poll/{poll}/results", over=connection, **headers).headers["Content-Language"]
        for headers in everyone
    ]
    connection.close()

    wrong = [
        (headers, ours, theirs) for headers, ours, theirs in zip(everyone, right, got, strict=True) if ours != theirs
    ]
    assert not wrong
    assert set(right) == {"en", "zh-Hans"}
    kept = [line["cache"] for line in logged(site, f"/poll/{poll}/results")]
    assert kept.count("HIT") > len(everyone) / 2


def test_who_prefers_languages_in_several_lines_chooses_for_nobody_else(site: Site, poll: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    connection.putrequest("GET", f"/poll/{poll}/results")
    for language in ("de", "zh"):
        connection.putheader("Accept-Language", language)
    connection.endheaders()
    assert connection.getresponse().status == 200
    connection.close()

    for language, right in (("de", "en"), ("de, zh", "zh-Hans"), ("de,zh", "zh-Hans"), ("zh", "zh-Hans")):
        answer = site.get(f"/poll/{poll}/results", accept_language=language)
        assert answer.headers["Content-Language"] == right, language


def test_what_is_somebodys_own_reaches_nobody_else(site: Site, poll: int) -> None:
    results = f"/poll/{poll}/results"
    answer = vote(site, poll, cookie=f"{VOTER}1")
    mine = f"{VOTER}1; {answer.headers['Set-Cookie'].split(';')[0]}"
    session = f"session={'s' * 43}"

    own = site.get(results, cookie=mine)
    strangers = site.get(results)
    known = site.get(results, cookie=f"{VOTER}2")
    admins = site.get("/", cookie=session)
    after = site.get(answer.headers["Location"])

    assert "Change your vote" in own.text
    assert own.headers["Cache-Control"].startswith("private")
    assert "Change your vote" not in strangers.text
    assert known.text == strangers.text
    assert (admins.status, after.status) == (200, 200)
    assert "no-store" in after.headers["Cache-Control"]
    assert sorted(line["cache"] for line in logged(site, results)) == ["", "", "HIT", "MISS"]
    of_admins = admins.headers["X-Request-ID"]
    assert [line["cache"] for line in logged(site, "/") if line["request_id"] == of_admins] == [""]


def test_a_forged_way_to_the_results_keeps_nothing(site: Site, poll: int) -> None:
    """polls understands more ways to write an address than nginx looks for."""
    for query in ("?%61fter=1", "?x=1&after=1", "?after=1"):
        answer = site.get(f"/poll/{poll}/results{query}")

        assert "no-store" in answer.headers["Cache-Control"]
    assert {line["cache"] for line in logged(site, f"/poll/{poll}/results")} <= {"", "MISS"}
    assert "max-age=0" in site.get(f"/poll/{poll}/results").headers["Cache-Control"]


def test_nobody_gets_the_name_that_another_voter_was_given(site: Site, poll: int) -> None:
    given = {site.get(f"/poll/{poll}").headers["Set-Cookie"].split(";")[0] for _ in range(10)}

    assert len(given) == 10
    for path in ("/", f"/poll/{poll}/results"):
        assert "Set-Cookie" not in site.get(path).headers


def test_hosts_do_not_share_what_is_kept(site: Site, poll: int) -> None:
    for host in ("one.example", "two.example", "one.example"):
        assert site.get(f"/poll/{poll}/results", host=host).status == 200

    kept = sorted(line["cache"] for line in logged(site, f"/poll/{poll}/results"))
    assert kept == ["HIT", "MISS", "MISS"]


# ---- when things fail


def test_when_polls_is_away_nginx_says_so_in_our_words(site: Site, poll: int) -> None:
    kept = site.get(f"/poll/{poll}/results")
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
        assert (stale.status, stale.text) == (200, kept.text)
        assert site.get("/unavailable/vote.en.html").status == 404
    finally:
        site.supervisorctl("start", "polls:*")
    assert eventually(lambda: all(map(serves, SOCKETS)))
    assert eventually(lambda: site.get(f"/poll/{poll}").status == 200)


def test_the_pages_for_then_are_what_the_catalogues_say() -> None:
    assert {
        file.name: file.read_text("utf-8") for file in unavailable_pages.FOLDER.iterdir()
    } == unavailable_pages.pages()


def process(site: Site, path: Path) -> int:
    return int(site.supervisorctl("pid", f"polls:{path.stem}"))


def test_each_process_is_killed_under_load_and_no_voter_with_a_cookie_notices(site: Site, poll: int) -> None:
    pages = ["/", f"/poll/{poll}", f"/poll/{poll}/results"]
    polls = {poll: site.choices(poll)}
    with (
        Watchers([site.url], 40, poll=poll) as watchers,
        Readers(site.url, pages) as readers,
        Crowd([site.url], polls) as known,
        Crowd([site.url], polls, known=False, persistent=False, at_once=8) as strangers,
    ):
        for path in SOCKETS:
            time.sleep(0.5)
            before = process(site, path)
            kill(before)
            assert eventually(lambda path=path, before=before: process(site, path) not in {0, before})
            assert eventually(lambda path=path: serves(path))
    # Who was being answered by the process that was killed, and can't be asked again, is told so: nobody else.
    assert set(known.answers) == {303}, known.answers
    assert set(readers.answers) == {200}, readers.answers
    assert set(strangers.answers) <= {303, 502}, strangers.answers
    assert strangers.answers[502] <= len(SOCKETS) * 8
    assert known.slowest < TOO_LONG
    assert watchers.reconnects >= 40
    site.expect_exact(poll, known, strangers)


def test_a_rolling_restart_under_load_while_a_newer_version_migrates_fails_nobody(site: Site, poll: int) -> None:
    """Processes of this version go on, and start, over a database that a newer one has taken a step further."""
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
        Crowd([site.url], polls, known=False, persistent=False, at_once=8) as strangers,
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
    assert set(strangers.answers) <= {303, 502}, strangers.answers
    assert strangers.answers[502] <= strangers.answers.total() / 100
    assert known.slowest < TOO_LONG
    assert set(watchers.closings) <= {1001}, watchers.closings
    assert watchers.reconnects >= 40
    site.expect_exact(poll, known, strangers)
    for number in range(1, 5):
        log = (site.folder / f"var/polls_{number}.log").read_text()
        assert "a newer version of polls has applied 9999_newer to the database; going on" in log


# ---- TLS, and other users


def test_with_a_certificate_it_speaks_https_and_sends_others_there(site: Site) -> None:
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

        def speaks() -> bool:
            try:
                with socket.create_connection(("127.0.0.1", TLS_PORT)):
                    return True
            except OSError:
                return False

        assert eventually(speaks)
        connection = http.client.HTTPSConnection("127.0.0.1", TLS_PORT, context=trusted, timeout=30)
        secure = site.request("GET", "/poll/1", over=connection)
        assert connection.sock.version() in {"TLSv1.2", "TLSv1.3"}  # type: ignore[attr-defined]
        static = site.request("GET", "/static/css/base.css", over=connection)
        kept = [site.request("GET", "/", over=connection) for _ in range(2)]
        connection.close()
        assert secure.status == 200
        assert secure.headers["Set-Cookie"].endswith("; Secure")
        for answer in (secure, static, *kept):
            assert answer.headers.get_all("Strict-Transport-Security") == ["max-age=31536000"]
        # Workers of before the reload may take a few connections more.
        assert eventually(lambda: site.request("POST", "/poll/1/vote", "choice=0").status == 308)
        redirect = site.get("/poll/1/vote")
        assert redirect.headers["Location"] == "https://127.0.0.1/poll/1/vote"
        assert "Strict-Transport-Security" not in redirect.headers
    finally:
        file.write_text(shipped)
        signal_nginx(site, "-s", "reload")
    assert eventually(lambda: site.get("/").status == 200)


def test_an_ordinary_user_runs_it_too(site: Site) -> None:
    nobody = {"user": "nobody", "group": "nogroup", "extra_groups": ()} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="polls-") as name:
        folder = Path(name)
        (folder / "var").mkdir()
        (folder / "var").chmod(0o777)
        folder.chmod(0o755)
        for each in ("config", "static"):
            (folder / each).symlink_to(site.folder / each)

        done = subprocess.run(
            ["nginx", "-t", "-p", f"{folder}/", "-c", "config/nginx.conf"],
            env=site.environ,
            capture_output=True,
            text=True,
            check=False,
            **nobody,  # type: ignore[call-overload]
        )

    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "[warn]" in line or "[alert]" in line] == []


def signal_nginx(site: Site, *words: str) -> None:
    done = subprocess.run(
        ["nginx", "-p", f"{site.folder}/", "-c", "config/nginx.conf", *words],
        cwd=site.folder,
        env=site.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
