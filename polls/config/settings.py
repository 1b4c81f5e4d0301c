"""The settings: frozen dataclasses with their defaults."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from zoneinfo import ZoneInfo


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

    `admin_title` is what the admin's pages are called (None: the site's name and "administration"); `time_zone` is the one,
    by its name in the IANA's database, in which dates are written and read.
    """

    name: str = "Polls"
    admin_title: str | None = None
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

    `rate_limit` is how many voters may come from one network in a minute; None: as many as want to.
    """

    queue_size: int = 10_000
    timeout: int = 5
    rate_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a visitor may keep a process waiting for, in seconds, and how many may come at once to each process.

    `keepalive_timeout` is for a request to come, headers and all; `body_timeout` for the form that comes with it; `write_timeout` for its answer to
    be taken. `max_header_bytes` is how many bytes the first line of a request, and each header, may have. `connections`, and
    `websockets` among them, are None where the number of open files decides.
    """

    keepalive_timeout: int = 10
    body_timeout: int = 8
    write_timeout: int = 30
    max_header_bytes: int = 8190
    connections: int | None = None
    websockets: int | None = None


@dataclass(frozen=True, slots=True)
class Cache:
    """How many polls each process keeps in memory."""

    polls: int = 10_000


@dataclass(frozen=True, slots=True)
class Log:
    """How much is logged (`level`), in which `format` (text or json), and whether each request is.

    `client_addresses` says whether that tells their addresses.
    """

    level: str = "info"
    format: str = "text"
    access: bool = True
    client_addresses: bool = False


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where each process tells its figures: at `port` of `host`, or on a UNIX socket; without either, nowhere."""

    host: str = "127.0.0.1"
    port: int | None = None
    path: Path | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether anybody may ask for them."""
        return self.port is not None or self.path is not None


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of a running polls.

    `path` is a UNIX socket that is served instead of `host` and `port`; `trusted_proxies` is the number of trusted proxies in
    front, and `prefix` what every address of ours begins with (/polls), or nothing; `templates` is a folder whose
    templates win over ours; `development` shows tracebacks and reloads templates. `path` and `development` come from
    the command line only.
    """

    postgres: Postgres
    host: str = "127.0.0.1"
    port: int = 8080
    path: Path | None = None
    trusted_proxies: int = 0
    prefix: str = ""
    site: Site = Site()
    votes: Votes = Votes()
    limits: Limits = Limits()
    cache: Cache = Cache()
    log: Log = Log()
    metrics: Metrics = Metrics()
    templates: Path | None = None
    development: bool = False


_HOST_AND_PORT = re.compile(r"(\[(?P<address>[^\[\]]*:[^\[\]]*)\]|(?P<name>[^:\[\]]+))(:(?P<port>[0-9]{1,5}))?")
