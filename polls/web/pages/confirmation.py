"""Actions on polls, each confirmed on a page of its own: those of owners, and those of admins besides."""

from collections.abc import Sequence

from aiohttp import web

from polls.storage import bulk_editing, moderation, questions
from polls.web.pages.flash import Flash
from polls.web.pages.private import PersonalView

# Each with the kind of its flash message.
ACTIONS = {
    "close": (bulk_editing.close, "closed"),
    "reopen": (bulk_editing.reopen, "reopened"),
    "reveal": (bulk_editing.reveal, "revealed"),
    "clear": (bulk_editing.clear, "cleared"),
    "delete": (bulk_editing.delete, "deleted"),
}
ADMIN_ACTIONS = {
    **ACTIONS,
    "list": (moderation.make_listed, "listed"),
    "unlist": (moderation.unlist, "unlisted"),
    "hide": (moderation.take_down, "hidden"),
    "show": (moderation.put_back_up, "shown"),
}

_SHOWN = 12  # polls that a confirmation names


class ConfirmView(PersonalView):
    """A page that asks whether to run an action."""

    max_seconds = 10.0  # of a request; then it asks to go on with the rest

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
            flash=Flash(ADMIN_ACTIONS[action][1], done, others) if done else None,
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
        change, kind = ADMIN_ACTIONS[action]
        progress = await bulk_editing.in_batches(
            change, self.database, self.person, question_ids, seconds=self.max_seconds
        )
        done += progress.changed
        others += len(question_ids) - len(progress.rest) - progress.changed
        if progress.rest:
            return await self.show_confirmation(action, progress.rest, back=back, here=back, done=done, others=others)
        return self.show_result(back, Flash(kind, done, others) if done else Flash(f"not-{kind}", others))

    def show_result(self, back: str, flash: Flash) -> web.Response:
        """Redirect to `back`, which shows what was done."""
        return self.redirect(back, flash)
