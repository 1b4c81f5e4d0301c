"""History pages: of all polls and accounts, and of one poll."""

from typing import Any

from aiohttp import web

from polls.domain.errors import PollNotFound
from polls.storage import history, questions
from polls.web.pages.base import NumberedPollView
from polls.web.pages.private import SignedInView

PAGE_SIZE = 100


class HistoryView(SignedInView):
    """The history of all polls and accounts, or with the parameter `mine` what the person did."""

    async def get(self) -> web.StreamResponse:
        if not self.person.may_see_all:
            raise web.HTTPForbidden
        is_mine = self.request.query.get("mine") == "yes"
        page = await self.load_page(actor=self.person.name if is_mine else None)
        return self.show("admin/history.html", poll=None, question_id=None, is_mine=is_mine, **page)

    async def load_page(self, *, subject: str | None = None, actor: str | None = None) -> dict[str, Any]:
        """Return the context with the entries of `subject` and `actor` (None: all) on this page. Raises 404."""
        page, skip = self.page_number, (self.page_number - 1) * PAGE_SIZE
        found = await history.latest(self.database, subject=subject, actor=actor, skip=skip, limit=PAGE_SIZE + 1)
        if page > 1 and not found:
            raise web.HTTPNotFound
        return {"entries": found[:PAGE_SIZE], "page": page, "has_older": len(found) > PAGE_SIZE}


class PollHistoryView(HistoryView, NumberedPollView):
    """The history of one poll, which may have been deleted."""

    async def get(self) -> web.StreamResponse:
        page = await self.load_page(subject=history.poll_subject(self.question_id))
        poll = await questions.find(self.database, self.question_id)
        may_read = self.person.may_edit(poll) if poll else page["entries"] and self.person.may_see_all
        if not may_read:
            raise PollNotFound(self.question_id)
        return self.show("admin/history.html", poll=poll, question_id=self.question_id, is_mine=False, **page)
