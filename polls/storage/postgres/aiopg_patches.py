"""Patches of aiopg, each with its reason."""

import os
from collections.abc import Sequence

import aiopg
import aiopg.connection
import aiopg.sa


class _OpenFiles:
    """Stands for the module `select` in aiopg, which asks it whether a connection that has failed is still open.

    The real select() knows no file number past 1,023, and raises. With that many watchers, a connection that was lost
    would be watched for ever, until a visitor's gets its number.
    """

    @staticmethod
    def select(files: Sequence[int], *_: object) -> None:
        """Raise OSError where the first of `files` is closed."""
        os.fstat(files[0])


class _ClosedOnce(aiopg.Connection):
    """A connection that forgets its file's number with its file.

    Closed a second time, aiopg's own would have the loop look no more after that number, whoever has it by then.
    """

    def _close(self) -> None:
        super()._close()
        self._fileno = None
