"""The page on which the owner of a poll manages it, and the access link that leads there."""

from collections.abc import Mapping

from aiohttp import web
from markupsafe import Markup

from polls.domain.access_keys import hash_of, new_key, parse_key
from polls.domain.errors import InvalidAccessKey
from polls.domain.visibility import Viewer, visible_to
from polls.storage import owners
from polls.web.http.origin import site_origin
from polls.web.manage.own_poll import OwnPollView
from polls.web.pages.flash import Flash, read_flash
from polls.web.pages.owner import read_owner_key, set_owner_cookie
from polls.web.pages.private import PrivateView
from polls.web.pages.qr_code import qr_code

# Kinds of flash messages with which the access link is shown.
_NEW_LINK = {"asked", "new-link"}


class AccessLinkView(PrivateView):
    """The access link of a poll. Sets a cookie with its key and redirects, so that no page has the key in its URL."""

    async def get(self) -> web.StreamResponse:
        key = parse_key(self.request.match_info["key"])
        poll = await owners.find_poll(self.database, hash_of(key)) if key else None
        if key is None or poll is None:
            raise InvalidAccessKey
        # The poll's present slug: an admin may have given it another one since the link was made.
        response = self.redirect(self.url("manage", slug=poll.question.slug))
        set_owner_cookie(self.request, response, poll.question.slug, key)
        return response


class OverviewView(OwnPollView):
    """A poll's results, and what its owner can do with it; once after it was made, its access link."""

    async def get(self) -> web.StreamResponse:
        visible = visible_to(await self.find_poll(), Viewer(person=self.person))
        flash = read_flash(self.request)
        return self.show(
            "manage/overview.html",
            poll=visible.poll,
            hidden=visible.hidden,
            tally=visible.tally,
            marks=visible.marks,
            points={},
            access_link=await self._access_link() if flash and flash.kind in _NEW_LINK else None,
        )

    async def _access_link(self) -> Mapping[str, str]:
        key = read_owner_key(self.request) or ""
        url = site_origin(self.request) + self.url("access_link", slug=self.slug, key=key)
        qr = Markup((await qr_code(url)).decode())  # nosec B704 # drawn by segno, and contains no text
        return {"url": url, "qr": qr}


class NewLinkView(OwnPollView):
    """A new access link, which replaces the present one."""

    async def get(self) -> web.StreamResponse:
        return self.show("manage/new_link.html", poll=await self.find_poll())

    async def post(self) -> web.StreamResponse:
        self.check_rate()
        poll, key = await self.find_poll(), new_key()
        await owners.replace_key(self.database, self.person, poll.question.id, hash_of(key))
        response = self.redirect(self.home, Flash("new-link"))
        set_owner_cookie(self.request, response, self.slug, key)
        return response
