"""One action on one poll, from the poll's page."""

from aiohttp import web

from polls.domain.poll import Poll
from polls.web.http.forms import read_form
from polls.web.manage.own_poll import OwnPollView
from polls.web.pages.asked import remove_from_asked
from polls.web.pages.confirmation import ConfirmView
from polls.web.pages.flash import Flash
from polls.web.pages.owner import delete_owner_cookie
from polls.web.pages.private import EditablePollView


class PollActionView(ConfirmView):
    """One of ACTIONS on the poll in the URL."""

    async def find_poll(self) -> Poll:
        """Return the poll. Raises PollNotFound if there is none or the person may not edit it."""
        raise NotImplementedError

    @property
    def action(self) -> str:
        """One of ACTIONS, from the path."""
        return self.request.match_info["action"]

    async def get(self) -> web.StreamResponse:
        poll = await self.find_poll()
        back = self.back_url(self.request.query.get("back", ""))
        here = self.with_back(self.request.path, back)
        return await self.show_confirmation(self.action, [poll.question.id], back=back, here=here)

    async def post(self) -> web.StreamResponse:
        poll = await self.find_poll()
        form = await read_form(self.request)
        return await self.run(self.action, [poll.question.id], self.back_url(form.get("back", "")))


class AdminPollActionView(EditablePollView, PollActionView):
    """The same for those who are signed in."""


class OwnPollActionView(OwnPollView, PollActionView):
    """The same for the owner of the poll."""

    async def post(self) -> web.StreamResponse:
        self.check_rate()
        return await super().post()

    def show_result(self, back: str, flash: Flash) -> web.Response:
        if flash.kind != "deleted":
            return super().show_result(back, flash)
        response = self.show("manage/deleted.html", here=self.url("index"))
        delete_owner_cookie(self.request, response, self.slug)
        remove_from_asked(self.request, response, self.slug)
        return response
