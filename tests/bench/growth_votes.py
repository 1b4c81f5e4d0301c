"""Votes in polls of different sizes, in turns: by one writer to PostgreSQL, and through a process of polls."""

import asyncio
import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import monotonic

from polls.config.loader import load
from polls.domain.ballot import Ballot, Counted
from polls.live.ballot_box import MAX_BATCH
from polls.storage.ballots import Recorder, open_recorder
from polls.storage.postgres.pool import Database
from tests.bench.measures import postgres_cpu
from tests.bench.wrk import VOTERS, run_wrk
from tests.support.processes import serving
from tests.support.servers import Server

BATCH = 64  # ballots in a transaction of the writer
WARM_UP = 25  # a poll gets a twenty-fifth of its ballots before, so that nearly all pages of its index were written to
CONNECTIONS = 256  # of wrk, to the process of polls
SECONDS = 3  # of a run

ChoosePolls = Callable[[], list[int]]  # returns the poll of each ballot in a batch


@dataclass
class Target:
    """Polls in which is voted, and what was measured: pairs of votes a second, and PostgreSQL's CPU a vote in µs.

    `poll` returns the poll of a round, `size` is its number of ballots. If there is a `spread`, (first id, number of
    polls), each ballot of a batch is for another one of those.
    """

    name: str
    poll: Callable[[int], int]
    size: int = 0
    spread: tuple[int, int] | None = None
    written: list[tuple[float, float]] = field(default_factory=list)
    served: list[tuple[float, float]] = field(default_factory=list)
    after_checkpoint: tuple[float, float] | None = None

    def polls(self, number: int) -> ChoosePolls:
        """Return what chooses the polls of a batch in a round."""
        if self.spread:
            first, polls = self.spread
            return lambda: random.sample(range(first, first + polls), BATCH)
        return lambda: [self.poll(number)] * BATCH


def measure(folder: Path, server: Server, config: Mapping[str, object], targets: list[Target], rounds: int) -> None:
    """Vote in each target in turns, and print a line for each."""
    asyncio.run(_write_in_turns(folder, server, targets, rounds))
    with serving(folder, config=config) as polls:
        for number in range(rounds):
            for target in targets:
                if not target.spread:
                    target.served.append(_serve(polls.url, target.poll(number), server.data))
    _print(targets, rounds)


async def _write_in_turns(folder: Path, server: Server, targets: list[Target], rounds: int) -> None:
    """Vote over one connection, as a process of polls does: a new one is slower until it has seen all of the index."""
    postgres = load(folder / "polls.yaml").postgres
    recorder = await open_recorder(postgres, Database(postgres))
    server.execute("CHECKPOINT")
    for target in targets:
        for _ in range(target.size // WARM_UP // MAX_BATCH):
            await _record(recorder, [target.poll(0)] * MAX_BATCH)
    for number in range(rounds):
        for target in targets:
            target.written.append(await _write(recorder, server.data, target.polls(number)))
    largest = max(targets, key=lambda target: target.size)
    server.execute("CHECKPOINT")
    largest.after_checkpoint = await _write(recorder, server.data, largest.polls(0))
    recorder.close()


def _print(targets: list[Target], rounds: int) -> None:
    print(
        f"\nVotes in turns, medians of {rounds} rounds of {SECONDS} s: by one writer in batches of {BATCH}, "
        f"and through one process;\nCPU of PostgreSQL in µs a vote\n"
        f"{'':42}{'writer: votes/s':>16}{'CPU':>7}{'ratio':>7}{'process: votes/s':>18}{'CPU':>7}{'ratio':>7}"
    )
    for target in targets:
        columns = [_columns(target.written, targets[0].written), _columns(target.served, targets[0].served)]
        print(f"{target.name:42}{columns[0]:>30}{columns[1]:>32}", flush=True)
        if target.after_checkpoint:
            rate, spent = target.after_checkpoint
            print(f"{'... right after a checkpoint':42}{rate:16,.0f}{spent:7.1f}")


def _columns(runs: list[tuple[float, float]], reference: list[tuple[float, float]]) -> str:
    """Return the medians, and that of the ratios of CPU in the same round."""
    if not runs:
        return ""
    ratio = median(run[1] / other[1] for run, other in zip(runs, reference, strict=True))
    return f"{median(run[0] for run in runs):,.0f}{median(run[1] for run in runs):7.1f}{ratio:7.2f}"


async def _write(recorder: Recorder, data: Path, choose: ChoosePolls) -> tuple[float, float]:
    await _record(recorder, choose())  # the first batch also reads the rules of the polls
    votes, before, started = 0, postgres_cpu(data), monotonic()
    while (seconds := monotonic() - started) < SECONDS:
        votes += await _record(recorder, choose())
    return votes / seconds, (postgres_cpu(data) - before) / votes


async def _record(recorder: Recorder, polls: list[int]) -> int:
    ballots = [
        Ballot(poll, secrets.token_bytes(16), (10 * poll + 1 + number % 2,)) for number, poll in enumerate(polls)
    ]
    outcomes = await recorder.record(ballots, 5)
    assert all(isinstance(outcome, Counted) for outcome in outcomes), outcomes
    return len(ballots)


def _serve(url: str, poll: int, data: Path) -> tuple[float, float]:
    before = postgres_cpu(data)
    votes, rate = run_wrk(f"{url}/poll/{poll}/vote", CONNECTIONS, SECONDS, VOTERS, "0", f"choice={10 * poll + 1}")
    return rate, (postgres_cpu(data) - before) / votes
