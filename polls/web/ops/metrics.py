"""Metrics of this process for Prometheus."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from polls import __version__
from polls.domain.ballot import Counted
from polls.domain.errors import InvalidBallot, PollClosed, PollNotFound, PollTakenDown, VoteNotStored, VotingBroken
from polls.web.keys import BALLOT_BOX, BROADCASTER, CONFIG, DATABASE, POLL_CACHE
from polls.web.ops.meter import Histogram, Meter

_MAX_CONNECTIONS = 100  # to read metrics; their limits are otherwise those of `limits`

# Label values by the type of a ballot's outcome.
_OUTCOME_LABELS: dict[type, str] = {
    Counted: "stored",
    PollClosed: "closed",
    PollNotFound: "no_such_poll",
    PollTakenDown: "hidden",
    InvalidBallot: "invalid",
    VoteNotStored: "not_stored",
    VotingBroken: "broken",
}


def metrics_app(app: web.Application, meter: Meter) -> web.Application:
    """Return a separate application that serves the metrics of `app` and `meter` at /metrics."""
    registry = CollectorRegistry()
    registry.register(_PollsCollector(app, meter))
    ProcessCollector(registry=registry)

    async def serve(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type, "Server": "polls"})

    metrics = web.Application()
    config = app[CONFIG]
    limits = replace(config.limits, connections=_MAX_CONNECTIONS)
    metrics[CONFIG] = replace(config, limits=limits, log=replace(config.log, access=False))
    metrics.router.add_get("/metrics", serve)
    return metrics


class _PollsCollector(Collector):
    """The metrics of polls. Leaves out those of parts that aren't open, since start-up or shutdown is under way."""

    def __init__(self, app: web.Application, meter: Meter) -> None:
        self._app = app
        self._meter = meter

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("polls", "The version of polls.", {"version": __version__})
        yield from self._requests()
        yield from self._votes()
        yield from self._listener()
        yield from self._pool()

    def _requests(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "polls_http_requests",
            "Responses by route (none: no such URL) and class of status; a WebSocket counts as 1xx when it closes.",
            labels=["route", "status"],
        )
        seconds = HistogramMetricFamily(
            "polls_http_request_duration_seconds",
            "Seconds from the headers of a request until its response can be sent; includes the request's body.",
            labels=["route"],
        )
        for (route, digit), count in self._meter.responses.items():
            requests.add_metric([route, f"{digit}xx"], count)
        for route, values in self._meter.response_seconds.items():
            seconds.add_metric([route], _buckets(values), values.sum)
        yield requests
        yield seconds
        yield GaugeMetricFamily("polls_websockets", "Open WebSockets.", len(self._app[BROADCASTER]))

    def _votes(self) -> Iterator[Metric]:
        votes = CounterMetricFamily(
            "polls_votes",
            "Ballots by outcome in the database, which may differ from the response after a time-out: stored (new or "
            "changed), closed (the poll was closed), no_such_poll, invalid, not_stored (the transaction failed, "
            "or its outcome is unknown), rejected (not sent to the database: the queue was full, or the ballot waited "
            "too long).",
            labels=["outcome"],
        )
        for outcome, label in _OUTCOME_LABELS.items():
            votes.add_metric([label], self._meter.outcomes[outcome])
        box = self._app.get(BALLOT_BOX)
        votes.add_metric(["rejected"], box.rejected if box else 0)
        yield votes
        yield _histogram("polls_batch_ballots", "Ballots in each transaction.", self._meter.batches)
        yield _histogram(
            "polls_batch_duration_seconds", "Seconds that each transaction of ballots took.", self._meter.batch_seconds
        )
        if box:
            yield GaugeMetricFamily("polls_ballots_waiting", "Ballots in the queue or being stored.", box.waiting)

    def _listener(self) -> Iterator[Metric]:
        if poll_cache := self._app.get(POLL_CACHE):
            yield GaugeMetricFamily(
                "polls_listener_connected",
                "1 if notifications from the database arrive; 0 if not, so that each page is read from the database.",
                int(poll_cache.is_synced),
            )
        yield _histogram(
            "polls_listener_lag_seconds",
            "Seconds from a commit of this process until its notification arrives; 0 if that came first. Commits of "
            "other processes are not measured, since their time is unknown here.",
            self._meter.lags,
        )
        yield _histogram(
            "polls_heartbeat_duration_seconds",
            "Round-trip seconds to the database on the listener's connection, measured every second.",
            self._meter.heartbeats,
        )

    def _pool(self) -> Iterator[Metric]:
        if database := self._app.get(DATABASE):
            pool = database.pool
            connections = GaugeMetricFamily(
                "polls_pool_connections",
                "Open connections of the pool; two more are outside it, one for ballots and one for the listener.",
                labels=["state"],
            )
            connections.add_metric(["free"], pool.freesize)
            connections.add_metric(["busy"], pool.size - pool.freesize)
            yield connections
            yield GaugeMetricFamily("polls_pool_size_max", "Maximum connections of the pool.", pool.maxsize)
            yield GaugeMetricFamily(
                "polls_pool_waiting", "Requests that wait for a connection.", database.queue.waiting
            )


def _histogram(name: str, documentation: str, values: Histogram) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, documentation, _buckets(values), values.sum)


def _buckets(values: Histogram) -> list[tuple[str, float]]:
    bounds = [*(str(float(bound)) for bound in values.bounds), "+Inf"]
    return list(zip(bounds, map(float, accumulate(values.counts)), strict=True))
