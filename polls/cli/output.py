"""Output errors: a full disk, or a closed pipe."""

import errno
import logging
import os
import signal
import sys
from typing import TextIO

logger = logging.getLogger(__name__)


def announce(line: str) -> None:
    """Print a line, or log it: a server keeps running without standard output."""
    try:
        print(line, flush=True)
    except OSError as error:
        _discard(sys.stdout)
        logger.warning("standard output can't be written (%s): %s", error.strerror, line)


def finish() -> None:
    """Write what a command has printed and logged, so that Python needn't at its exit.

    Raises OSError if standard output can't be written; what can't be logged is lost.
    """
    if sys.stderr:
        try:
            sys.stderr.flush()
        except OSError:
            _discard(sys.stderr)
    if sys.stdout:
        sys.stdout.flush()


def status_without_output(error: OSError) -> int:
    """Report that a command can't print, and return its exit status.

    A closed pipe is no fault: `polls doctor | head -1`.
    """
    _discard(sys.stdout)
    if error.errno == errno.EPIPE:
        return 128 + signal.SIGPIPE
    print(f"polls: standard output can't be written: {error.strerror}", file=sys.stderr)
    return 1


def _discard(stream: TextIO) -> None:
    """Discard the rest of the output: Python writes it again at its exit, and would fail with status 120."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
