"""Actions on polls: close, reopen, clear the ballots, delete. Each is confirmed on a page of its own."""

from collections.abc import Sequence

from aiohttp import web
from multidict import MultiMapping

from polls.domain.poll import Poll
from polls.storage import bulk_editing, questions
from polls.web.admin.poll_list import PAGE_SIZE
from polls.web.http.forms import read_form
from polls.web.http.parameters import parse_number
from polls.web.pages.flash import Flash
from polls.web.pages.private import EditablePollView, SignedInView

# Each with the kind of its flash message.
ACTIONS = {
    "close": (bulk_editing.close, "closed"),
    "reopen": (bulk_editing.reopen, "reopened"),
    "clear": (bulk_editing.clear, "cleared"),
    "delete": (bulk_editing.delete, "deleted"),
}


class BulkActionView(SignedInView):
    """The action on the polls that are selected in the list."""

    async def post(self) -> web.StreamResponse:
        form = await read_form(self.request)
        if form.get("confirmed", "") != "yes":
            return await self.resume(form)
        action, ids, back = self._parse(form)
        return await self.run(action, ids, back) if ids else self.redirect(back, Flash("nothing-selected"))

    async def resume(self, form: MultiMapping[str]) -> web.StreamResponse:
        action, ids, back = self._parse(form)
        if not ids:
            return self.redirect(back, Flash("nothing-selected"))
        polls = await questions.find_all(self.database, ids)
        return self.show_confirmation(
            action, [poll for poll in polls if self.person.may_edit(poll)], back=back, here=back
        )

    def _parse(self, form: MultiMapping[str]) -> tuple[str, list[int], str]:
        """Return the action, the ids of the selected polls (none if the action isn't one), and the URL to return to."""
        action, back = form.get("do", ""), self.back_url(form.get("back", ""))
        ids = sorted({id_ for value in form.getall("poll", []) if (id_ := parse_number(value))})
        return action, ids if action in ACTIONS and len(ids) <= PAGE_SIZE else [], back

    def show_confirmation(self, action: str, polls: Sequence[Poll], *, back: str, here: str) -> web.Response:
        """Ask whether to run `action` on `polls`; `back` is the URL to return to."""
        return self.show(
            "admin/confirm.html", action=action, polls=polls, back=back, here=here, form_url=self.request.path
        )

    async def run(self, action: str, question_ids: Sequence[int], back: str) -> web.Response:
        """Run `action` and redirect to `back` with the number of polls that it changed."""
        change, kind = ACTIONS[action]
        count = await change(self.database, self.person, question_ids)
        return self.redirect(back, Flash(kind, count) if count else Flash(f"not-{kind}", len(question_ids)))


class PollActionView(EditablePollView, BulkActionView):
    """One action on one poll, from the poll's page."""

    @property
    def action(self) -> str:
        """One of ACTIONS, from the path."""
        return self.request.match_info["action"]

    async def get(self) -> web.StreamResponse:
        poll = await self.find_poll()
        back = self.back_url(self.request.query.get("back", ""))
        return self.show_confirmation(self.action, [poll], back=back, here=self.with_back(self.request.path, back))

    async def resume(self, form: MultiMapping[str]) -> web.StreamResponse:
        return await SignedInView.resume(self, form)

    async def post(self) -> web.StreamResponse:
        await self.find_poll()
        form = await read_form(self.request)
        return await self.run(self.action, [self.question_id], self.back_url(form.get("back", "")))
