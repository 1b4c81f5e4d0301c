"""People who are signed in, and their permissions."""

from dataclasses import dataclass

from polls.domain.poll import Poll


@dataclass(frozen=True, slots=True)
class Person:
    """A person who is signed in, or runs `polls` in a shell. `name` is their name in the history: "admin:ada"."""

    name: str
    is_admin: bool = False

    def may_see(self, poll: Poll) -> bool:
        """Return whether they may see a poll, even before it is published."""
        return poll.is_published or self.may_edit(poll)

    def may_edit(self, poll: Poll) -> bool:  # noqa: ARG002 - polls have no owners yet
        """Return whether they may edit, close and delete a poll, clear its ballots, and read its history."""
        return self.is_admin

    @property
    def may_create_polls(self) -> bool:
        return self.is_admin

    @property
    def may_see_all(self) -> bool:
        """Return whether they may list all polls and read the whole history."""
        return self.is_admin

    @property
    def may_manage_accounts(self) -> bool:
        """Return whether they may create, disable and enable accounts."""
        return self.is_admin


# The user of `polls` in a shell.
COMMAND_LINE = Person("command line", is_admin=True)
