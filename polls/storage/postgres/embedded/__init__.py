"""The private PostgreSQL server, which processes on the same data folder share."""

from polls.storage.postgres.embedded.binaries import available_binaries, binaries_for, major_version
from polls.storage.postgres.embedded.server import PrivateServer
from polls.storage.postgres.embedded.sharing import in_use, is_new, running

__all__ = ["PrivateServer", "available_binaries", "binaries_for", "in_use", "is_new", "major_version", "running"]
