"""Who may see the results of a poll: a table of all cases, and polls without counts where they are hidden."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from polls.domain.permissions import Person
from polls.domain.poll import Choice, Poll, Question
from polls.domain.settings import PollSettings, Results
from polls.domain.visibility import Hidden, Role, Viewer, hidden_from, visible_to

NOW = datetime(2026, 5, 3, 18, tzinfo=UTC)
POLL = Poll(Question(1, "Tea?", NOW - timedelta(days=1)), (Choice(1, "Yes", 7, 21), Choice(2, "No", 5, 1)), NOW, 12)

# {(results, sealed, closed): why they are hidden from a stranger, a voter and the owner}
REASONS = {
    (Results.ALWAYS, False, False): (None, None, None),
    (Results.ALWAYS, False, True): (None, None, None),
    (Results.AFTER_VOTE, False, False): ("vote", None, None),
    (Results.AFTER_VOTE, False, True): (None, None, None),
    (Results.AFTER_CLOSE, False, False): ("close", "close", None),
    (Results.AFTER_CLOSE, False, True): (None, None, None),
    (Results.AFTER_CLOSE, True, False): ("close", "close", "close"),
    (Results.AFTER_CLOSE, True, True): (None, None, None),
    (Results.OWNER, False, False): ("never", "never", None),
    (Results.OWNER, False, True): ("never", "never", None),
    (Results.OWNER, True, False): ("never", "never", "close"),
    (Results.OWNER, True, True): ("never", "never", None),
}


def poll_with(results: Results, *, is_sealed: bool = False, is_closed: bool = False, results_from: int = 0) -> Poll:
    question = replace(POLL.question, closes_at=NOW if is_closed else None)
    settings = PollSettings(results=results, is_sealed=is_sealed, results_from=results_from)
    return replace(POLL, question=question, settings=settings)


@pytest.mark.parametrize(("case", "number"), [*product(REASONS, [0, 12, 20])])
def test_each_role_sees_the_results_when_it_may(case: tuple[Results, bool, bool], number: int) -> None:
    results, is_sealed, is_closed = case
    poll = poll_with(results, is_sealed=is_sealed, is_closed=is_closed, results_from=number)
    missing = 8 if number == 20 else 0

    hidden = [hidden_from(poll, role) for role in Role]

    assert [reason and reason.until for reason in hidden] == [
        until or ("enough" if missing else None) for until in REASONS[case]
    ]
    assert {reason.missing for reason in hidden if reason} <= {missing}


def test_a_poll_with_hidden_results_has_no_counts() -> None:
    poll = poll_with(Results.AFTER_VOTE)

    stranger, voter = (visible_to(poll, Viewer(frozenset({1}), has_voted=proved)) for proved in (False, True))

    assert stranger.hidden == Hidden("vote")
    assert [(choice.votes, choice.points) for choice in stranger.poll.choices] == [(0, 0), (0, 0)]
    assert stranger.poll.ballots == 12
    assert stranger.tally is None
    assert stranger.poll is visible_to(poll, Viewer()).poll  # the pages made from it are kept
    assert voter.hidden is None
    assert voter.poll is poll
    assert stranger.variant != voter.variant


def test_a_ballot_whose_choice_was_removed_shows_no_results() -> None:
    visible = visible_to(poll_with(Results.AFTER_VOTE), Viewer(frozenset({3}), has_voted=True))

    assert visible.role is Role.STRANGER


def test_what_a_screen_shows_to_all_is_what_strangers_see() -> None:
    owner = visible_to(poll_with(Results.AFTER_CLOSE), Viewer(person=Person("admin:ada", is_admin=True)))

    assert owner.hidden is None
    assert owner.as_public.hidden == Hidden("close")
    assert {choice.votes for choice in owner.as_public.poll.choices} == {0}
