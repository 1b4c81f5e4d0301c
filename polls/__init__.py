"""polls: put a question to a crowd, collect the votes, see where it stands."""

__version__ = "0.1.0"
