"""Patches of aiopg 1.4.0, each with its reason."""

import os
from collections.abc import Sequence
from typing import Any

import aiopg
import aiopg.connection


def apply() -> None:
    """Install the patches in aiopg; applying them again changes nothing."""
    aiopg.connection.select = _DescriptorCheck  # type: ignore[attr-defined, assignment]
    aiopg.connection.Connection = _SafelyClosedConnection  # type: ignore[misc]


class _DescriptorCheck:
    """A replacement for the module `select` in aiopg/connection.py.

    `Connection._ready` calls select.select() to test whether the descriptor of a failed connection is still open.
    select() raises ValueError for descriptors over 1,023, which a process with many WebSockets has; the descriptor then
    stays registered in the event loop and is later reused for a client's connection.
    https://github.com/aio-libs/aiopg/pull/668 (open)
    """

    @staticmethod
    def select(descriptors: Sequence[int], *_: object) -> None:
        """Raise OSError if the first of `descriptors` is closed."""
        os.fstat(descriptors[0])


class _SafelyClosedConnection(aiopg.Connection):
    """A connection that is closed if it can't be registered, and unregisters its descriptor only once.

    `Connection.__init__` leaves the connection open if the event loop refuses its descriptor.

    `Connection._close` in aiopg/connection.py does it at each call: a second call would unregister another connection
    that has got the same descriptor meanwhile. https://github.com/aio-libs/aiopg/issues/138 was the same fault after a
    failed connection, the only case that was fixed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        try:
            super().__init__(*args, **kwargs)
        except BaseException:
            if hasattr(self, "_conn"):
                self._conn.close()
            raise

    def _close(self) -> None:
        super()._close()
        self._fileno = None
