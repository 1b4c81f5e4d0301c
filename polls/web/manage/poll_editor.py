"""Adding polls, and changing them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import tzinfo

from aiohttp import web

from polls.domain.draft import Draft
from polls.domain.errors import ChoicesHaveVotes, PollEdited
from polls.domain.poll import FIRST_DAY, LAST_DAY, Poll
from polls.storage import editing, history
from polls.storage.clock import now
from polls.storage.history import of_poll
from polls.web.http.forms import read_form
from polls.web.keys import CONFIG, DATABASE
from polls.web.manage.poll_form import (
    MOST_BYTES,
    PollForm,
    blank,
    drafted,
    filled,
    merged,
    typed,
    votes_by_row,
    written,
)
from polls.web.pages.private import AdminPollView, AdminView

_MOST_TOLD = 20  # of the changes that somebody else has made meanwhile


class _FormView(AdminView):
    """The form of a poll."""

    @property
    def zone(self) -> tzinfo:
        """The time zone in which dates are typed."""
        return self.request.app[CONFIG].site.zone

    async def save(self, form: PollForm, draft: Draft) -> int:
        """Save what the form means, and return the poll's id."""
        raise NotImplementedError

    async def poll(self) -> Poll | None:
        """The poll that the form changes, None where it adds one."""
        raise NotImplementedError

    async def post(self) -> web.StreamResponse:
        poll = await self.poll()
        fields = await read_form(self.request, most=MOST_BYTES)
        form, deed = typed(fields), fields.get("do", "")
        if aided := await self._aided(form, deed):
            return self.ask(aided, poll)
        draft, faults = drafted(form, poll, self.zone, self.language)
        if draft is None:
            return self.ask(form, poll, status=400, faults=faults)
        try:
            question_id = await self.save(form, draft)
        except ChoicesHaveVotes as error:
            return self.ask(form, poll, status=409, at_risk=error.votes)
        except PollEdited:
            return await self._tell_what_changed(form)
        flash = "added" if poll is None else "saved"
        if deed == "continue":
            return self.go(self.url("admin_poll", slug=str(question_id)), flash=flash, about=question_id)
        return self.go(self.url("admin_add" if deed == "another" else "admin"), flash=flash, about=question_id)

    def ask(self, form: PollForm, poll: Poll | None, *, status: int = 200, **context: object) -> web.Response:
        """Show the form."""
        no_faults: Mapping[str, str] = {}
        return self.show(
            "manage/poll_form.html",
            status=status,
            **{
                "form": form,
                "poll": poll,
                "votes": votes_by_row(form, poll),
                "first_day": FIRST_DAY,
                "last_day": LAST_DAY,
                "zone": self.request.app[CONFIG].site.time_zone,
                "faults": no_faults,
                "at_risk": {},
                "meanwhile": None,
                "here": self.request.path,
                **context,
            },
        )

    async def _aided(self, form: PollForm, deed: str) -> PollForm | None:
        """The form with what one of its helping buttons does; these save nothing, and need no script."""
        if deed == "add_choice":
            return form.with_another_slot
        help_, _, where = deed.partition(".")
        if help_ not in {"today", "now"} or where not in {"published", "closes"}:
            return None
        here, when = written(await now(self.request.app[DATABASE]), self.zone), getattr(form, where)
        when = replace(when, date=here.date) if help_ == "today" else replace(when, time=here.time)
        return replace(form, **{where: when})

    async def _tell_what_changed(self, form: PollForm) -> web.Response:
        """Show the form as it was typed, beside what somebody else has saved meanwhile."""
        poll = await self.poll()
        assert poll is not None  # noqa: S101 - a poll that isn't there raises PollNotFound
        entries = await history.latest(
            self.request.app[DATABASE],
            subject=of_poll(poll.question.id),
            after_edition=form.edition,
            limit=_MOST_TOLD,
        )
        return self.ask(
            merged(form, poll),
            poll,
            status=409,
            meanwhile={"entries": entries, "saved": filled(poll, self.zone)},
        )


class AddView(_FormView):
    """A new poll."""

    async def get(self) -> web.StreamResponse:
        await self.poll()
        return self.ask(blank(await now(self.request.app[DATABASE]), self.zone), None)

    async def poll(self) -> None:
        if not self.person.may_add:
            raise web.HTTPForbidden

    async def save(self, form: PollForm, draft: Draft) -> int:  # noqa: ARG002 - there is no edition yet
        return await editing.add(self.request.app[DATABASE], self.person, draft)


class ChangeView(_FormView, AdminPollView):
    """A poll that there is."""

    async def get(self) -> web.StreamResponse:
        poll = await self.find()
        return self.ask(filled(poll, self.zone), poll)

    async def poll(self) -> Poll:
        return await self.find()

    async def save(self, form: PollForm, draft: Draft) -> int:
        await editing.change(
            self.request.app[DATABASE],
            self.person,
            self.question_id,
            draft,
            confirmed=form.confirmed,
        )
        return self.question_id
