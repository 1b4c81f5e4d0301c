"""The settings: a YAML file, checked by trafaret, becomes one frozen Config, or every fault in it at once."""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import trafaret as t
import yaml

from polls import paths

_Key = tuple[str, ...]  # where a setting stands: ("postgres", "minsize")


@dataclass(frozen=True, slots=True)
class Postgres:
    """Which PostgreSQL, and how many connections to it.

    `embedded` is the data folder of a private server, None where a server is named. `host` may be several, of which
    one takes votes; each may have its own port behind it: `db1:5433`.
    What is None is left to libpq: its environment variables, ~/.pgpass and defaults.
    """

    embedded: Path | None = None
    host: str | tuple[str, ...] | None = None
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    passfile: str | None = None
    sslmode: str | None = None
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None
    database: str | None = None
    minsize: int = 5
    maxsize: int = 5
    migrate: bool = True

    @property
    def hosts(self) -> list["Postgres"]:
        """The same settings with one host alone, for each of them, and with its own port where it has one."""
        return [self._at(host) for host in (self.host if isinstance(self.host, tuple) else [self.host])]

    def _at(self, host: str | None) -> "Postgres":
        parts = host and _HOST_AND_PORT.fullmatch(host)
        if not parts:
            return replace(self, host=host)
        return replace(self, host=parts["address"] or parts["name"], port=int(parts["port"] or 0) or self.port)


@dataclass(frozen=True, slots=True)
class Site:
    """What the site is called, and its public address (None: what each request says).

    `header` is what the admin's pages are called (None: the site's name and "administration"); `time_zone` is the one,
    by its name in the IANA's database, in which dates are written and read.
    """

    name: str = "Polls"
    header: str | None = None
    url: str | None = None
    time_zone: str = "UTC"

    @property
    def zone(self) -> ZoneInfo:
        """The rules of the time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def is_https(self) -> bool:
        """Whether the public address is known to be an encrypted one."""
        return self.url is not None and self.url.startswith("https:")


@dataclass(frozen=True, slots=True)
class Votes:
    """How many ballots may wait to be stored, in each process, and for how many seconds at most.

    `per_address` is how many voters may come from one network in a minute; None: as many as want to.
    """

    waiting: int = 10_000
    timeout: int = 5
    per_address: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a visitor may keep a process waiting for, in seconds, and how many may come at once to each process.

    `idle` is for a request to come, headers and all; `body` for the form that comes with it; `answer` for its answer to
    be taken. `header` is how many bytes the first line of a request, and each header, may have. `connections`, and
    `watchers` among them, are None where the number of open files decides.
    """

    idle: int = 10
    body: int = 8
    answer: int = 30
    header: int = 8190
    connections: int | None = None
    watchers: int | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """How many polls each process keeps in memory."""

    polls: int = 10_000


@dataclass(frozen=True, slots=True)
class Log:
    """How much is logged (`level`), in which `format` (text or json), and whether each request is.

    `visitors` says whether that tells their addresses.
    """

    level: str = "info"
    format: str = "text"
    access: bool = True
    visitors: bool = False


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where each process tells its figures: at `port` of `host`, or on a UNIX socket; without either, nowhere."""

    host: str = "127.0.0.1"
    port: int | None = None
    path: Path | None = None

    @property
    def are_told(self) -> bool:
        """Whether anybody may ask for them."""
        return self.port is not None or self.path is not None


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of a running polls.

    `path` is a UNIX socket that is served instead of `host` and `port`; `proxied` is the number of trusted proxies in
    front, and `prefix` what every address of ours begins with (/polls), or nothing; `templates` is a folder whose
    templates win over ours; `development` shows tracebacks and reloads templates. `path` and `development` come from
    the command line only.
    """

    postgres: Postgres
    host: str = "127.0.0.1"
    port: int = 8080
    path: Path | None = None
    proxied: int = 0
    prefix: str = ""
    site: Site = Site()
    votes: Votes = Votes()
    limits: Limits = Limits()
    memory: Memory = Memory()
    log: Log = Log()
    metrics: Metrics = Metrics()
    templates: Path | None = None
    development: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a configuration file; `key` is empty where the whole file is meant."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: "
        return f"{place}{self.key}: {self.message}" if self.key else f"{place}{self.message}"


class ConfigError(Exception):
    """The configuration can't be used; `faults` tells everything that is wrong with it, in the order of its lines."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = sorted(faults, key=lambda fault: fault.line)
        super().__init__("\n".join(map(str, self.faults)))


def find(named: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The configuration file: `named`, else $POLLS_CONFIG, else config/polls.yaml here, else the one we come with."""
    if named is not None:
        return Path(named)
    if chosen := environ.get("POLLS_CONFIG"):
        return Path(chosen)
    here = Path("config/polls.yaml")
    return here if here.exists() else paths.CONFIG / "polls.yaml"


def load(file: Path, **overrides: object) -> Config:
    """Read `file`, check it and put `overrides` (fields of Config) above what it says.

    Raises ConfigError with every fault: file, line, key and what is wrong.
    """
    settings, lines, faults = _read(file)
    try:
        checked = _SETTINGS.check(settings)
    except t.DataError as error:
        faults += [
            Fault(str(file), _line(lines, key), ".".join(key), message) for key, message in _flat(error.to_struct())
        ]
    if faults:
        raise ConfigError(faults)
    config = Config(**{**checked, **{name: section(**checked[name]) for name, section in _SECTIONS.items()}})
    return replace(config, **overrides)  # type: ignore[arg-type]


def _read(file: Path) -> tuple[object, dict[_Key, int], list[Fault]]:
    """What the YAML in `file` says, on which line each of its keys stands, and which stand there more than once.

    Raises ConfigError for what can't be read at all.
    """
    try:
        loader = _Loader(file.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if node is None:
            raise ConfigError([Fault(str(file), 1, "", "the file is empty; it needs at least postgres:")])
        lines: dict[_Key, int] = {}
        repeated = []
        for key, line in _places(node):
            if key in lines:
                repeated.append(Fault(str(file), line, ".".join(key), f"stands on line {lines[key]} already"))
            lines[key] = line
        return loader.construct_document(node), lines, repeated
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError([Fault(str(file), 1, "", f"can't read this file: {reason}")]) from None
    except UnicodeDecodeError:
        raise ConfigError([Fault(str(file), 1, "", "this file is not UTF-8 text")]) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError([Fault(str(file), line, "", f"this is not YAML: {error.problem}")]) from None
    except yaml.YAMLError as error:
        raise ConfigError([Fault(str(file), 1, "", f"this is not YAML: {str(error).splitlines()[0]}")]) from None
    except RecursionError:
        raise ConfigError([Fault(str(file), 1, "", "this is nested deeper than any settings are")]) from None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which tells where a value stands that is none of its kind (a 45th of January).

    Merges (`<<`) are refused: no setting needs them, and nested ones would keep it busy for minutes.
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, "merges (<<) are not for settings", key.start_mark)
        super().flatten_mapping(node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - PyYAML's
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:
            # ValueError, KeyError, AttributeError ...: PyYAML lets through whatever the conversion raises.
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(None, None, f"no {kind}: {node.value}", node.start_mark) from error


def _places(node: yaml.Node, above: _Key = ()) -> Iterator[tuple[_Key, int]]:
    """Each key below `node` with its line. Two levels are all that settings have."""
    if isinstance(node, yaml.MappingNode) and len(above) < _DEPTH:
        for name, value in node.value:
            key = (*above, str(name.value))
            yield key, name.start_mark.line + 1
            yield from _places(value, key)


def _line(lines: Mapping[_Key, int], key: _Key) -> int:
    """The line of `key`, or of the nearest thing around it that is in the file."""
    while key and key not in lines:
        key = key[:-1]
    return lines.get(key, 1)


def _flat(error: Mapping[str, Any], above: _Key = ()) -> Iterator[tuple[_Key, str]]:
    """Each fault of a nested trafaret error: its key and what is wrong."""
    if error["code"] == "nothing_match":
        # The first alternative is always "null"; the second is the one that the reader meant.
        yield from _flat(error["nested"][1], above)
    elif "nested" in error:
        for name, nested in error["nested"].items():
            yield from _flat(nested, (*above, str(name)))
    elif error["code"] == "not_allowed":
        yield above, _unknown(above)
    elif error["code"] == "is_not_a_string":
        yield above, "value is not text; put it between quotes"
    elif error["code"] == "is_not_a_dict":
        yield above, "needs keys of its own below it"
    else:
        yield above, error["message"]


def _unknown(key: _Key) -> str:
    """Say that `key` means nothing here, and which known one looks like it."""
    owner = _SECTIONS.get(key[0], Config) if len(key) > 1 else Config
    known = {field.name for field in fields(owner)}
    if owner is Config:
        known -= {"path", "development"}
    nearest = difflib.get_close_matches(key[-1], known, n=1)
    return f"unknown key; did you mean {nearest[0]}?" if nearest else "unknown key"


def _whole_number(value: object) -> object:
    # trafaret's own Int takes "80" and true for numbers.
    return value if type(value) is int else t.DataError("value is not a whole number", value=value)


def _between(lowest: int, highest: int) -> t.Trafaret:
    return t.Call(_whole_number) & t.Int(gte=lowest, lte=highest)


def _one_of(*words: str) -> t.Trafaret:
    def check(value: object) -> object:
        return value if value in words else t.DataError(f"value is none of {', '.join(words)}", value=value)

    return t.Call(check)


def _public_address(value: str) -> object:
    try:
        parts = urlsplit(value)
        # A port that is not a number raises only when it is looked at.
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        sound = None
    if not sound or parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        return t.DataError("value is not an address like https://polls.example.org", value=value)
    return value.rstrip("/")


def _prefix(value: str) -> object:
    # The characters that an address may have without quoting (RFC 3986), so that it looks the same to everybody.
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", value):
        return t.DataError("value is not the beginning of a path, like /polls", value=value)
    return value.rstrip("/")


def _time_zone(value: str) -> object:
    try:
        return ZoneInfo(value).key
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return t.DataError("value is no time zone like Europe/Berlin", value=value)


def _host(value: str) -> object:
    parts = _HOST_AND_PORT.fullmatch(value)
    if parts:
        is_sound = 0 < int(parts["port"] or 1) < 65536
    else:
        is_sound = value.startswith("/") or (value.count(":") > 1 and "[" not in value)  # IPv6 without a port
    # A comma would be for libpq, which hangs at a host that is away.
    if not is_sound or "," in value:
        return t.DataError("value is no host like db.example.org or db.example.org:5432", value=value)
    return value


def _host_or_hosts(value: object) -> object:
    if isinstance(value, list):
        return tuple(_HOSTS.check(value))
    return _HOST.check(value)


def _folder(value: str) -> object:
    try:
        exists = Path(value).is_dir()
    except OSError:  # longer than any path
        exists = False
    return Path(value) if exists else t.DataError(f"there is no folder {value[:100]}", value=value)


def _printable(value: str) -> object:
    """No NUL, no half of a character: neither can be in a path, an address or a page."""
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        return t.DataError("value has a character that is none", value=value)
    return value


def _or_nothing(check: t.Trafaret) -> t.Trafaret:
    return t.Null() | check


def _keys(**checks: t.Trafaret) -> dict[t.Key, t.Trafaret]:
    return {t.Key(name, optional=True): check for name, check in checks.items()}


def _one_place(metrics: Mapping[str, object]) -> Iterator[tuple[str, object, tuple[str, ...]]]:
    """What no key of `metrics` shows by itself."""
    if metrics.get("port") is not None and metrics.get("path") is not None:
        yield "path", t.DataError("can't stand beside port: metrics are told in one place"), ()


def _agreement(postgres: Mapping[str, object]) -> Iterator[tuple[str, object, tuple[str, ...]]]:
    """What no key shows by itself. A `key` of trafaret's Dict, so that its faults are told along with all others."""
    if postgres.get("embedded") is not None:
        for key in _SERVER:
            if postgres.get(key) is not None:
                yield key, t.DataError("can't stand beside embedded: a private server needs no address"), ()
    minsize, maxsize = (postgres.get(key, getattr(Postgres(), key)) for key in ("minsize", "maxsize"))
    if type(minsize) is int and type(maxsize) is int and minsize > maxsize:
        if "minsize" in postgres:
            yield "minsize", t.DataError("value can't be greater than maxsize"), ()
        else:
            yield "maxsize", t.DataError(f"value can't be less than minsize, which is {minsize} by default"), ()


_DEPTH = 2
_SECTIONS: dict[str, Any] = {
    "postgres": Postgres,
    "site": Site,
    "votes": Votes,
    "limits": Limits,
    "memory": Memory,
    "log": Log,
    "metrics": Metrics,
}
_SERVER = ("host", "port", "user", "password", "passfile", "sslmode", "sslrootcert", "sslcert", "sslkey")
_TEXT = t.String() & t.Call(_printable)
_TEXT_OR_NOTHING = _or_nothing(_TEXT)
_HOST_AND_PORT = re.compile(r"(\[(?P<address>[^\[\]]*:[^\[\]]*)\]|(?P<name>[^:\[\]]+))(:(?P<port>[0-9]{1,5}))?")
_HOST = _TEXT & t.Call(_host)
_HOSTS = t.List(_HOST, min_length=1)
_POSTGRES = t.Dict(
    _keys(
        embedded=_or_nothing(_TEXT & Path),
        host=_or_nothing(t.Call(_host_or_hosts)),
        port=_or_nothing(_between(1, 65535)),
        user=_TEXT_OR_NOTHING,
        password=_TEXT_OR_NOTHING,
        passfile=_TEXT_OR_NOTHING,
        sslmode=_or_nothing(_one_of("disable", "allow", "prefer", "require", "verify-ca", "verify-full")),
        sslrootcert=_TEXT_OR_NOTHING,
        sslcert=_TEXT_OR_NOTHING,
        sslkey=_TEXT_OR_NOTHING,
        database=_TEXT_OR_NOTHING,
        minsize=_between(1, 1000),
        maxsize=_between(1, 1000),
        migrate=t.Bool(),
    ),
    _agreement,
)
_SITE = t.Dict(
    _keys(
        name=_TEXT,
        header=_TEXT_OR_NOTHING,
        url=_or_nothing(_TEXT & t.Call(_public_address)),
        time_zone=_TEXT & t.Call(_time_zone),
    )
)
_VOTES = t.Dict(
    _keys(
        waiting=_between(1, 1_000_000),
        timeout=_between(1, 5),
        per_address=_or_nothing(_between(1, 10_000)),
    )
)
_LIMITS = t.Dict(
    _keys(
        idle=_between(1, 3600),
        body=_between(1, 3600),
        answer=_between(1, 3600),
        header=_between(1024, 65536),
        connections=_or_nothing(_between(1, 1_000_000)),
        watchers=_or_nothing(_between(0, 1_000_000)),
    )
)
_MEMORY = t.Dict(_keys(polls=_between(1, 1_000_000)))
_LOG = t.Dict(
    _keys(
        level=_one_of("debug", "info", "warning", "error", "critical"),
        format=_one_of("text", "json"),
        access=t.Bool(),
        visitors=t.Bool(),
    )
)
_METRICS = t.Dict(
    _keys(host=_TEXT, port=_or_nothing(_between(0, 65535)), path=_or_nothing(_TEXT & Path)),
    _one_place,
)
_SETTINGS = t.Dict(
    {
        t.Key("postgres"): _POSTGRES,
        t.Key("site", default=dict): _SITE,
        t.Key("votes", default=dict): _VOTES,
        t.Key("limits", default=dict): _LIMITS,
        t.Key("memory", default=dict): _MEMORY,
        t.Key("log", default=dict): _LOG,
        t.Key("metrics", default=dict): _METRICS,
        **_keys(
            host=_TEXT,
            port=_between(0, 65535),
            proxied=_between(0, 10),
            prefix=t.Null() & (lambda _: "") | (_TEXT & t.Call(_prefix)),
            templates=_or_nothing(_TEXT & t.Call(_folder)),
        ),
    }
)
