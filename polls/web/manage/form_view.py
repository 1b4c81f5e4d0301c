"""The form of a poll: parsing, validation, conflicts. Its users say who fills it in, and what is done with it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, tzinfo

from aiohttp import web
from multidict import MultiMapping

from polls.domain.draft import Draft
from polls.domain.errors import (
    ChoicesHaveVotes,
    ChoicesMarkedBesideOthers,
    PollEdited,
    PollNotFound,
    PollSealed,
    RemovalRevealsResults,
    RulesFixed,
    SlugTaken,
)
from polls.domain.methods import METHODS
from polls.domain.poll import FIRST_DAY, LAST_DAY, Poll
from polls.domain.settings import DEFAULT_SETTINGS
from polls.domain.visibility import Viewer, visible_to
from polls.storage import editing, history, questions
from polls.storage.clock import now
from polls.storage.history import HistoryEvent, poll_subject
from polls.web.http.forms import read_form
from polls.web.keys import CONFIG
from polls.web.manage.form_validation import Validation
from polls.web.manage.poll_form import (
    MAX_BYTES,
    DateTimeFields,
    PollForm,
    format_moment,
    has_dates,
    local_time,
    moments_at,
    parse_form,
    poll_form,
    rebase,
)
from polls.web.pages.flash import Flash
from polls.web.pages.private import PersonalView

_MAX_ENTRIES = 20  # of the history, shown in an edit conflict


class PollFormView(PersonalView):
    """A form with the texts, dates and settings of a poll."""

    template = "manage/poll_form.html"
    max_form_size = MAX_BYTES
    _fields: MultiMapping[str] | None = None

    @property
    def zone(self) -> tzinfo:
        """The time zone of the dates in the form."""
        return self.request.app[CONFIG].site.zone

    async def find_poll(self) -> Poll | None:
        """Return the poll to edit, None for a new one. Raises if the person may not edit or add it."""
        raise NotImplementedError

    async def save(self, form: PollForm, draft: Draft, poll: Poll | None) -> int:
        """Save the draft of `poll` or of a new one, and return its id. Raises as `editing.change` does."""
        raise NotImplementedError

    def check_draft(self, draft: Draft, validation: Validation) -> None:
        """Add errors to `validation` if the person's polls may not be like `draft`, which is valid."""

    def next_url(self, action: str, question_id: int, back: str) -> str:  # noqa: ARG002 - for those with more buttons
        """Return where the button `action` leads after saving."""
        return back

    def urls(self, form: PollForm, poll: Poll | None) -> Mapping[str, object]:
        """Return the URLs in the page: `form_url` and `here`, by which other languages show it."""
        raise NotImplementedError

    async def read_fields(self) -> MultiMapping[str]:
        """Return the posted fields, which are read once. Raises as `read_form` does."""
        if self._fields is None:
            self._fields = await read_form(self.request, max_size=self.max_form_size)
        return self._fields

    async def post(self) -> web.StreamResponse:
        poll = await self.find_poll()
        fields = await self.read_fields()
        form, action = parse_form(fields), fields.get("do", "")
        if changed := await self.show_changed(form, poll, action):
            return changed
        moment = await now(self.database)
        validation = Validation(form, poll, self.zone, moment, self.language)
        draft = self._checked(validation)
        if draft is None:
            return self.show_form(validation.form, poll, status=400, errors=validation.errors)
        try:
            question_id = await self.save(form, draft, poll)
        except ChoicesHaveVotes as error:
            return self.show_form(form, poll, status=409, removed_votes=error.votes)
        except (ChoicesMarkedBesideOthers, RemovalRevealsResults, RulesFixed, PollSealed) as error:
            errors = self._errors_of_ballots(form, error)
            return self.show_form(form, await self.find_poll(), status=409, errors=errors)
        except SlugTaken:
            errors = {"slug": self.language.gettext("Another poll has this address. Choose another one.")}
            return self.show_form(form, poll, status=409, errors=errors)
        except PollEdited as error:
            question_id, saved = error.question_id, await questions.find(self.database, error.question_id)
            if saved is None or not self.person.may_edit(saved):
                raise PollNotFound(question_id) from None
            if not draft.is_saved_in(saved):
                return await self._show_conflict(form, saved)
        kind = "saved" if poll else "published" if draft.is_open(moment) else "added"
        custom_slug = (poll.question.custom_slug if poll else None) if draft.custom_slug is None else draft.custom_slug
        flash = Flash(kind, question_id, custom_slug=custom_slug or "")
        return self.redirect(self.next_url(action, question_id, self.back_url(form.back)), flash)

    def _checked(self, validation: Validation) -> Draft | None:
        """Return the draft, or None if `validation` has errors."""
        draft = validation.draft()
        if draft is not None:
            self.check_draft(draft, validation)
        return None if validation.errors else draft

    def _errors_of_ballots(self, form: PollForm, error: Exception) -> dict[str, str]:
        """Return the error messages, by field, of changes that can't be made while there are ballots."""
        _ = self.language.gettext
        if isinstance(error, ChoicesMarkedBesideOthers):
            message = _("Voters have marked this choice beside others. Untick “Remove”, or clear the ballots first.")
            return {f"choice.{row.number}": message for row in form.rows if row.id and int(row.id) in error.votes}
        if isinstance(error, RemovalRevealsResults):
            message = _(
                "The results are hidden, and removing this choice would tell some. Untick “Remove”, or clear the "
                "ballots first."
            )
            return {f"choice.{row.number}": message for row in form.rows if row.id and int(row.id) in error.choice_ids}
        if isinstance(error, PollSealed):
            if error.is_reopened:
                return {"closes": _("The results are sealed: the poll can't be reopened. Clear the ballots first.")}
            return {"results": _("The results are sealed, and there are ballots: this can't change.")}
        return {
            "method": _("There are ballots: voting can't change. Enter what was saved, or clear the ballots first.")
        }

    def show_form(self, form: PollForm, poll: Poll | None, *, status: int = 200, **context: object) -> web.Response:
        """Show the form.

        `context` may have the number of the `focused` row, `errors` by field, `removed_votes`: {id of a removed choice:
        its votes}, and `conflict`: the `saved` form of the poll as another request saved it since, with the `entries`
        of the history about that.
        """
        settings = poll.settings if poll else DEFAULT_SETTINGS
        return self.show(
            self.template,
            status=status,
            **{
                "form": form,
                "poll": poll,
                "settings": form.settings.completed(settings),
                "methods": METHODS,
                "votes": self._votes_by_row(form, poll),
                "first_day": FIRST_DAY,
                "last_day": LAST_DAY,
                "zone": self.request.app[CONFIG].site.time_zone,
                "moments_at": self._moments_at,
                "has_dates": has_dates(form, poll, self.zone),
                "focused": None,
                "errors": {},
                "removed_votes": {},
                "conflict": None,
                "may_set_slug": self.person.may_moderate,
                "back": self.back_url(form.back),
                **self.urls(form, poll),
                **context,
            },
        )

    def _votes_by_row(self, form: PollForm, poll: Poll | None) -> dict[int, int]:
        """Return {row number: votes} of the rows of saved choices, empty if they are hidden from the owner, too."""
        if poll is None or visible_to(poll, Viewer(person=self.person)).hidden:
            return {}
        votes = {str(choice.id): choice.votes for choice in poll.choices}
        return {row.number: votes[row.id] for row in form.rows if row.id in votes}

    async def show_changed(self, form: PollForm, poll: Poll | None, action: str) -> web.Response | None:
        """Show the form changed by the button `action`, which saves nothing; return None for one that saves."""
        if action in {"add_choice", "next_choice"}:
            return self._show_next_row(form, poll, is_new=action == "add_choice")
        changed = await self._apply_button(form, action)
        return self.show_form(changed, poll) if changed else None

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


class ChangePollView(PollFormView):
    """The form that changes a poll."""

    async def find_poll(self) -> Poll:
        raise NotImplementedError

    async def get(self) -> web.StreamResponse:
        poll = await self.find_poll()
        form = poll_form(poll, self.zone)
        return self.show_form(replace(form, back=self.request.query.get("back", "")), poll)

    async def save(self, form: PollForm, draft: Draft, poll: Poll | None) -> int:
        assert poll is not None  # nosec B101
        question_id = poll.question.id
        await editing.change(self.database, self.person, question_id, draft, confirmed=form.confirmed)
        return question_id
