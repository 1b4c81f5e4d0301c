"""Base view of the pages for the owner of a poll."""

import secrets

from aiohttp import web

from polls.domain.errors import AccessKeyRequired, PollNotFound
from polls.domain.permissions import Person, owner
from polls.domain.poll import Poll
from polls.live.rate_limit import RateLimit
from polls.storage import questions
from polls.web.pages.base import locate
from polls.web.pages.owner import read_owner_key
from polls.web.pages.private import PersonalView

# Each change adds an entry to the history, so that an owner without an account could fill the disk.
OWNER_RATE_LIMIT = web.AppKey("owner_rate_limit", RateLimit)
MAX_CHANGES = 100  # of a poll, in an hour

_STRANGER = Person("stranger")


class OwnPollView(PersonalView):
    """A page about the poll in its URL, for the browser that has its access key."""

    async def respond(self) -> web.StreamResponse:
        try:
            return await super().respond()
        except PollNotFound:
            # To say so if the key was replaced while this request was under way.
            await self.find_poll()
            raise

    @property
    def slug(self) -> str:
        """The slug in the path."""
        return self.request.match_info["slug"]

    @property
    def person(self) -> Person:
        key = read_owner_key(self.request)
        return owner(key) if key else _STRANGER

    @property
    def home(self) -> str:
        return self.url("manage", slug=self.slug)

    @property
    def flash_path(self) -> str:
        return self.url("poll", slug=self.slug)

    async def find_poll(self) -> Poll:
        """Return the poll from the database. Raises PollNotFound, AccessKeyRequired."""
        poll = await questions.find(self.database, await locate(self.request.app, self.slug))
        if poll is None or poll.question.slug != self.slug or poll.owner_hash is None:
            raise PollNotFound(self.slug)
        if not self.person.may_edit(poll):
            raise AccessKeyRequired(poll.question.id)
        return poll

    def check_rate(self) -> None:
        """Count a change. Raises TooManyAttempts if the owner has made too many in the last hour."""
        key = read_owner_key(self.request) or ""
        self.request.app[OWNER_RATE_LIMIT].check(key, secrets.token_hex(8))
