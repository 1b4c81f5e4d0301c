from collections.abc import Callable
from pathlib import Path

import pytest

from polls.config.loader import ConfigError, find, load
from polls.config.settings import Config, Postgres

Write = Callable[[str], Path]


@pytest.fixture
def write(folder: Path) -> Write:
    def write(text: str) -> Path:
        file = folder / "my.yaml"
        file.write_text(text, encoding="utf-8")
        return Path(file.name)

    return write


def faults(file: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file)
    return str(caught.value).splitlines()


def test_only_postgres_is_required(write: Write) -> None:
    assert load(write("postgres: {}")) == Config(postgres=Postgres())


def test_the_shipped_file_shows_the_defaults() -> None:
    shipped = load(Path("config/polls.yaml"))

    assert shipped == Config(postgres=Postgres(embedded=Path("var/postgres"), database="polls"))


def test_every_fault_is_told_at_once_with_file_line_and_key(write: Write) -> None:
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

    assert faults(file) == [
        "my.yaml:1: host: value is not text; put it between quotes",
        "my.yaml:2: port: value is not a whole number",
        "my.yaml:3: prt: unknown key; did you mean port?",
        "my.yaml:6: postgres.host: can't stand beside embedded: a private server needs no address",
        "my.yaml:7: postgres.minsize: value can't be greater than maxsize",
        "my.yaml:9: postgres.sslmode: value is none of disable, allow, prefer, require, verify-ca, verify-full",
        "my.yaml:10: postgres.minsiz: unknown key; did you mean minsize?",
        "my.yaml:11: site.name: blank value is not allowed",
        "my.yaml:11: site.url: value is not an address like https://polls.example.org",
        "my.yaml:12: prefix: value is not the beginning of a path, like /polls",
        "my.yaml:13: trusted_proxies: value is less than 0",
        "my.yaml:14: log: needs keys of its own below it",
        "my.yaml:15: templates: there is no folder nowhere",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "my.yaml:1: the file is empty; it needs at least postgres:"),
        ("port: 80", "my.yaml:1: postgres: is required"),
        ("- postgres", "my.yaml:1: needs keys of its own below it"),
        ("postgres:", "my.yaml:1: postgres: needs keys of its own below it"),
        ("postgres: {", "my.yaml:1: this is not YAML: expected the node content, but found '<stream end>'"),
        ("postgres: {}\nport: 1\nport: 2", "my.yaml:3: port: stands on line 2 already"),
        ("postgres: {}\nsite: {name: 2026-13-45}", "my.yaml:2: this is not YAML: no timestamp: 2026-13-45"),
        ("postgres: {}\nx: {<<: {a: 1}}", "my.yaml:2: this is not YAML: merges (<<) are not for settings"),
        ('postgres: {}\nhost: "\\0"', "my.yaml:2: host: value has a character that is none"),
        ('postgres: {}\nhost: "\\ud800"', "my.yaml:2: host: value has a character that is none"),
        ("postgres: {}\nport: " + "9" * 5000, "my.yaml:2: this is not YAML: no int: " + "9" * 5000),
        ("postgres: {}\ntemplates: " + "x" * 5000, "my.yaml:2: templates: there is no folder " + "x" * 100),
        ("postgres: {}\nport: !!int x", "my.yaml:2: this is not YAML: no int: x"),
        ("postgres: {}\nport: !!bool x", "my.yaml:2: this is not YAML: no bool: x"),
        ("postgres: " + "[" * 5000, "my.yaml:1: this is nested subperiods than any settings are"),
        (
            "postgres: {}\nsite: {url: 'https://polls.example.org/votes'}",
            "my.yaml:2: site.url: value is not an address like https://polls.example.org",
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
                "my.yaml:2: postgres.host.1: value is no host like db.example.org or db.example.org:5432",
            )
            for host in ("db1,db2", "db2:", "db2:x", "db2:0", "db2:70000", "[db2]:5432", "[::1]:", "[::1", "/run,/tmp")
        ),
        (
            "postgres: {}\nsite: {url: 'https://host:port'}",
            "my.yaml:2: site.url: value is not an address like https://polls.example.org",
        ),
        (
            "postgres: {}\nmetrics: {port: 9101, path: metrics.sock}",
            "my.yaml:2: metrics.path: can't stand beside port: metrics are told in one place",
        ),
        ("postgres: {}\nmetrics: {pat: x}", "my.yaml:2: metrics.pat: unknown key; did you mean path?"),
        ("postgres: {}\nlog: {format: xml}", "my.yaml:2: log.format: value is none of text, json"),
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
def test_a_mistake_is_told_where_it_stands(write: Write, text: str, fault: str) -> None:
    assert faults(write(text)) == [fault]


def test_a_repeated_key_hides_no_other_fault(write: Write) -> None:
    assert faults(write("postgres: {}\nport: 1\nport: 2\nprot: 3")) == [
        "my.yaml:3: port: stands on line 2 already",
        "my.yaml:4: prot: unknown key; did you mean port?",
    ]


def test_a_file_that_is_not_there_is_a_fault(folder: Path) -> None:  # noqa: ARG001
    assert faults(Path("gone.yaml")) == ["gone.yaml:1: can't read this file: No such file or directory"]


def test_a_folder_is_no_configuration(folder: Path) -> None:
    assert faults(folder) == [f"{folder}:1: can't read this file: Is a directory"]


def test_a_file_that_is_not_utf8_is_a_fault(folder: Path) -> None:
    (folder / "my.yaml").write_bytes(b"postgres: \xff\xfe")

    assert faults(Path("my.yaml")) == ["my.yaml:1: this file is not UTF-8 text"]


def test_the_command_line_stands_above_the_file(write: Write) -> None:
    loaded = load(write("postgres: {}\nport: 1"), port=2, path=Path("polls.sock"))

    assert (loaded.port, loaded.path) == (2, Path("polls.sock"))


def test_a_public_address_loses_its_last_slash(write: Write) -> None:
    assert (
        load(write("postgres: {}\nsite: {url: 'https://polls.example.org/'}")).site.url == "https://polls.example.org"
    )


@pytest.mark.parametrize(("written", "prefix"), [("null", ""), ("/", ""), ("/polls/", "/polls"), ("/a/b", "/a/b")])
def test_a_prefix_loses_its_last_slash(write: Write, written: str, prefix: str) -> None:
    assert load(write(f"postgres: {{}}\nprefix: {written}")).prefix == prefix


@pytest.mark.parametrize("written", ["polls", "//polls", "/a b", "/{a}", "/a?b", '"/é"'])
def test_what_needs_quoting_is_no_prefix(write: Write, written: str) -> None:
    assert "prefix" in faults(write(f"postgres: {{}}\nprefix: {written}"))[0]


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
def test_a_host_may_have_its_port_behind_it(write: Write, text: str, host: str, port: int) -> None:
    postgres = load(write(f"postgres: {{host: {text}, port: 6432}}")).postgres

    assert [(each.host, each.port) for each in postgres.hosts] == [(host, port)]


def test_several_hosts_have_everything_else_in_common(write: Write) -> None:
    postgres = load(write("postgres: {host: [db1, 'db2:5433'], port: 6432, user: polls}")).postgres

    assert postgres.hosts == [
        Postgres(host="db1", port=6432, user="polls"),
        Postgres(host="db2", port=5433, user="polls"),
    ]
    assert Postgres().hosts == [Postgres()]


def test_a_password_is_not_shown_with_the_settings(write: Write) -> None:
    assert "s3cret" not in repr(load(write("postgres: {password: s3cret}")))


def test_the_configuration_is_the_named_file_then_the_environments_then_the_one_here_then_ours(folder: Path) -> None:
    environ = {"POLLS_CONFIG": "environment.yaml"}

    assert find("named.yaml", environ) == Path("named.yaml")
    assert find("", environ) == Path()
    assert find(None, environ) == Path("environment.yaml")
    assert find(None, {}).is_file()
    assert find(None, {}) != Path("config/polls.yaml")

    (folder / "config").mkdir()
    (folder / "config/polls.yaml").touch()
    assert find(None, {}) == Path("config/polls.yaml")
