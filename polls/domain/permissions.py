"""People who have shown who they are, and what they may do."""

from dataclasses import dataclass

from polls.domain.poll import Poll


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is not a stranger. `name` is what history calls them: "admin:ada"."""

    name: str
    is_admin: bool = False

    def may_see(self, poll: Poll) -> bool:
        """Whether they may look at it: also at one that is not public yet."""
        return poll.is_published or self.may_edit(poll)

    def may_edit(self, poll: Poll) -> bool:  # noqa: ARG002 - somebody may own it one day
        """Whether they may change it, close it, clear its ballots, delete it, and read its history."""
        return self.is_admin

    @property
    def may_add(self) -> bool:
        """Whether they may put questions of their own."""
        return self.is_admin

    @property
    def may_see_all(self) -> bool:
        """Whether they may look through all polls and all history."""
        return self.is_admin

    @property
    def may_appoint(self) -> bool:
        """Whether they may let others in, and shut them out."""
        return self.is_admin


# Whoever runs `polls` in a shell.
COMMAND_LINE = Person("command line", is_admin=True)


def admin(username: str) -> Person:
    """The person behind an account."""
    return Person(f"admin:{username}", is_admin=True)
