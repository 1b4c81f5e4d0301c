"""A poll's results as files: CSV and XLSX for spreadsheets, JSON for programs."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

from aiohttp import web
from markupsafe import Markup

from polls.domain.tally import Tally
from polls.domain.visibility import VisiblePoll
from polls.web.http.page_cache import PRIVATE_NO_STORE
from polls.web.keys import POLL_CACHE
from polls.web.pages.base import PollView
from polls.web.pages.languages import Language
from polls.web.pages.problems import ResultsHidden
from polls.web.pages.rendering import VARY, language_of, markup
from polls.web.public.result_sheet import result_document, result_sheet
from polls.web.public.spreadsheets import Sheet, as_csv, as_xlsx

# An XLSX file takes up to 20 ms. One thread, so that many at once slow votes as little as one.
_WRITER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="xlsx")

CSV = "text/csv; charset=utf-8"
JSON = "application/json"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class ExportView(PollView):
    """Base of the files with numbers of a poll, for those who may see its results."""

    name: ClassVar[str]  # of the file, behind the poll's slug
    content_type: ClassVar[str]

    async def get(self) -> web.StreamResponse:
        visible = await self.find()
        self.tally(visible)
        return self.file(await self.content(visible))

    async def content(self, visible: VisiblePoll) -> bytes:
        """Return the content of the file."""
        raise NotImplementedError

    @property
    def language(self) -> Language:
        """The language of the reader."""
        return language_of(self.request)

    def file(self, content: bytes) -> web.Response:
        """Return a response that browsers save as a file. No cache keeps it: it may be for this reader only."""
        headers = {
            "Content-Type": self.content_type,
            "Content-Disposition": f'attachment; filename="{self.slug}-{self.name}"',
            "Cache-Control": PRIVATE_NO_STORE,
            "X-Robots-Tag": "noindex",
        }
        if self.content_type != JSON:
            headers |= {"Content-Language": self.language.tag, "Vary": VARY}
        return web.Response(body=content, headers=headers)

    def sheet(self, visible: VisiblePoll) -> Sheet:
        """Return the results as a sheet in the reader's language."""
        app = self.request.app
        return result_sheet(app, visible.poll, self.tally(visible), app[POLL_CACHE].clock.now(), self.language)

    def tally(self, visible: VisiblePoll) -> Tally:
        """Return the results. Raises ResultsHidden with the words of the results page if the reader can't see them."""
        if visible.tally is None:
            reason = markup(
                self.request.app, "public/_hidden_reason.html", self.language, poll=visible.poll, hidden=visible.hidden
            )
            raise ResultsHidden(self.slug, Markup(reason).striptags())  # nosec B704 # a page of ours, and only its text
        return visible.tally


class ResultsCSVView(ExportView):
    """The results as CSV."""

    name, content_type = "results.csv", CSV

    async def content(self, visible: VisiblePoll) -> bytes:
        return as_csv(self.sheet(visible))


class ResultsXLSXView(ExportView):
    """The results as XLSX."""

    name, content_type = "results.xlsx", XLSX

    async def content(self, visible: VisiblePoll) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(_WRITER, as_xlsx, self.sheet(visible))


class ResultsJSONView(ExportView):
    """The results as JSON."""

    name, content_type = "results.json", JSON

    async def content(self, visible: VisiblePoll) -> bytes:
        document = result_document(visible.poll, self.tally(visible), self.request.app[POLL_CACHE].clock.now())
        return json.dumps(document, ensure_ascii=False, indent=1).encode()
