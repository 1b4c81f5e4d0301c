from collections.abc import Callable
from pathlib import Path

import pytest

from polls.config.loader import find_file, load
from polls.config.settings import Config, Creating, Postgres
from polls.config.yaml_file import InvalidFile

Write = Callable[[str], Path]


@pytest.fixture
def write(folder: Path) -> Write:
    def write(text: str) -> Path:
        file = folder / "my.yaml"
        file.write_text(text, encoding="utf-8")
        return Path(file.name)

    return write


def errors(file: Path) -> list[str]:
    with pytest.raises(InvalidFile) as caught:
        load(file)
    return str(caught.value).splitlines()


def test_only_postgres_is_required(write: Write) -> None:
    assert load(write("postgres: {}")) == Config(postgres=Postgres())


def test_the_shipped_file_shows_the_defaults_and_lets_anyone_ask() -> None:
    shipped = load(Path("config/polls.yaml"))

    postgres = Postgres(embedded=Path("var/postgres"), database="polls")
    assert shipped == Config(postgres=postgres, creating=Creating(who="anyone"))


def test_only_admins_may_ask_in_production() -> None:
    assert not load(Path("config/production.yaml")).creating.is_open


def test_all_errors_are_reported_at_once_with_file_line_and_key(write: Write) -> None:
    file = write(
        """\
host: 1
port: "8080"
prt: 8080
postgres:
  embedded: var/postgres
  host: db.example.org
  minsize: 7
  maxsize: 3
  sslmode: sometimes
  minsiz: 2
site: {name: "", url: "polls.example.org"}
prefix: polls
trusted_proxies: -1
log: []
templates: nowhere
""",
    )

    assert errors(file) == [
        "my.yaml:1: host: value is not text; put it between quotes",
        "my.yaml:2: port: value is not a whole number",
        "my.yaml:3: prt: unknown key; did you mean port?",
        "my.yaml:6: postgres.host: can't be combined with embedded: a private server needs no address",
        "my.yaml:7: postgres.minsize: value can't be greater than maxsize",
        "my.yaml:9: postgres.sslmode: value is not one of disable, allow, prefer, require, verify-ca, verify-full",
        "my.yaml:10: postgres.minsiz: unknown key; did you mean minsize?",
        "my.yaml:11: site.name: blank value is not allowed",
        "my.yaml:11: site.url: value is not a URL like https://polls.example.org",
        "my.yaml:12: prefix: value is not the beginning of a path, like /polls",
        "my.yaml:13: trusted_proxies: value is less than 0",
        "my.yaml:14: log: needs a mapping of keys to values",
        "my.yaml:15: templates: folder nowhere does not exist",
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "my.yaml:1: the file is empty; it needs at least postgres:"),
        ("port: 80", "my.yaml:1: postgres: is required"),
        ("- postgres", "my.yaml:1: needs a mapping of keys to values"),
        ("postgres:", "my.yaml:1: postgres: needs a mapping of keys to values"),
        ("postgres: {", "my.yaml:1: this is not YAML: expected the node content, but found '<stream end>'"),
        ("postgres: {}\nport: 1\nport: 2", "my.yaml:3: port: already set on line 2"),
        ("postgres: {}\nsite: {name: 2026-13-45}", "my.yaml:2: this is not YAML: invalid timestamp: 2026-13-45"),
        ("postgres: {}\nx: {<<: {a: 1}}", "my.yaml:2: this is not YAML: merges (<<) are not supported"),
        ('postgres: {}\nhost: "\\0"', "my.yaml:2: host: value contains an invalid character (NUL or a lone surrogate)"),
        (
            'postgres: {}\nhost: "\\ud800"',
            "my.yaml:2: host: value contains an invalid character (NUL or a lone surrogate)",
        ),
        ("postgres: {}\nport: " + "9" * 5000, "my.yaml:2: this is not YAML: invalid int: " + "9" * 5000),
        ("postgres: {}\ntemplates: " + "x" * 5000, "my.yaml:2: templates: folder " + "x" * 100 + " does not exist"),
        ("postgres: {}\nport: !!int x", "my.yaml:2: this is not YAML: invalid int: x"),
        ("postgres: {}\nport: !!bool x", "my.yaml:2: this is not YAML: invalid bool: x"),
        ("postgres: " + "[" * 5000, "my.yaml:1: values are nested too deeply"),
        (
            "postgres: {}\nsite: {url: 'https://polls.example.org/votes'}",
            "my.yaml:2: site.url: value is not a URL like https://polls.example.org",
        ),
        ("postgres: {}\nport: true", "my.yaml:2: port: value is not a whole number"),
        ("postgres: {}\nport: 70000", "my.yaml:2: port: value is greater than 65535"),
        (
            "postgres: {maxsize: 3}",
            "my.yaml:1: postgres.maxsize: value can't be less than minsize, which is 5 by default",
        ),
        ("postgres: {}\n1: 2", "my.yaml:2: 1: unknown key"),
        ("postgres: {host: 1}", "my.yaml:1: postgres.host: value is not text; put it between quotes"),
        ("postgres: {host: []}", "my.yaml:1: postgres.host: list length is less than 1"),
        ("postgres: {host: [db1, 2]}", "my.yaml:1: postgres.host.1: value is not text; put it between quotes"),
        *(
            (
                f"postgres:\n  host: [db1, '{host}']",
                "my.yaml:2: postgres.host.1: value is not a host like db.example.org or db.example.org:5432",
            )
            for host in ("db1,db2", "db2:", "db2:x", "db2:0", "db2:70000", "[db2]:5432", "[::1]:", "[::1", "/run,/tmp")
        ),
        (
            "postgres: {}\nsite: {url: 'https://host:port'}",
            "my.yaml:2: site.url: value is not a URL like https://polls.example.org",
        ),
        (
            "postgres: {}\nmetrics: {port: 9101, path: metrics.sock}",
            "my.yaml:2: metrics.path: can't be combined with port: metrics are served in one place",
        ),
        ("postgres: {}\nmetrics: {pat: x}", "my.yaml:2: metrics.pat: unknown key; did you mean path?"),
        ("postgres: {}\ncreating: {who: all}", "my.yaml:2: creating.who: value is not one of admins, password, anyone"),
        ("postgres: {}\ncreating:\n  who: password", "my.yaml:2: creating.password: is required with who: password"),
        ("postgres: {}\ncreating: {refused_words: spam}", "my.yaml:2: creating.refused_words: value is not a list"),
        ("postgres: {}\ncreating: {per_hour: 0}", "my.yaml:2: creating.per_hour: value is less than 1"),
        ("postgres: {}\nlog: {format: xml}", "my.yaml:2: log.format: value is not one of text, json"),
        (
            "postgres: !!os.system x",
            "my.yaml:1: this is not YAML: could not determine a constructor for the tag 'tag:yaml.org,2002:os.system'",
        ),
        (
            "postgres: \0",
            "my.yaml:1: this is not YAML: unacceptable character #x0000: special characters are not allowed",
        ),
        ("? [postgres]\n: {}", "my.yaml:1: this is not YAML: found unhashable key"),
    ],
)
def test_an_error_is_reported_with_its_line(write: Write, text: str, error: str) -> None:
    assert errors(write(text)) == [error]


def test_a_repeated_key_is_reported_with_all_other_errors(write: Write) -> None:
    assert errors(write("postgres: {}\nport: 1\nport: 2\nprot: 3")) == [
        "my.yaml:3: port: already set on line 2",
        "my.yaml:4: prot: unknown key; did you mean port?",
    ]


def test_a_missing_file_is_an_error(folder: Path) -> None:  # noqa: ARG001
    assert errors(Path("missing.yaml")) == ["missing.yaml:1: can't read this file: No such file or directory"]


def test_a_folder_is_an_error(folder: Path) -> None:
    assert errors(folder) == [f"{folder}:1: can't read this file: Is a directory"]


def test_a_file_that_is_not_utf8_is_an_error(folder: Path) -> None:
    (folder / "my.yaml").write_bytes(b"postgres: \xff\xfe")

    assert errors(Path("my.yaml")) == ["my.yaml:1: this file is not UTF-8 text"]


def test_a_trailing_slash_is_removed_from_the_public_url(write: Write) -> None:
    assert (
        load(write("postgres: {}\nsite: {url: 'https://polls.example.org/'}")).site.url == "https://polls.example.org"
    )


@pytest.mark.parametrize(("written", "prefix"), [("null", ""), ("/", ""), ("/polls/", "/polls"), ("/a/b", "/a/b")])
def test_a_trailing_slash_is_removed_from_a_prefix(write: Write, written: str, prefix: str) -> None:
    assert load(write(f"postgres: {{}}\nprefix: {written}")).prefix == prefix


@pytest.mark.parametrize("written", ["polls", "//polls", "/a b", "/{a}", "/a?b", '"/é"'])
def test_a_prefix_that_needs_percent_encoding_is_an_error(write: Write, written: str) -> None:
    assert "prefix" in errors(write(f"postgres: {{}}\nprefix: {written}"))[0]


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("db.example.org", "db.example.org", 6432),
        ("db.example.org:5433", "db.example.org", 5433),
        ("192.0.2.1:5433", "192.0.2.1", 5433),
        ("'2001:db8::1'", "2001:db8::1", 6432),
        ("'[2001:db8::1]'", "2001:db8::1", 6432),
        ("'[2001:db8::1]:5433'", "2001:db8::1", 5433),
        ("/run/postgresql", "/run/postgresql", 6432),
        ("/run/a:b/c", "/run/a:b/c", 6432),
    ],
)
def test_a_host_may_be_followed_by_its_port(write: Write, text: str, host: str, port: int) -> None:
    postgres = load(write(f"postgres: {{host: {text}, port: 6432}}")).postgres

    assert [(each.host, each.port) for each in postgres.hosts] == [(host, port)]


def test_several_hosts_share_all_other_settings(write: Write) -> None:
    postgres = load(write("postgres: {host: [db1, 'db2:5433'], port: 6432, user: polls}")).postgres

    assert postgres.hosts == [
        Postgres(host="db1", port=6432, user="polls"),
        Postgres(host="db2", port=5433, user="polls"),
    ]
    assert Postgres().hosts == [Postgres()]


def test_the_words_that_a_poll_may_not_contain_are_a_list(write: Write) -> None:
    file = write("postgres: {}\ncreating: {who: password, password: tulip, refused_words: [spam, 垃圾]}")

    assert load(file).creating == Creating(who="password", password="tulip", refused_words=("spam", "垃圾"))


def test_the_password_is_not_in_the_repr_of_the_settings(write: Write) -> None:
    assert "s3cret" not in repr(load(write("postgres: {password: s3cret}")))


def test_the_file_is_the_named_one_then_the_environments_then_the_local_one_then_the_shipped_one(folder: Path) -> None:
    environ = {"POLLS_CONFIG": "environment.yaml"}

    assert find_file("named.yaml", environ) == Path("named.yaml")
    assert find_file("", environ) == Path()
    assert find_file(None, environ) == Path("environment.yaml")
    assert find_file(None, {}).is_file()
    assert find_file(None, {}) != Path("config/polls.yaml")

    (folder / "config").mkdir()
    (folder / "config/polls.yaml").touch()
    assert find_file(None, {}) == Path("config/polls.yaml")
