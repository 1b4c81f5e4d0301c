"""The list of polls, for those who look after them."""

import asyncio
from datetime import datetime
from typing import NamedTuple

from aiohttp import web
from yarl import URL

from polls.domain.poll import State
from polls.storage import clock, listing
from polls.storage.listing import MOST_COUNTED, Column, PollRow
from polls.web.admin.list_query import Dates, Query, period_of, subperiods
from polls.web.keys import CONFIG, DATABASE
from polls.web.pages.languages import Language
from polls.web.pages.private import AdminView, PrivateView

PAGE_SIZE = 100

_MOST_YEARS = 100  # the newest, where there are polls of more


class Row(NamedTuple):
    """A line of the list. It is made here, since a template takes ten times as long for each call in it."""

    id: int
    text: str
    pub_date: str
    moment: str
    is_recent: bool
    state: State
    has_choices: bool
    ballots: str


class EntranceView(PrivateView):
    """The address that people type: the list's without its last stroke."""

    async def get(self) -> web.StreamResponse:
        return self.go(self.url("admin"))


class ListView(AdminView):
    """All polls, public or not: filtered, searched, sorted, a hundred a page."""

    async def get(self) -> web.StreamResponse:
        if not self.person.may_see_all:
            raise web.HTTPForbidden
        database, zone = self.request.app[DATABASE], self.request.app[CONFIG].site.zone
        query = Query.read(self.request.query)
        wanted, count = await listing.prefetch_matches(database, query.wanted(await clock.now(database), zone))
        skip = (query.page - 1) * PAGE_SIZE
        found, calendar = await asyncio.gather(
            listing.page(database, wanted, skip=skip, limit=PAGE_SIZE + 1),
            self._calendar(query, wanted),
        )
        if query.page > 1 and not found:  # those that stood here may have been deleted just now
            return self.go(self._address(query.replace()))
        return self.show(
            "admin/poll_list.html",
            query=query,
            rows=[_row(listed, wanted.now, self.language) for listed in found[:PAGE_SIZE]],
            count=min(count, MOST_COUNTED),
            is_more=count > MOST_COUNTED,
            has_next=len(found) > PAGE_SIZE,
            calendar=calendar,
            columns=list(Column),
            states=list(State),
            dates=list(Dates),
            address=self._address,
            here=str(self.request.rel_url),
        )

    def _address(self, query: Query) -> str:
        return str(URL(self.url("admin")).with_query(query.parameters))

    async def _calendar(self, query: Query, wanted: listing.PollFilter) -> list[tuple[int, ...]]:
        """The years in which polls were published that are wanted; or the months, or the days, where the reader is."""
        database, zone = self.request.app[DATABASE], self.request.app[CONFIG].site.zone
        span = await listing.span(database)
        if span is None:
            return []
        first, last = (moment.astimezone(zone).year for moment in (span.start, span.end))
        parts = subperiods(query.within, range(max(first, last + 1 - _MOST_YEARS), last + 1))
        periods = {period_of(part, zone): part for part in parts}
        found = await listing.periods_with_polls(database, wanted, list(periods))
        return [periods[period] for period in found]


def _row(listed: PollRow, now: datetime, language: Language) -> Row:
    question = listed.question
    return Row(
        question.id,
        question.text,
        question.pub_date.isoformat(),
        f"{language.date(question.pub_date)}, {language.time(question.pub_date)}",
        question.was_published_recently(now),
        question.state(now),
        listed.has_choices,
        language.number(listed.ballots),
    )
