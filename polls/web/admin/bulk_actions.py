"""Actions on polls: close, reopen, clear the ballots, delete. Each is confirmed on a page of its own.

The confirmation counts the polls and contains their ids, and the action is run on these: polls that match the filter
only later are left alone, and those that are gone by then are skipped.
"""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiMapping

from polls.storage import bulk_editing, clock, listing, questions
from polls.storage.listing import MAX_COUNT
from polls.web.admin.list_query import Query
from polls.web.http.forms import read_form
from polls.web.http.parameters import parse_number
from polls.web.keys import CONFIG
from polls.web.pages.flash import Flash
from polls.web.pages.private import EditablePollView, SignedInView

# Each with the kind of its flash message.
ACTIONS = {
    "close": (bulk_editing.close, "closed"),
    "reopen": (bulk_editing.reopen, "reopened"),
    "clear": (bulk_editing.clear, "cleared"),
    "delete": (bulk_editing.delete, "deleted"),
}

_SHOWN = 12  # polls that a confirmation names


class BulkActionView(SignedInView):
    """The action on the polls that are selected in the list."""

    max_form_size = 128 * 1024  # bytes: MAX_COUNT ids have up to 110 kB
    max_seconds = 10.0  # of a request; then it asks to go on with the rest

    async def post(self) -> web.StreamResponse:
        form = await read_form(self.request, max_size=self.max_form_size)
        if form.get("confirmed", "") != "yes":
            return await self.resume(form)
        action, ids, back = self._parse(form)
        if not ids:
            return self.redirect(back, Flash("nothing-selected"))
        done, others = (parse_number(form.get(name, "")) or 0 for name in ("done", "others"))
        return await self.run(action, ids, back, done=done, others=others)

    async def resume(self, form: MultiMapping[str]) -> web.StreamResponse:
        action, ids, back = self._parse(form)
        if action and "matching" in form and self.person.may_see_all:
            ids = await self._matching(form["matching"])
            if len(ids) > MAX_COUNT:
                return self.redirect(back, Flash("too-many"))
        if not ids:
            return self.redirect(back, Flash("nothing-selected"))
        return await self.show_confirmation(action, ids, back=back, here=back)

    def _parse(self, form: MultiMapping[str]) -> tuple[str, list[int], str]:
        """Return the action, the ids of the selected polls (empty if the action isn't one), and the URL to return to.

        A field may have several ids, as that of the confirmation has.
        """
        action, back = form.get("do", ""), self.back_url(form.get("back", ""))
        if action not in ACTIONS:
            return "", [], back
        numbers = (parse_number(text) for value in form.getall("poll", []) for text in value.split())
        ids = list(dict.fromkeys(number for number in numbers if number))
        return action, ids if len(ids) <= MAX_COUNT else [], back

    async def _matching(self, query: str) -> list[int]:
        """Return the ids of the polls that match `query`, the query of a URL of the list; MAX_COUNT + 1 at most."""
        parsed = Query.parse(dict(parse_qsl(query)))
        poll_filter = parsed.to_filter(await clock.now(self.database), self.request.app[CONFIG].site.zone)
        return await listing.ids(self.database, poll_filter, limit=MAX_COUNT + 1)

    async def show_confirmation(  # noqa: PLR0913 - the page contains that much
        self, action: str, question_ids: Sequence[int], *, back: str, here: str, done: int = 0, others: int = 0
    ) -> web.Response:
        """Ask whether to run `action` on the polls; `back` is the URL to return to.

        It has changed `done` polls already, and there was nothing to do for `others`, if these are the rest.
        """
        count = await bulk_editing.count(self.database, question_ids)
        found = await questions.find_all(self.database, question_ids[:_SHOWN])
        polls = {poll.question.id: poll for poll in found if self.person.may_edit(poll)}
        return self.show(
            "admin/confirm.html",
            flash=Flash(ACTIONS[action][1], done, others) if done else None,
            action=action,
            question_ids=question_ids,
            count=count.polls,
            ballots=count.ballots,
            polls=[polls[question_id] for question_id in question_ids[:_SHOWN] if question_id in polls],
            back=back,
            here=here,
            form_url=self.request.path,
            done=done,
            others=others,
        )

    async def run(
        self, action: str, question_ids: Sequence[int], back: str, *, done: int = 0, others: int = 0
    ) -> web.Response:
        """Run `action` and redirect to `back`, or ask again for those polls that there was no time for.

        The message says how many polls it changed, and how many others it was nothing to do for; `done` and `others`
        are those of earlier requests.
        """
        change, kind = ACTIONS[action]
        progress = await bulk_editing.in_batches(
            change, self.database, self.person, question_ids, seconds=self.max_seconds
        )
        done += progress.changed
        others += len(question_ids) - len(progress.rest) - progress.changed
        if progress.rest:
            return await self.show_confirmation(action, progress.rest, back=back, here=back, done=done, others=others)
        return self.redirect(back, Flash(kind, done, others) if done else Flash(f"not-{kind}", others))


class PollActionView(EditablePollView, BulkActionView):
    """One action on one poll, from the poll's page."""

    @property
    def action(self) -> str:
        """One of ACTIONS, from the path."""
        return self.request.match_info["action"]

    async def get(self) -> web.StreamResponse:
        await self.find_poll()
        back = self.back_url(self.request.query.get("back", ""))
        here = self.with_back(self.request.path, back)
        return await self.show_confirmation(self.action, [self.question_id], back=back, here=here)

    async def resume(self, form: MultiMapping[str]) -> web.StreamResponse:
        return await SignedInView.resume(self, form)

    async def post(self) -> web.StreamResponse:
        await self.find_poll()
        form = await read_form(self.request)
        return await self.run(self.action, [self.question_id], self.back_url(form.get("back", "")))
