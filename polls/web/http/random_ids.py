"""Random ids, which are unique and can't be guessed."""

import os

_BATCH_SIZE = 500  # ids for each system call


class RandomIds:
    """A generator of random ids with `digits` hexadecimal digits of 4 bits each."""

    def __init__(self, digits: int) -> None:
        self._digits = digits
        self._batch: list[str] = []
        os.register_at_fork(after_in_child=self._batch.clear)  # the parent returns the rest of this batch

    def new(self) -> str:
        """Return an id that was never returned before."""
        if not self._batch:
            digits = os.urandom(_BATCH_SIZE * self._digits // 2).hex()
            self._batch.extend(digits[start : start + self._digits] for start in range(0, len(digits), self._digits))
        return self._batch.pop()
