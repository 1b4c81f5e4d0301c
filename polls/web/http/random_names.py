"""Names that nobody can guess, and that are never given twice."""

import os

_AT_ONCE = 500  # that are made of the system's randomness


class RandomNames:
    """Gives names of so many hexadecimal digits, each 4 random bits."""

    def __init__(self, digits: int) -> None:
        self._digits = digits
        self._ready: list[str] = []
        os.register_at_fork(after_in_child=self._ready.clear)  # what is ready is the parent's to give

    def new(self) -> str:
        """A name like no other."""
        if not self._ready:
            digits = os.urandom(_AT_ONCE * self._digits // 2).hex()
            self._ready.extend(digits[begin : begin + self._digits] for begin in range(0, len(digits), self._digits))
        return self._ready.pop()
