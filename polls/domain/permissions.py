"""People and their permissions: accounts, and the owners of single polls."""

from dataclasses import dataclass, field

from polls.domain.access_keys import hash_of
from polls.domain.poll import Poll


@dataclass(frozen=True, slots=True)
class Person:
    """A person who is signed in, has the access key of a poll, or runs `polls` in a shell.

    `name` is their name in the history: "admin:ada", "owner". `key_hash` is the hash of their access key.
    """

    name: str
    is_admin: bool = False
    key_hash: bytes | None = field(default=None, repr=False)

    def may_see(self, poll: Poll) -> bool:
        """Return whether they may see a poll, even before it is published."""
        return poll.is_published or self.may_edit(poll)

    def may_edit(self, poll: Poll) -> bool:
        """Return whether they may edit, close and delete a poll, and clear its ballots."""
        return self.is_admin or self.owns(poll)

    def owns(self, poll: Poll) -> bool:
        """Return whether they have the present access key of the poll."""
        return self.key_hash is not None and self.key_hash == poll.owner_hash

    @property
    def may_create_polls(self) -> bool:
        return self.is_admin

    @property
    def may_moderate(self) -> bool:
        """Return whether they may list polls, take them down, and give them custom slugs."""
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


def owner(key: str) -> Person:
    """Return the person who has the access key `key`: the owner of the poll whose key it is."""
    return Person("owner", key_hash=hash_of(key))
