"""Findings of the checks: a verdict, its subject and a text for operators."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from polls.config.settings import Postgres
from polls.storage.postgres.connect import Connection


class Verdict(StrEnum):
    """The severity of a finding: a fault needs action, a note may matter to operators."""

    OK = "ok"
    NOTE = "note"
    FAULT = "fault"


class Finding(NamedTuple):
    """A result of checking `subject`. The text of a fault says what to do."""

    verdict: Verdict
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.verdict:<6}{self.subject}: {self.text}"


CheckResults: TypeAlias = Iterator[tuple[Verdict, str]]
Check: TypeAlias = Callable[[Connection, Postgres], CheckResults]


def ok(text: str) -> tuple[Verdict, str]:
    """Return a result without a problem."""
    return Verdict.OK, text


def note(text: str) -> tuple[Verdict, str]:
    """Return a result that may matter to operators."""
    return Verdict.NOTE, text


def fault(*sentences: str) -> tuple[Verdict, str]:
    """Return a fault: what is wrong, and what to do."""
    return Verdict.FAULT, " ".join(sentences)
