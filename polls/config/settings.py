"""The settings: frozen dataclasses with their defaults."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from zoneinfo import ZoneInfo

# A host with an optional port: `db1`, `db1:5433`, `[2001:db8::1]:5433`. An IPv6 address needs brackets to match.
HOST_AND_PORT = re.compile(r"(\[(?P<address>[^\[\]]*:[^\[\]]*)\]|(?P<name>[^:\[\]]+))(:(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Postgres:
    """The PostgreSQL server, the database, and the size of the connection pool.

    `embedded` is the data folder of a private server, or None to use an existing server. `host` may be several hosts:
    the primary is used. Each may carry its own port: `db1:5433`. `minsize` and `maxsize` are connections in each
    process. A None is left to libpq: its environment variables, ~/.pgpass and defaults.
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
        """Return the settings for each host alone, with the host's own port if it has one."""
        return [self._with_host(host) for host in (self.host if isinstance(self.host, tuple) else [self.host])]

    def _with_host(self, host: str | None) -> "Postgres":
        parts = host and HOST_AND_PORT.fullmatch(host)
        if not parts:
            return replace(self, host=host)
        return replace(self, host=parts["address"] or parts["name"], port=int(parts["port"] or 0) or self.port)


@dataclass(frozen=True, slots=True)
class Site:
    """The site's name, public URL and time zone, and the operator's texts.

    `admin_title` is the title of the admin pages (None: the site's name and "administration"). `url` is the public URL
    (None: taken from each request). `time_zone` is the IANA name of the zone in which dates are shown and entered.
    `privacy` and `imprint` are files with the texts of these pages (None: there is no such page).
    """

    name: str = "Polls"
    admin_title: str | None = None
    url: str | None = None
    time_zone: str = "UTC"
    privacy: Path | None = None
    imprint: Path | None = None

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def is_https(self) -> bool:
        """Return whether the public URL is set and uses https."""
        return self.url is not None and self.url.startswith("https:")


@dataclass(frozen=True, slots=True)
class Creating:
    """Rules for polls made by visitors, who have no account.

    `who` may make polls: `admins`, those who know the `password`, or `anyone`. Each process accepts `per_hour` polls an
    hour and network, and `per_hour_in_all` from all networks. A poll with one of the `refused_words` isn't saved.
    """

    who: str = "admins"
    password: str | None = field(default=None, repr=False)
    per_hour: int = 20
    per_hour_in_all: int = 500
    refused_words: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Return whether visitors may make polls."""
        return self.who != "admins"


@dataclass(frozen=True, slots=True)
class Votes:
    """The limits of the ballot queue of each process, and the vote rate limit.

    `queue_size` is in ballots, `timeout` in seconds. `rate_limit` is in voters a minute and network (None: no limit).
    """

    queue_size: int = 10_000
    timeout: int = 5
    rate_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The time-outs (seconds), header size (bytes) and connection limits of each process.

    `keepalive_timeout` runs until a request's headers are complete, `body_timeout` until its form is, `write_timeout`
    until the client has read the response. `max_header_bytes` applies to the request line and to each header.
    `connections`, and `websockets` among them, are derived from the limit on open files if None.
    """

    keepalive_timeout: int = 10
    body_timeout: int = 8
    write_timeout: int = 30
    max_header_bytes: int = 8190
    connections: int | None = None
    websockets: int | None = None


@dataclass(frozen=True, slots=True)
class Cache:
    """The number of polls that each process caches."""

    polls: int = 10_000


@dataclass(frozen=True, slots=True)
class Log:
    """The log's level and format (`text` or `json`), and the access log.

    `access` turns the access log on; `client_addresses` adds client IP addresses to it.
    """

    level: str = "info"
    format: str = "text"
    access: bool = True
    client_addresses: bool = False


@dataclass(frozen=True, slots=True)
class Metrics:
    """The TCP port or UNIX socket on which each process serves metrics; without either, metrics are off."""

    host: str = "127.0.0.1"
    port: int | None = None
    path: Path | None = None

    @property
    def is_enabled(self) -> bool:
        """Return whether metrics are collected and served."""
        return self.port is not None or self.path is not None


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of a process.

    `path` is a UNIX socket that replaces `host` and `port`. `trusted_proxies` is the number of reverse proxies.
    `prefix` is the beginning of every path (/polls), or empty. `templates` is a folder of templates that override the
    built-in ones. `development` shows tracebacks and reloads templates. `path` and `development` can be set only on
    the command line.
    """

    postgres: Postgres
    host: str = "127.0.0.1"
    port: int = 8080
    path: Path | None = None
    trusted_proxies: int = 0
    prefix: str = ""
    site: Site = Site()
    creating: Creating = Creating()
    votes: Votes = Votes()
    limits: Limits = Limits()
    cache: Cache = Cache()
    log: Log = Log()
    metrics: Metrics = Metrics()
    templates: Path | None = None
    development: bool = False
