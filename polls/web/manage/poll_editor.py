"""Views of the form that adds and edits polls."""

import secrets
from dataclasses import replace
from datetime import datetime, tzinfo

from aiohttp import web
from multidict import MultiMapping

from polls.domain.draft import Draft
from polls.domain.errors import ChoicesHaveVotes, ChoicesMarkedBesideOthers, PollEdited, PollNotFound, RulesFixed
from polls.domain.methods import METHODS
from polls.domain.poll import FIRST_DAY, LAST_DAY, Poll
from polls.domain.settings import DEFAULT_SETTINGS
from polls.storage import editing, history, questions
from polls.storage.clock import now
from polls.storage.history import HistoryEvent, poll_subject
from polls.web.http.forms import read_form
from polls.web.http.parameters import parse_number
from polls.web.keys import CONFIG
from polls.web.manage.form_validation import Validation
from polls.web.manage.poll_form import (
    FORM_KEY,
    MAX_BYTES,
    DateTimeFields,
    PollForm,
    copy_form,
    format_moment,
    has_dates,
    local_time,
    moments_at,
    new_poll_form,
    parse_form,
    poll_form,
    rebase,
    votes_by_row,
)
from polls.web.pages.flash import Flash
from polls.web.pages.private import EditablePollView, SignedInView

_MAX_ENTRIES = 20  # of the history, shown in an edit conflict


class AddPollView(SignedInView):
    """The form that adds a poll."""

    max_form_size = MAX_BYTES

    @property
    def zone(self) -> tzinfo:
        """The time zone of the dates in the form."""
        return self.request.app[CONFIG].site.zone

    async def find_poll(self) -> Poll | None:
        """Return the poll to edit, None for a new one. Raises PollNotFound, HTTPForbidden."""
        if not self.person.may_create_polls:
            raise web.HTTPForbidden
        return None

    async def resume(self, form: MultiMapping[str]) -> web.StreamResponse:
        return self.show_form(parse_form(form), await self.find_poll(), flash=Flash("signed-in-again"))

    async def save(self, form: PollForm, draft: Draft) -> int:
        """Save the draft and return the poll's id. Raises as `editing.change` does."""
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
            return self.redirect(self.with_back(self.url("poll_edit", slug=str(question_id)), self.back_url(back)))
        form = await self._copy_form(int(copied["copy"])) if copied else new_poll_form()
        return self.show_form(replace(form, key=key, back=back), None)

    def _copied_id(self) -> dict[str, str]:
        """Return the parameter of the URL that names the poll to copy, or none."""
        copied = self.request.query.get("copy", "")
        return {"copy": copied} if parse_number(copied) else {}

    async def _copy_form(self, question_id: int) -> PollForm:
        """Return the form filled with the texts and settings of a poll. Raises PollNotFound."""
        poll = await questions.find(self.database, question_id)
        if poll is None or not self.person.may_edit(poll):
            raise PollNotFound(question_id)
        return copy_form(poll, self.zone)

    async def post(self) -> web.StreamResponse:
        poll = await self.find_poll()
        fields = await read_form(self.request, max_size=self.max_form_size)
        form, action = parse_form(fields), fields.get("do", "")
        if action in {"add_choice", "next_choice"}:
            return self._show_next_row(form, poll, is_new=action == "add_choice")
        if changed := await self._apply_button(form, action):
            return self.show_form(changed, poll)
        moment = await now(self.database)
        validation = Validation(form, poll, self.zone, moment, self.language)
        draft = validation.draft()
        if draft is None:
            return self.show_form(validation.form, poll, status=400, errors=validation.errors)
        try:
            question_id = await self.save(form, draft)
        except ChoicesHaveVotes as error:
            return self.show_form(form, poll, status=409, removed_votes=error.votes)
        except (ChoicesMarkedBesideOthers, RulesFixed) as error:
            errors = self._errors_of_ballots(form, error)
            return self.show_form(form, await self.find_poll(), status=409, errors=errors)
        except PollEdited as error:
            question_id, saved = error.question_id, await questions.find(self.database, error.question_id)
            if saved is None or not self.person.may_edit(saved):
                raise PollNotFound(question_id) from None
            if not draft.is_saved_in(saved):
                return await self._show_conflict(form, saved)
        kind = "saved" if poll else "published" if draft.is_open(moment) else "added"
        return self.redirect(self._next_url(action, question_id, self.back_url(form.back)), Flash(kind, question_id))

    def _errors_of_ballots(self, form: PollForm, error: Exception) -> dict[str, str]:
        """Return the error messages, by field, of changes that can't be made while there are ballots."""
        _ = self.language.gettext
        if isinstance(error, ChoicesMarkedBesideOthers):
            message = _("Voters have marked this choice beside others. Untick “Remove”, or clear the ballots first.")
            return {f"choice.{row.number}": message for row in form.rows if row.id and int(row.id) in error.votes}
        return {
            "method": _("There are ballots: voting can't change. Enter what was saved, or clear the ballots first.")
        }

    def _next_url(self, action: str, question_id: int, back: str) -> str:
        """Return where the button `action` leads after saving."""
        if action == "continue":
            return self.with_back(self.url("poll_edit", slug=str(question_id)), back)
        return self.with_back(self.url("poll_add"), back) if action == "another" else back

    def show_form(self, form: PollForm, poll: Poll | None, *, status: int = 200, **context: object) -> web.Response:
        """Show the form.

        `context` may have the number of the `focused` row, `errors` by field, `removed_votes`: {id of a removed choice:
        its votes}, and `conflict`: the `saved` form of the poll as another request saved it since, with the `entries`
        of the history about that.
        """
        back = self.back_url(form.back)
        settings = poll.settings if poll else DEFAULT_SETTINGS
        form_url = self.url("poll_edit", slug=poll.question.slug) if poll else self.url("poll_add")
        return self.show(
            "manage/poll_form.html",
            status=status,
            **{
                "form": form,
                "poll": poll,
                "settings": form.settings.completed(settings),
                "methods": METHODS,
                "votes": votes_by_row(form, poll),
                "first_day": FIRST_DAY,
                "last_day": LAST_DAY,
                "zone": self.request.app[CONFIG].site.time_zone,
                "moments_at": self._moments_at,
                "has_dates": has_dates(form, poll, self.zone),
                "focused": None,
                "errors": {},
                "removed_votes": {},
                "conflict": None,
                "back": back,
                "form_url": form_url,
                "here": self.with_back(
                    form_url, back, **({"key": form.key, **self._copied_id()} if form.key and not poll else {})
                ),
                **context,
            },
        )

    def _show_next_row(self, form: PollForm, poll: Poll | None, *, is_new: bool) -> web.Response:
        """Show the form with the first empty row focused; a row is added if there is none or it must be a new one."""
        empty = [row for row in form.rows if row.is_empty]
        if is_new or not empty:
            form = form.with_rows_added(1)
        row = form.rows[-1] if is_new or not empty else empty[0]
        return self.show_form(form, poll, focused=row.number)

    def _moments_at(self, fields: DateTimeFields) -> list[datetime]:
        """Return the moments that `fields` may mean."""
        local = local_time(fields)
        return moments_at(local, self.zone) if local else []

    async def _apply_button(self, form: PollForm, action: str) -> PollForm | None:
        """Return the form changed by the button "today.closes", "now.closes" ...; None for a button that saves.

        A script does the same in the browser; these make the form work without it.
        """
        button, _, field = action.partition(".")
        if button not in {"today", "now"} or field not in {"published", "closes"}:
            return None
        current, value = format_moment(await now(self.database), self.zone), getattr(form, field)
        now_shown = {"date": current.date} if button == "today" else {"time": current.time}
        return replace(form, **{field: value._replace(**now_shown)})

    async def _show_conflict(self, form: PollForm, poll: Poll) -> web.Response:
        """Show the form as it was posted, beside `poll`, which was saved since it was loaded."""
        entries: list[HistoryEvent] = []
        if not form.key:  # else the changes since are those of the form itself
            entries = await history.latest(
                self.database, subject=poll_subject(poll.question.id), after_edition=form.edition, limit=_MAX_ENTRIES
            )
        conflict = {"entries": entries, "saved": poll_form(poll, self.zone)}
        return self.show_form(rebase(form, poll, self.zone), poll, status=409, conflict=conflict)


class EditPollView(EditablePollView, AddPollView):
    """The same form, to edit a poll."""

    async def get(self) -> web.StreamResponse:
        poll = await self.find_poll()
        form = poll_form(poll, self.zone)
        return self.show_form(replace(form, back=self.request.query.get("back", "")), poll)

    async def save(self, form: PollForm, draft: Draft) -> int:
        await editing.change(self.database, self.person, self.question_id, draft, confirmed=form.confirmed)
        return self.question_id
