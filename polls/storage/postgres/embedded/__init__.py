"""The private PostgreSQL server, which processes on the same data folder share."""

from polls.storage.postgres.embedded.binaries import available_binaries, major_version, program
from polls.storage.postgres.embedded.server import PrivateServer
from polls.storage.postgres.embedded.sharing import in_use, running

__all__ = ["PrivateServer", "available_binaries", "in_use", "major_version", "program", "running"]
