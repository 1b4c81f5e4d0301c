from datetime import datetime, timedelta

import pytest

from polls.domain.poll import Choice, Poll, Question


@pytest.mark.parametrize(
    ("ago", "recent"),
    [
        (timedelta(0), True),
        (timedelta(hours=23, minutes=59), True),
        (timedelta(days=1), True),
        (timedelta(days=1, seconds=1), False),
        (timedelta(seconds=-1), False),
        (timedelta(days=-30), False),
    ],
)
def test_recently_is_within_the_last_day_and_not_in_the_future(ago: timedelta, recent: bool, now: datetime) -> None:
    assert Question(1, "Tea?", now - ago).was_published_recently(now) is recent


@pytest.mark.parametrize(
    ("ago", "choices", "published"),
    [
        (timedelta(0), 1, True),
        (timedelta(days=1), 2, True),
        (timedelta(seconds=-1), 2, False),
        (timedelta(days=1), 0, False),
    ],
)
def test_a_poll_is_published_from_its_publication_date_on_if_it_has_choices(
    ago: timedelta, choices: int, published: bool, now: datetime
) -> None:
    poll = Poll(Question(1, "Tea?", now - ago), tuple(Choice(number, "Yes") for number in range(choices)), now)

    assert poll.is_published is published


def test_the_slug_of_a_question_is_its_id(now: datetime) -> None:
    assert Question(17, "Tea?", now).slug == "17"


@pytest.mark.parametrize(
    ("closes_in", "closed"),
    [(None, False), (timedelta(seconds=1), False), (timedelta(0), True), (timedelta(days=-1), True)],
)
def test_a_poll_is_closed_from_its_end_on(closes_in: timedelta | None, closed: bool, now: datetime) -> None:
    closes_at = None if closes_in is None else now + closes_in
    poll = Poll(Question(1, "Tea?", now, closes_at), (Choice(1, "Yes"),), as_of=now)

    assert poll.is_closed is closed
