"""What is done to selected polls: closing, reopening, clearing, deleting. Each asks first, and says what goes along."""

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from polls.domain.permissions import Person
from polls.domain.poll import Poll
from polls.storage import editing, questions
from polls.storage.postgres.pool import Database
from polls.web.admin.poll_list import PAGE_SIZE
from polls.web.http.forms import read_form
from polls.web.http.numbers import number
from polls.web.http.redirects import local_path
from polls.web.keys import DATABASE
from polls.web.pages.private import AdminPollView, AdminView

Action = Callable[[Database, Person, Sequence[int]], Awaitable[int]]

DEEDS: dict[str, Action] = {
    "close": editing.close,
    "reopen": editing.reopen,
    "clear": editing.clear,
    "delete": editing.delete,
}
_DONE = {"close": "closed", "reopen": "reopened", "clear": "cleared", "delete": "deleted"}


class ConfirmView(AdminView):
    """A deed that is done when it has been asked for twice."""

    def ask(self, deed: str, polls: Sequence[Poll], *, back: str, here: str) -> web.Response:
        """Say what the deed would do to `polls`, and ask."""
        action = self.request.path
        return self.show("admin/confirm.html", deed=deed, polls=polls, back=back, here=here, action=action)

    async def do(self, deed: str, question_ids: Sequence[int], back: str) -> web.Response:
        """Do it, and go back."""
        count = await DEEDS[deed](self.request.app[DATABASE], self.person, question_ids)
        return self.go(back, flash=_DONE[deed], about=count) if count else self.go(back, flash=f"not-{_DONE[deed]}")


class SelectionView(ConfirmView):
    """The polls that were ticked in the list."""

    async def post(self) -> web.StreamResponse:
        form = await read_form(self.request)
        deed, back = form.get("do", ""), local_path(form.get("back", ""), self.url("admin"))
        ids = sorted({id_ for value in form.getall("poll", []) if (id_ := number(value))})
        if deed not in DEEDS or not ids or len(ids) > PAGE_SIZE:
            return self.go(back, flash="nothing-selected")
        if form.get("sure", "") == "yes":
            return await self.do(deed, ids, back)
        polls = await questions.find_all(self.request.app[DATABASE], ids)
        return self.ask(deed, [poll for poll in polls if self.person.may_edit(poll)], back=back, here=back)


class DeleteView(ConfirmView, AdminPollView):
    """The end of a poll."""

    async def get(self) -> web.StreamResponse:
        return self.ask("delete", [await self.find()], back=self.url("admin"), here=self.request.path)

    async def post(self) -> web.StreamResponse:
        await self.find()
        return await self.do("delete", [self.question_id], self.url("admin"))
