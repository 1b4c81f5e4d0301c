"""A poll's different ballots as files, each with how often it was cast: never who cast it, or when."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import hdrs, web

from polls.aio import CountedSemaphore
from polls.domain.errors import ExportTooLarge, PollNotFound, TooManyExports
from polls.domain.poll import Poll
from polls.domain.visibility import VisiblePoll
from polls.storage.distinct_ballots import DistinctBallot, open_distinct_ballots
from polls.web.keys import DATABASE
from polls.web.public.exports import CSV, JSON, ExportView
from polls.web.public.result_sheet import about, document_head
from polls.web.public.spreadsheets import Cell, Sheet, csv_head, csv_lines

EXPORT_SLOT = web.AppKey("export_slot", CountedSemaphore)  # one at a time for each process
MAX_WAITING = 5
# Together less than nginx waits for a response (proxy_read_timeout).
MAX_WAIT = 2  # seconds, for the slot
MAX_SECONDS = 6  # for reading, of which the database may take 5 to group the ballots
MAX_BYTES = 16 * 1024 * 1024  # of a file: hundreds of thousands of different ballots


class BallotsView(ExportView):
    """Base of the files of ballots, which are read from the database."""

    async def content(self, visible: VisiblePoll) -> bytes:
        """Return the file, or nothing for HEAD. Raises TooManyExports, ExportTooLarge, PollsUnavailable."""
        if self.request.method == hdrs.METH_HEAD:
            return b""
        app = self.request.app
        async with (
            _slot(app[EXPORT_SLOT]),
            open_distinct_ballots(app[DATABASE], visible.poll.question.id) as (found, batches),
        ):
            if found is None:
                raise PollNotFound(self.slug)
            # Decided again for the state that is exported: the poll may have been edited meanwhile.
            exported = await self.visible(found)
            self.tally(exported)
            content, clock = bytearray(), asyncio.get_running_loop().time
            deadline = clock() + MAX_SECONDS
            async for part in self.parts(exported.poll, batches):
                content += part
                if len(content) > MAX_BYTES or clock() > deadline:
                    raise ExportTooLarge
        return bytes(content)

    def parts(self, poll: Poll, batches: AsyncIterator[Sequence[DistinctBallot]]) -> AsyncIterator[bytes]:
        """Yield the parts of the file."""
        raise NotImplementedError


class BallotsCSVView(BallotsView):
    """The ballots as CSV: a row for each, with a column for each choice."""

    name, content_type = "ballots.csv", CSV

    async def parts(self, poll: Poll, batches: AsyncIterator[Sequence[DistinctBallot]]) -> AsyncIterator[bytes]:
        header = (self.language.gettext("Ballots"), *(choice.text for choice in poll.choices))
        rows = about(self.request.app, poll, poll.as_of, self.language)
        yield csv_head(Sheet("", poll.as_of, rows, header, ()))
        async for batch in batches:
            yield csv_lines((_row(poll, ballot) for ballot in batch), len(header))


class BallotsJSONView(BallotsView):
    """The ballots as JSON."""

    name, content_type = "ballots.json", JSON

    async def parts(self, poll: Poll, batches: AsyncIterator[Sequence[DistinctBallot]]) -> AsyncIterator[bytes]:
        choices = [{"id": choice.id, "text": choice.text} for choice in poll.choices]
        head = json.dumps({**document_head(poll, poll.as_of), "choices": choices}, ensure_ascii=False, indent=1)
        yield f'{head.removesuffix("}").rstrip()},\n "different_ballots": ['.encode()
        separator = "\n"
        async for batch in batches:
            lines = [json.dumps(_document(ballot)) for ballot in batch]
            yield (separator + ",\n".join(lines) if lines else "").encode()
            separator = ",\n"
        yield b"\n ]\n}"


@asynccontextmanager
async def _slot(slot: CountedSemaphore) -> AsyncIterator[None]:
    """Wait for the slot, and hold it. Raises TooManyExports."""
    if slot.waiting >= MAX_WAITING:
        raise TooManyExports
    try:
        async with asyncio.timeout(MAX_WAIT):
            await slot.acquire()
    except TimeoutError:
        raise TooManyExports from None
    try:
        yield
    finally:
        slot.release()


def _row(poll: Poll, ballot: DistinctBallot) -> list[Cell]:
    """Return how often a ballot was cast, and for each choice its points, 1 for a mark without, or nothing."""
    given = dict(zip(ballot.marks, ballot.points or [1] * len(ballot.marks), strict=True))
    return [ballot.ballots, *(given.get(choice.id, "") for choice in poll.choices)]


def _document(ballot: DistinctBallot) -> dict[str, object]:
    points = {} if ballot.points is None else {"points": ballot.points}
    return {"ballots": ballot.ballots, "choices": ballot.marks, **points}
