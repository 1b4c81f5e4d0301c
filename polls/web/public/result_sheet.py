"""A poll's results as a sheet in the reader's language, and as JSON."""

from collections.abc import Mapping
from datetime import datetime

from aiohttp import web

from polls.domain.methods import method_of
from polls.domain.poll import Poll, State
from polls.domain.tally import Figure, Tally
from polls.web.pages.languages import Language
from polls.web.pages.rendering import template_text
from polls.web.public.spreadsheets import Cell, Number, Sheet


def result_sheet(app: web.Application, poll: Poll, tally: Tally, at: datetime, language: Language) -> Sheet:
    """Return the results of `poll` as they are `at` this time, a row for each choice."""
    _ = language.gettext
    method, has_points = method_of(poll), poll.settings.most_points is not None
    votes = _("Ratings") if method.HAS_SCORES else _("Votes")
    if method.HAS_SCORES:
        figure = _("Average")
    elif has_points:
        figure = _("Share of points")
    else:
        figure = _("Share of votes") if method.HAS_ONE_MARK else _("Share of voters")
    return Sheet(
        _("Results"),
        at,
        about(app, poll, at, language),
        (_("Choice"), votes, *([_("Points")] if has_points else []), figure),
        [
            (
                result.choice.text,
                result.choice.votes,
                *([result.choice.points] if has_points else []),
                _average(result.figure, language) if method.HAS_SCORES else _percent(result.figure, language),
            )
            for result in tally.results
        ],
    )


def about(app: web.Application, poll: Poll, at: datetime, language: Language) -> list[tuple[str, Cell]]:
    """Return the rows about `poll` and its counts `at` this time."""
    _, question = language.gettext, poll.question
    states = {State.SCHEDULED: _("Scheduled"), State.OPEN: _("Open"), State.CLOSED: _("Closed")}
    settings = f"methods/{poll.settings.method}/settings.html"
    return [
        (_("Question"), question.text),
        (_("How to vote"), template_text(app, settings, "name", language)),
        (_("State"), states[question.state(at)]),
        *([(_("Closes"), _moment(question.closes_at, language))] if question.closes_at else []),
        (_("Counted"), _moment(at, language)),
        (_("Revision"), poll.revision),
        (_("Ballots"), poll.ballots),
    ]


def result_document(poll: Poll, tally: Tally, at: datetime) -> dict[str, object]:
    """Return the results of `poll` for programs. polls/README.md describes the members."""
    has_points = poll.settings.most_points is not None
    figure = "average" if method_of(poll).HAS_SCORES else "share"
    return {
        **document_head(poll, at),
        "choices": [
            {
                "id": result.choice.id,
                "text": result.choice.text,
                "votes": result.choice.votes,
                **({"points": result.choice.points} if has_points else {}),
                figure: result.figure.value if result.figure else None,
                "leads": result.leads,
            }
            for result in tally.results
        ],
    }


def document_head(poll: Poll, at: datetime) -> Mapping[str, object]:
    """Return the members about `poll` and its counts `at` this time."""
    question = poll.question
    return {
        "slug": question.slug,
        "question": question.text,
        "method": poll.settings.method,
        "state": question.state(at),
        "published_at": question.pub_date.isoformat(),
        "closes_at": question.closes_at.isoformat() if question.closes_at else None,
        "counted_at": at.isoformat(),
        "revision": poll.revision,
        "ballots": poll.ballots,
    }


def _moment(moment: datetime, language: Language) -> str:
    return f"{language.date(moment)} {language.time(moment)}"


def _average(figure: Figure | None, language: Language) -> Cell:
    if figure is None:
        return language.average(None)
    return Number(figure.value, language.average(figure), _format(figure))


def _percent(figure: Figure | None, language: Language) -> Cell:
    """Return a share as pages show it: less than one percent is no number."""
    if figure is None or figure.sign:
        return language.percent(figure) if figure else ""
    return Number(figure.value / 100, language.percent(figure), f"{_format(figure)}%")


def _format(figure: Figure) -> str:
    return "0." + "0" * figure.decimals if figure.decimals else "0"
