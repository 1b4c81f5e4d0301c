"""The command line: `main` runs one command and returns its exit status."""

import signal
import sys
from collections.abc import Sequence


class CommandFailed(Exception):
    """A command can't be carried out; the message says why and what to do, in one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in `arguments` and return its exit status.

    The status is 1 if the command fails, 2 for an invalid option or configuration.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # until aiohttp sets its own handler
    # Stop also when the terminal is closed, but not under nohup, which ignores SIGHUP.
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(arguments: Sequence[str] | None) -> int:
    # Not at the top of the file: these imports take half a second, and Ctrl-C may come meanwhile.
    from polls.cli import output  # noqa: PLC0415
    from polls.cli.parser import parse  # noqa: PLC0415
    from polls.config.yaml_file import InvalidFile  # noqa: PLC0415
    from polls.server.sockets import CannotListen  # noqa: PLC0415
    from polls.storage.backup import BackupFailed  # noqa: PLC0415
    from polls.storage.postgres.connect import UnusableDatabase  # noqa: PLC0415

    options = parse(arguments)
    try:
        status: int | None = options.run(options)
        output.finish()
    except InvalidFile as error:
        print(error, file=sys.stderr)
        return 2
    except (BackupFailed, CannotListen, CommandFailed, UnusableDatabase) as error:
        print(f"polls: {error}", file=sys.stderr)
        return 1
    except EOFError:  # of a prompt
        print("polls: no input", file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is not None:  # not of standard output
            raise
        return output.status_without_output(error)
    return status or 0
