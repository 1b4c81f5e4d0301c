"""The form that adds a poll, and those that edit one: for admins and for its owner."""

import secrets
from collections.abc import Mapping
from dataclasses import replace

from aiohttp import hdrs, web
from multidict import MultiMapping

from polls.domain.draft import Draft
from polls.domain.errors import AccessKeyRequired, PollNotFound, PollsUnavailable, TooManyAttempts
from polls.domain.poll import Poll
from polls.storage import editing, questions
from polls.web.http.parameters import parse_number
from polls.web.manage.form_validation import Validation
from polls.web.manage.form_view import ChangePollView, PollFormView
from polls.web.manage.own_poll import OwnPollView
from polls.web.manage.poll_form import FORM_KEY, PollForm, copy_form, new_poll_form, parse_form
from polls.web.manage.refused_words import check_words
from polls.web.pages.error_responses import wants_json
from polls.web.pages.flash import Flash
from polls.web.pages.private import EditablePollView, SignedInView
from polls.web.pages.problems import describe_error


class _AdminFormView(PollFormView, SignedInView):
    async def resume(self, form: MultiMapping[str]) -> web.StreamResponse:
        return self.show_form(parse_form(form), await self.find_poll(), flash=Flash("signed-in-again"))

    def urls(self, form: PollForm, poll: Poll | None) -> Mapping[str, object]:
        if poll:
            form_url, parameters = self.url("poll_edit", id=str(poll.question.id)), {}
        else:
            form_url, parameters = self.url("poll_add"), {"key": form.key, **self._copied_id()} if form.key else {}
        return {"form_url": form_url, "here": self.with_back(form_url, self.back_url(form.back), **parameters)}

    def next_url(self, action: str, question_id: int, back: str) -> str:
        if action == "continue":
            return self.with_back(self.url("poll_edit", id=str(question_id)), back)
        return self.with_back(self.url("poll_add"), back) if action == "another" else back

    def _copied_id(self) -> dict[str, str]:
        """Return the parameter of the URL that names the poll to copy, or none."""
        copied = self.request.query.get("copy", "")
        return {"copy": copied} if parse_number(copied) else {}


class AddPollView(_AdminFormView):
    """The form that adds a poll."""

    async def find_poll(self) -> None:
        """Raise HTTPForbidden if the person may not add polls."""
        if not self.person.may_create_polls:
            raise web.HTTPForbidden

    async def save(self, form: PollForm, draft: Draft, poll: Poll | None) -> int:  # noqa: ARG002 - there is none
        return await editing.add(self.database, self.person, draft, form_key=bytes.fromhex(form.key) or None)

    async def get(self) -> web.StreamResponse:
        await self.find_poll()
        key, back = self.request.query.get("key", ""), self.request.query.get("back", "")
        copied = self._copied_id()
        if not FORM_KEY.fullmatch(key):
            # The key is in the URL, so that it is the same after going back to the form.
            url = self.with_back(self.request.path, self.back_url(back), key=secrets.token_hex(16), **copied)
            return self.redirect(url)
        if question_id := await editing.added_by_form(self.database, bytes.fromhex(key)):
            return self.redirect(self.with_back(self.url("poll_edit", id=str(question_id)), self.back_url(back)))
        form = await self._copy_form(int(copied["copy"])) if copied else new_poll_form()
        return self.show_form(replace(form, key=key, back=back), None)

    async def _copy_form(self, question_id: int) -> PollForm:
        """Return the form filled with the texts and settings of a poll. Raises PollNotFound."""
        poll = await questions.find(self.database, question_id)
        if poll is None or not self.person.may_edit(poll):
            raise PollNotFound(question_id)
        return copy_form(poll, self.zone)


class EditPollView(EditablePollView, ChangePollView, _AdminFormView):
    """The same form, to edit a poll."""


class EditOwnPollView(OwnPollView, ChangePollView):
    """The same form, for the owner of a poll."""

    template = "manage/edit.html"

    def urls(self, form: PollForm, poll: Poll | None) -> Mapping[str, object]:  # noqa: ARG002 - the poll is in the URL
        form_url = self.url("own_poll_edit", slug=self.slug)
        return {"form_url": form_url, "here": form_url}

    async def respond(self) -> web.StreamResponse:
        try:
            return await super().respond()
        except (AccessKeyRequired, PollNotFound, PollsUnavailable, TooManyAttempts) as error:
            if self.request.method != hdrs.METH_POST or wants_json(self.request):
                raise
            return await self._show_unsaved(error)

    async def _show_unsaved(self, error: Exception) -> web.Response:
        """Show what was typed, from the request alone, with a button that sends it again."""
        fields = await self.read_fields()
        problem = describe_error(error, self.language)
        response = self.show(
            "manage/not_saved.html",
            status=problem.status,
            problem=problem,
            needs_key=isinstance(error, AccessKeyRequired),
            form=parse_form(fields),
            fields=[(name, value) for name, value in fields.items() if name != "do"],
            form_url=self.url("own_poll_edit", slug=self.slug),
            here=self.home,
        )
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
        if problem.retry_after is not None:
            response.headers[hdrs.RETRY_AFTER] = str(problem.retry_after)
        return response

    def check_draft(self, draft: Draft, validation: Validation) -> None:
        check_words(self.request, draft, validation)

    async def save(self, form: PollForm, draft: Draft, poll: Poll | None) -> int:
        self.check_rate()
        return await super().save(form, draft, poll)
