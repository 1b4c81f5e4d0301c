"""The error of a command that fails."""


class CommandFailed(Exception):
    """A command can't be carried out; the message says why and what to do, in one line."""
