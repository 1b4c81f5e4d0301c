"""Changes between two states of a poll, as history records them."""

from datetime import UTC, datetime

from polls.domain.poll import Poll
from polls.storage.history import Change


def changes_between(before: Poll | None, after: Poll | None) -> list[Change]:
    """Return the changes from one state to another; None is a poll that doesn't exist (yet, or any more)."""
    old, new = _values(before), _values(after)
    changes = [Change(what, old[what], new[what]) for what in old if old[what] != new[what]]
    old_texts, new_texts = _choice_texts(before), _choice_texts(after)
    changes += [
        Change("choice", old_texts.get(id_), new_texts.get(id_))
        for id_ in old_texts | new_texts
        if old_texts.get(id_) != new_texts.get(id_)
    ]
    if [id_ for id_ in old_texts if id_ in new_texts] != [id_ for id_ in new_texts if id_ in old_texts]:
        changes.append(Change("order", ", ".join(old_texts.values()), ", ".join(new_texts.values())))
    return changes


def _values(poll: Poll | None) -> dict[str, str | None]:
    if poll is None:
        return dict.fromkeys(("text", "published", "closes", "ballots"))
    return {
        "text": poll.question.text,
        "published": _iso(poll.question.pub_date),
        "closes": _iso(poll.question.closes_at),
        "ballots": str(poll.ballots) if poll.ballots else None,
    }


def _choice_texts(poll: Poll | None) -> dict[int, str]:
    return {choice.id: choice.text for choice in poll.choices} if poll else {}


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None
