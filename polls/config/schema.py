"""The trafaret schema of the configuration file."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import trafaret as t

from polls.config.settings import _HOST_AND_PORT, Cache, Limits, Log, Metrics, Postgres, Site, Votes


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


_SECTIONS: dict[str, Any] = {
    "postgres": Postgres,
    "site": Site,
    "votes": Votes,
    "limits": Limits,
    "cache": Cache,
    "log": Log,
    "metrics": Metrics,
}
_SERVER = ("host", "port", "user", "password", "passfile", "sslmode", "sslrootcert", "sslcert", "sslkey")
_TEXT = t.String() & t.Call(_printable)
_TEXT_OR_NOTHING = _or_nothing(_TEXT)
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
        admin_title=_TEXT_OR_NOTHING,
        url=_or_nothing(_TEXT & t.Call(_public_address)),
        time_zone=_TEXT & t.Call(_time_zone),
    )
)
_VOTES = t.Dict(
    _keys(
        queue_size=_between(1, 1_000_000),
        timeout=_between(1, 5),
        rate_limit=_or_nothing(_between(1, 10_000)),
    )
)
_LIMITS = t.Dict(
    _keys(
        keepalive_timeout=_between(1, 3600),
        body_timeout=_between(1, 3600),
        write_timeout=_between(1, 3600),
        max_header_bytes=_between(1024, 65536),
        connections=_or_nothing(_between(1, 1_000_000)),
        websockets=_or_nothing(_between(0, 1_000_000)),
    )
)
_CACHE = t.Dict(_keys(polls=_between(1, 1_000_000)))
_LOG = t.Dict(
    _keys(
        level=_one_of("debug", "info", "warning", "error", "critical"),
        format=_one_of("text", "json"),
        access=t.Bool(),
        client_addresses=t.Bool(),
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
        t.Key("cache", default=dict): _CACHE,
        t.Key("log", default=dict): _LOG,
        t.Key("metrics", default=dict): _METRICS,
        **_keys(
            host=_TEXT,
            port=_between(0, 65535),
            trusted_proxies=_between(0, 10),
            prefix=t.Null() & (lambda _: "") | (_TEXT & t.Call(_prefix)),
            templates=_or_nothing(_TEXT & t.Call(_folder)),
        ),
    }
)
