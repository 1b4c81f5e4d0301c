"""The page where visitors ask: the form of a new poll, and the polls that this browser has asked."""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from aiohttp import hdrs, web
from multidict import MultiMapping

from polls.domain import access_keys
from polls.domain.errors import PollNotFound, PollsUnavailable, TooManyAttempts, TooManyPolls
from polls.domain.permissions import Person, owner
from polls.domain.poll import Poll
from polls.domain.visibility import ANONYMOUS, visible_to
from polls.live.rate_limit import PollRateLimit, RateLimit
from polls.storage import asking, owners
from polls.storage.clock import now
from polls.web.http.cookies import CookieSetter
from polls.web.http.forms import text_field
from polls.web.http.forwarded import client_network
from polls.web.http.parameters import SLUG
from polls.web.keys import CONFIG
from polls.web.manage.form_validation import Validation
from polls.web.manage.form_view import PollFormView
from polls.web.manage.poll_form import DateTimeFields, PollForm, copy_form, new_poll_form, parse_form
from polls.web.manage.ready_made import ready_made_polls
from polls.web.manage.refused_words import check_words
from polls.web.pages.asked import add_to_asked, asked_slugs, delete_oldest_asked
from polls.web.pages.base import find_poll
from polls.web.pages.flash import Flash, set_flash
from polls.web.pages.owner import set_owner_cookie
from polls.web.pages.problems import describe_error
from polls.web.pages.rendering import VARY

POLL_RATE_LIMIT = web.AppKey("poll_rate_limit", PollRateLimit)
PASSWORD_RATE_LIMIT = web.AppKey("password_rate_limit", RateLimit)

EMPTY_FORMS: web.AppKey[dict[str, str]] = web.AppKey("empty_forms")  # {language: page}

MAX_PASSWORDS = 5  # different ones that a network may try in a minute

_FEWEST_CHOICES = 2
_NO_KEY = "0" * 26  # in EMPTY_FORMS
_KEY = re.compile(access_keys.PATTERN)
_SLUG = re.compile(SLUG)


class AskView(PollFormView):
    """The form of a new poll, for visitors without an account, and the polls that this browser has asked."""

    template = "manage/ask.html"
    key: str  # the access key of the poll; it is made with the form, so that a form sent twice makes one poll
    site_password: str | None = None  # as it was typed
    asked: Sequence[tuple[str, Poll | None]] = ()  # slugs of polls, None if there is none

    @property
    def person(self) -> Person:
        return owner(self.key)

    @property
    def home(self) -> str:
        return self.url("ask")

    def urls(self, form: PollForm, poll: Poll | None) -> Mapping[str, object]:  # noqa: ARG002 - there is none
        return {"form_url": self.home, "here": f"{self.home}?copy={self.copied}" if self.copied else self.home}

    @property
    def copied(self) -> str:
        """The slug of the poll to copy, from the query, or nothing. Raises PollNotFound if it isn't one."""
        slug = self.request.query.get("copy", "")
        if slug and not _SLUG.fullmatch(slug):
            raise PollNotFound(slug)
        return slug

    async def get(self) -> web.StreamResponse:
        config = self.request.app[CONFIG]
        if slugs := asked_slugs(self.request):
            found = {poll.question.slug: poll for poll in await asking.find_all(self.database, slugs)}
            self.asked = [(slug, found.get(slug)) for slug in slugs]
        if not (self.asked or config.creating.is_open):
            raise web.HTTPForbidden
        if not (self.asked or self.copied or config.development):
            return self._show_empty_form()
        self.key = access_keys.new_key()
        response = self.show_form(await self._copy_form() if self.copied else new_poll_form(), None)
        delete_oldest_asked(self.request, response)
        return response

    async def _copy_form(self) -> PollForm:
        """Return the form filled with the texts and settings of the poll to copy, which all visitors may see.

        Raises PollNotFound, PollTakenDown and PollsUnavailable.
        """
        # Owners' cookies aren't sent here, so a poll that isn't public can't be copied.
        visible = visible_to(await find_poll(self.request.app, self.copied), ANONYMOUS)
        return copy_form(visible.poll, self.zone)

    def _show_empty_form(self) -> web.Response:
        """Show the page of a browser that hasn't asked yet. It is rendered once for each language."""
        pages, tag = self.request.app[EMPTY_FORMS], self.language.tag
        if tag not in pages:
            self.key = _NO_KEY
            pages[tag] = self.show_form(new_poll_form(), None).text or ""
        # Rendering takes 3 ms, replacing the key 10 µs.
        page = pages[tag].replace(_NO_KEY, access_keys.new_key())
        return web.Response(text=page, content_type="text/html", headers={"Content-Language": tag, "Vary": VARY})

    async def post(self) -> web.StreamResponse:
        if not self.request.app[CONFIG].creating.is_open:
            raise web.HTTPForbidden
        fields = await self.read_fields()
        form, action = self._parse(fields), fields.get("do", "")
        if chosen := ready_made_polls(self.language).get(action.removeprefix("ready-made.")):
            return self.show_form(chosen.fill(form), None)
        try:
            return await self.show_changed(form, None, action) or await self._ask(form)
        except (TooManyPolls, TooManyAttempts, PollsUnavailable) as error:
            return self._show_problem(form, error)

    def _parse(self, fields: MultiMapping[str]) -> PollForm:
        key = fields.get("access_key", "")
        self.key = key if _KEY.fullmatch(key) else access_keys.new_key()
        self.site_password = text_field(fields, "site_password")
        return replace(parse_form(fields), published=DateTimeFields(), key="")

    async def _ask(self, form: PollForm) -> web.StreamResponse:
        """Save the poll and redirect to its page for the owner, or show the form with its errors.

        Raises TooManyPolls, TooManyAttempts and PollsUnavailable.
        """
        key_hash = access_keys.hash_of(self.key)
        if poll := await owners.find_poll(self.database, key_hash):
            slug = poll.question.slug
        else:
            validation = Validation(form, None, self.zone, await now(self.database), self.language)
            draft = validation.draft()
            self._check_password(validation.errors)
            self._check_choices(validation)
            if draft is not None:
                check_words(self.request, draft, validation)
            if draft is None or validation.errors:
                return self.show_form(validation.form, None, status=400, errors=validation.errors)
            self.request.app[POLL_RATE_LIMIT].check(client_network(self.request), key_hash.hex())
            slug = await asking.add(self.database, self.person, draft, key_hash)
        response = self.redirect(self.url("manage", slug=slug))
        set_flash(CookieSetter(self.request, response), Flash("asked"), path=self.url("poll", slug=slug))
        set_owner_cookie(self.request, response, slug, self.key)
        add_to_asked(self.request, response, slug)
        return response

    def _check_password(self, errors: dict[str, str]) -> None:
        """Add an error if the password of the site is wrong. Raises TooManyAttempts."""
        creating, _ = self.request.app[CONFIG].creating, self.language.gettext
        if creating.who != "password" or creating.password is None:
            return
        typed = (self.site_password or "").strip().encode()
        # Different passwords are counted, so that those who share a network and know it don't shut each other out.
        self.request.app[PASSWORD_RATE_LIMIT].check(client_network(self.request), hashlib.sha256(typed).hexdigest())
        if not hmac.compare_digest(typed, creating.password.strip().encode()):
            errors["site_password"] = _("This is not the password of this site.") if typed else _("Enter the password.")

    def _check_choices(self, validation: Validation) -> None:
        if sum(not row.is_empty for row in validation.form.rows) < _FEWEST_CHOICES:
            validation.errors.setdefault("choices", self.language.gettext("Enter at least two choices."))

    def _show_problem(self, form: PollForm, error: Exception) -> web.Response:
        """Show the form, with everything typed, and the reason why it wasn't saved."""
        problem = describe_error(error, self.language)
        response = self.show_form(form, None, status=problem.status, problem=problem)
        if problem.retry_after is not None:
            response.headers[hdrs.RETRY_AFTER] = str(problem.retry_after)
        return response

    def show_form(self, form: PollForm, poll: Poll | None, *, status: int = 200, **context: object) -> web.Response:
        own = {
            "access_key": self.key,
            "asked": self.asked,
            "needs_password": self.request.app[CONFIG].creating.who == "password",
            "site_password": self.site_password or "",
            "ready_made": ready_made_polls(self.language),
            "problem": None,
        }
        return super().show_form(form, poll, status=status, **{**own, **context})
