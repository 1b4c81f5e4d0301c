"""The private PostgreSQL server, which processes on the same data folder share."""

from polls.storage.postgres.embedded.binaries import available_binaries, major_version, program
from polls.storage.postgres.embedded.server import PrivateServer, running

__all__ = ["PrivateServer", "available_binaries", "major_version", "program", "running"]
