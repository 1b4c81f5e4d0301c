"""The admin's list of polls."""

import asyncio
from datetime import datetime
from types import SimpleNamespace

from aiohttp import web
from yarl import URL

from polls.domain.poll import State, Visibility
from polls.storage import calendar, clock, listing
from polls.storage.listing import MAX_COUNT, Column, PollFilter, PollRow
from polls.web.admin.list_query import DateFilter, Query, period_of, subperiods
from polls.web.keys import CONFIG
from polls.web.pages.languages import Language
from polls.web.pages.private import SignedInView
from polls.web.pages.rendering import iso

PAGE_SIZE = 100

_MAX_YEARS = 100  # in the calendar filter: the latest ones


class PollListView(SignedInView):
    """The list of all polls, public or not: filtered, searched, sorted, PAGE_SIZE a page."""

    async def get(self) -> web.StreamResponse:
        if not self.person.may_see_all:
            raise web.HTTPForbidden
        zone = self.request.app[CONFIG].site.zone
        query = Query.parse(self.request.query)
        poll_filter = query.to_filter(await clock.now(self.database), zone)
        poll_filter, count = await listing.prefetch_matches(self.database, poll_filter)
        is_count_capped, count = count > MAX_COUNT, min(count, MAX_COUNT)
        last_page = max(1, -(-count // PAGE_SIZE))
        skip = (query.page - 1) * PAGE_SIZE
        found, calendar = await asyncio.gather(
            listing.page(self.database, poll_filter, skip=skip, limit=PAGE_SIZE + 1),
            self._calendar(query, poll_filter),
        )
        if query.page > 1 and not found:  # the polls of this page may have been deleted since the link was made
            return self.redirect(self._list_url(query.replace(page=last_page)))
        return self.show(
            "admin/poll_list.html",
            query=query,
            rows=[_list_row(row, poll_filter.now, self.language) for row in found[:PAGE_SIZE]],
            count=count,
            is_count_capped=is_count_capped,
            total=await self._total(poll_filter) if query.is_filtered else count,
            max_count=MAX_COUNT,
            last_page=None if is_count_capped else last_page,
            has_next=len(found) > PAGE_SIZE,
            calendar=calendar,
            columns=list(Column),
            states=list(State),
            visibilities=list(Visibility),
            dates=list(DateFilter),
            matching=URL().with_query(query.replace().parameters).raw_query_string,
            list_url=self._list_url,
            back_query=self.with_back("", str(self.request.rel_url)),
            here=str(self.request.rel_url),
        )

    async def _total(self, poll_filter: PollFilter) -> int:
        """Return the number of all polls, or MAX_COUNT + 1 if there are more than MAX_COUNT."""
        _, total = await listing.prefetch_matches(self.database, PollFilter(poll_filter.now))
        return total

    async def _calendar(self, query: Query, poll_filter: PollFilter) -> list[tuple[int, ...]]:
        """Return the years with matching polls, or those months or days of the period that `query` has selected."""
        zone = self.request.app[CONFIG].site.zone
        span = await calendar.span(self.database)
        if span is None:
            return []
        first, last = (moment.astimezone(zone).year for moment in (span.start, span.end))
        parts = subperiods(query.within, range(max(first, last + 1 - _MAX_YEARS), last + 1))
        periods = {period_of(part, zone): part for part in parts}
        found = await calendar.periods_with_polls(self.database, poll_filter, list(periods))
        return [periods[period] for period in found]

    def _list_url(self, query: Query) -> str:
        return str(URL(self.url("admin")).with_query(query.parameters))


def _list_row(row: PollRow, now: datetime, language: Language) -> SimpleNamespace:
    """Return a row of the list, formatted here because function calls in a template take ten times as long."""
    question = row.question
    return SimpleNamespace(
        id=question.id,
        text=question.text,
        pub_date=iso(question.pub_date),
        moment=language.gettext("%(date)s, %(time)s")
        % {"date": language.date(question.pub_date), "time": language.time(question.pub_date)},
        is_recent=question.was_published_recently(now),
        state=question.state(now),
        visibility=question.visibility,
        slug=question.slug,
        has_choices=row.has_choices,
        ballots=language.number(row.ballots),
    )
