"""The page on which the owner of a poll manages it, and the access link that leads there."""

from collections.abc import Mapping

from aiohttp import hdrs, web
from markupsafe import Markup

from polls.domain.access_keys import hash_of, new_key, parse_key
from polls.domain.errors import AccessKeyRequired, InvalidAccessKey, PollNotFound
from polls.domain.visibility import Viewer, visible_to
from polls.storage import owners
from polls.web.http.origin import site_origin
from polls.web.manage.own_poll import OwnPollView
from polls.web.pages.asked import add_to_asked
from polls.web.pages.flash import Flash, read_flash
from polls.web.pages.owner import read_owner_key, set_owner_cookie
from polls.web.pages.private import PrivateView
from polls.web.pages.qr_code import qr_code
from polls.web.pages.session import signed_in_account

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
        return _open(self.request, poll.question.slug, key)


def _open(request: web.Request, slug: str, key: str) -> web.Response:
    """Let this browser manage the poll `slug`: set its cookies, and redirect to its page for the owner."""
    url = request.app.router["manage"].canonical.format(slug=slug)
    response = web.Response(status=303, headers={hdrs.LOCATION: url})
    set_owner_cookie(request, response, slug, key)
    add_to_asked(request, response, slug)
    return response


class OverviewView(OwnPollView):
    """A poll's results, and what its owner can do with it; once after it was made, its access link."""

    async def get(self) -> web.StreamResponse:
        try:
            poll = await self.find_poll()
        except (PollNotFound, AccessKeyRequired) as error:
            return await self._redirect_from(error)
        visible = visible_to(poll, Viewer(person=self.person))
        flash = read_flash(self.request)
        return self.show(
            "manage/overview.html",
            poll=visible.poll,
            hidden=visible.hidden,
            may_reveal=visible.may_reveal,
            tally=visible.tally,
            marks=visible.marks,
            points={},
            access_link=await self._access_link() if flash and flash.kind in _NEW_LINK else None,
        )

    async def _redirect_from(self, error: PollNotFound | AccessKeyRequired) -> web.Response:
        """Redirect an owner to the present address of the poll, which an admin has changed, and an admin to the admin.

        Raises `error` for others.
        """
        key = read_owner_key(self.request)
        if key and (poll := await owners.find_poll(self.database, hash_of(key))):
            return _open(self.request, poll.question.slug, key)
        account = await signed_in_account(self.request) if isinstance(error, AccessKeyRequired) else None
        if account and account.person.may_see_all:
            return self.redirect(self.url("poll_edit", id=str(error.args[0])))
        raise error

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
