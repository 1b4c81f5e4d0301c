"""The trafaret schema of the configuration file."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import trafaret as t

from polls.config.settings import HOST_AND_PORT, Config, Postgres

# {name: dataclass} of the settings that are groups of settings
SECTIONS: dict[str, Any] = {name: section for name, section in get_type_hints(Config).items() if is_dataclass(section)}


def _whole_number(value: object) -> object:
    # trafaret's own Int accepts "80" and true.
    return value if type(value) is int else t.DataError("value is not a whole number", value=value)


def _between(minimum: int, maximum: int) -> t.Trafaret:
    return t.Call(_whole_number) & t.Int(gte=minimum, lte=maximum)


def _one_of(*words: str) -> t.Trafaret:
    def check(value: object) -> object:
        return value if value in words else t.DataError(f"value is not one of {', '.join(words)}", value=value)

    return t.Call(check)


def _public_url(value: str) -> object:
    try:
        parts = urlsplit(value)
        # urlsplit raises for a port that is not a number only when `port` is read.
        is_valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        is_valid = None
    if not is_valid or parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        return t.DataError("value is not a URL like https://polls.example.org", value=value)
    return value.rstrip("/")


def _prefix(value: str) -> object:
    # Only characters that need no percent-encoding in a path (RFC 3986), so that each path has one spelling.
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", value):
        return t.DataError("value is not the beginning of a path, like /polls", value=value)
    return value.rstrip("/")


def _time_zone(value: str) -> object:
    try:
        return ZoneInfo(value).key
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return t.DataError("value is not a time zone like Europe/Berlin", value=value)


def _host(value: str) -> object:
    parts = HOST_AND_PORT.fullmatch(value)
    if parts:
        is_valid = 0 < int(parts["port"] or 1) < 65536
    else:
        is_valid = value.startswith("/") or (value.count(":") > 1 and "[" not in value)  # IPv6 without a port
    # libpq would split the value at a comma, and wait without a limit for a host that doesn't respond.
    if not is_valid or "," in value:
        return t.DataError("value is not a host like db.example.org or db.example.org:5432", value=value)
    return value


def _host_or_hosts(value: object) -> object:
    if isinstance(value, list):
        return tuple(_HOSTS.check(value))
    return _HOST.check(value)


def _folder(value: str) -> object:
    try:
        exists = Path(value).is_dir()
    except OSError:  # the path is too long
        exists = False
    return Path(value) if exists else t.DataError(f"folder {value[:100]} does not exist", value=value)


def _text_file(value: str) -> object:
    """Check that the file can be read, so that the start doesn't fail for it later."""
    try:
        Path(value).read_text("utf-8")
    except OSError as error:
        return t.DataError(f"can't read file {value[:100]}: {error.strerror}", value=value)
    except UnicodeDecodeError:
        return t.DataError(f"file {value[:100]} is not UTF-8 text", value=value)
    return Path(value)


def _valid_text(value: str) -> object:
    """Reject NUL and lone surrogates: neither can be in a path, a URL or a page."""
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        return t.DataError("value contains an invalid character (NUL or a lone surrogate)", value=value)
    return value


def _optional(check: t.Trafaret) -> t.Trafaret:
    return t.Null() | check


def _mapping(*keys: Callable[..., object], **checks: t.Trafaret) -> t.Dict:
    """Return the schema of a mapping with optional keys, each with its check, and other `keys` of trafaret."""
    return t.Dict({t.Key(name, optional=True): check for name, check in checks.items()}, *keys)


def _check_creating(creating: Mapping[str, object]) -> Iterator[tuple[str, object, tuple[str, ...]]]:
    """Yield the errors that concern several keys of `creating`."""
    if creating.get("who") == "password" and creating.get("password") is None:
        yield "password", t.DataError("is required with who: password"), ()


def _check_metrics(metrics: Mapping[str, object]) -> Iterator[tuple[str, object, tuple[str, ...]]]:
    """Yield the errors that concern several keys of `metrics`."""
    if metrics.get("port") is not None and metrics.get("path") is not None:
        yield "path", t.DataError("can't be combined with port: metrics are served in one place"), ()


def _check_postgres(postgres: Mapping[str, object]) -> Iterator[tuple[str, object, tuple[str, ...]]]:
    """Yield the errors that concern several keys of `postgres`.

    It is passed to trafaret's Dict as a `key`, so that its errors are reported together with all others.
    """
    if postgres.get("embedded") is not None:
        for key in _SERVER_KEYS:
            if postgres.get(key) is not None:
                yield key, t.DataError("can't be combined with embedded: a private server needs no address"), ()
    minsize, maxsize = (postgres.get(key, getattr(Postgres(), key)) for key in ("minsize", "maxsize"))
    if type(minsize) is int and type(maxsize) is int and minsize > maxsize:
        if "minsize" in postgres:
            yield "minsize", t.DataError("value can't be greater than maxsize"), ()
        else:
            yield "maxsize", t.DataError(f"value can't be less than minsize, which is {minsize} by default"), ()


_SERVER_KEYS = ("host", "port", "user", "password", "passfile", "sslmode", "sslrootcert", "sslcert", "sslkey")
_TEXT = t.String() & t.Call(_valid_text)
_OPTIONAL_TEXT = _optional(_TEXT)
_HOST = _TEXT & t.Call(_host)
_HOSTS = t.List(_HOST, min_length=1)
_POSTGRES = _mapping(
    _check_postgres,
    embedded=_optional(_TEXT & Path),
    host=_optional(t.Call(_host_or_hosts)),
    port=_optional(_between(1, 65535)),
    user=_OPTIONAL_TEXT,
    password=_OPTIONAL_TEXT,
    passfile=_OPTIONAL_TEXT,
    sslmode=_optional(_one_of("disable", "allow", "prefer", "require", "verify-ca", "verify-full")),
    sslrootcert=_OPTIONAL_TEXT,
    sslcert=_OPTIONAL_TEXT,
    sslkey=_OPTIONAL_TEXT,
    database=_OPTIONAL_TEXT,
    minsize=_between(1, 1000),
    maxsize=_between(1, 1000),
    migrate=t.Bool(),
)
_SITE = _mapping(
    name=_TEXT,
    admin_title=_OPTIONAL_TEXT,
    url=_optional(_TEXT & t.Call(_public_url)),
    time_zone=_TEXT & t.Call(_time_zone),
    privacy=_optional(_TEXT & t.Call(_text_file)),
    imprint=_optional(_TEXT & t.Call(_text_file)),
)
_CREATING = _mapping(
    _check_creating,
    who=_one_of("admins", "password", "anyone"),
    password=_optional(_TEXT & t.String(max_length=100)),
    per_hour=_between(1, 10_000),
    per_hour_in_all=_between(1, 100_000),
    refused_words=t.List(_TEXT, max_length=1000) & tuple,
)
_LIMITS = _mapping(
    keepalive_timeout=_between(1, 3600),
    body_timeout=_between(1, 3600),
    write_timeout=_between(1, 3600),
    max_header_bytes=_between(1024, 65536),
    connections=_optional(_between(1, 1_000_000)),
    websockets=_optional(_between(0, 1_000_000)),
)
_LOG = _mapping(
    level=_one_of("debug", "info", "warning", "error", "critical"),
    format=_one_of("text", "json"),
    access=t.Bool(),
    client_addresses=t.Bool(),
)
SETTINGS = _mapping(
    t.Key("postgres", trafaret=_POSTGRES),
    site=_SITE,
    creating=_CREATING,
    votes=_mapping(
        queue_size=_between(1, 1_000_000), timeout=_between(1, 5), rate_limit=_optional(_between(1, 10_000))
    ),
    limits=_LIMITS,
    cache=_mapping(polls=_between(1, 1_000_000)),
    log=_LOG,
    metrics=_mapping(_check_metrics, host=_TEXT, port=_optional(_between(0, 65535)), path=_optional(_TEXT & Path)),
    host=_TEXT,
    port=_between(0, 65535),
    trusted_proxies=_between(0, 10),
    prefix=t.Null() & (lambda _: "") | (_TEXT & t.Call(_prefix)),
    templates=_optional(_TEXT & t.Call(_folder)),
)
