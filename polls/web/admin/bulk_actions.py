"""Actions on the polls that are selected in the list.

The confirmation counts the polls and contains their ids, and the action is run on these: polls that match the filter
only later are left alone, and those that are gone by then are skipped.
"""

from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiMapping

from polls.storage import clock, listing
from polls.storage.listing import MAX_COUNT
from polls.web.admin.list_query import Query
from polls.web.http.forms import read_form
from polls.web.http.parameters import parse_number
from polls.web.keys import CONFIG
from polls.web.pages.confirmation import ADMIN_ACTIONS, ConfirmView
from polls.web.pages.flash import Flash
from polls.web.pages.private import SignedInView


class BulkActionView(SignedInView, ConfirmView):
    """The action on the polls that are selected in the list."""

    max_form_size = 128 * 1024  # bytes: MAX_COUNT ids have up to 110 kB

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
        if action not in ADMIN_ACTIONS:
            return "", [], back
        numbers = (parse_number(text) for value in form.getall("poll", []) for text in value.split())
        ids = list(dict.fromkeys(number for number in numbers if number))
        return action, ids if len(ids) <= MAX_COUNT else [], back

    async def _matching(self, query: str) -> list[int]:
        """Return the ids of the polls that match `query`, the query of a URL of the list; MAX_COUNT + 1 at most."""
        parsed = Query.parse(dict(parse_qsl(query)))
        poll_filter = parsed.to_filter(await clock.now(self.database), self.request.app[CONFIG].site.zone)
        return await listing.ids(self.database, poll_filter, limit=MAX_COUNT + 1)
