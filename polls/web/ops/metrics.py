"""Metrics of this process for Prometheus, made of plain numbers when they are asked for."""

from collections.abc import Iterator
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
from polls.domain.errors import NothingChosen, PollClosed, PollNotFound, VoteNotStored
from polls.web.keys import BALLOT_BOX, BROADCASTER, DATABASE, POLL_CACHE
from polls.web.ops.meter import Distribution, Meter

# What became of a ballot, by the type of its outcome.
_OUTCOMES: dict[type, str] = {
    int: "stored",
    PollClosed: "closed",
    PollNotFound: "no_such_poll",
    NothingChosen: "no_such_choice",
    VoteNotStored: "not_stored",
}


def metrics_app(app: web.Application, meter: Meter) -> web.Application:
    """An application of its own that tells at /metrics what `app` does, as `meter` has counted it."""
    registry = CollectorRegistry()
    registry.register(_Figures(app, meter))
    ProcessCollector(registry=registry)

    async def tell(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type, "Server": "polls"})

    beside = web.Application()
    beside.router.add_get("/metrics", tell)
    return beside


class _Figures(Collector):
    """What there is to say of polls. What is not open yet, or no longer, is left out."""

    def __init__(self, app: web.Application, meter: Meter) -> None:
        self._app = app
        self._meter = meter

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("polls", "Which polls this is.", {"version": __version__})
        yield from self._requests()
        yield from self._votes()
        yield from self._news()
        yield from self._pool()

    def _requests(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "polls_http_requests",
            "Answers by route (none: no such address) and class of status; a WebSocket is counted as 1xx when it ends.",
            labels=["route", "status"],
        )
        seconds = HistogramMetricFamily(
            "polls_http_request_duration_seconds",
            "From the head of a request to its answer, ready to be sent: body and waiting included, sending not.",
            labels=["route"],
        )
        for route, answers in self._meter.answers.items():
            for digit, number in enumerate(answers.classes):
                if number:
                    requests.add_metric([route, f"{digit}xx"], number)
            _add(seconds, answers.seconds, route)
        yield requests
        yield seconds
        yield GaugeMetricFamily("polls_websockets", "Open WebSockets.", len(self._app[BROADCASTER]))

    def _votes(self) -> Iterator[Metric]:
        votes = CounterMetricFamily(
            "polls_votes",
            "Ballots by what became of them in the database, whatever their voters were told: stored (counted, or a "
            "change counted); refused since the poll was closed, or there is no_such_poll, or no_such_choice; "
            "not_stored (or not known to be); rejected (never sent there: too many waited, or these too long).",
            labels=["outcome"],
        )
        for kind, outcome in _OUTCOMES.items():
            votes.add_metric([outcome], self._meter.outcomes[kind])
        box = self._app.get(BALLOT_BOX)
        votes.add_metric(["rejected"], box.rejected if box else 0)
        yield votes
        yield _histogram("polls_batch_ballots", "Ballots in one transaction.", self._meter.batches)
        yield _histogram("polls_batch_duration_seconds", "How long such transactions took.", self._meter.batch_seconds)
        if box:
            yield GaugeMetricFamily("polls_ballots_waiting", "Ballots that wait for an answer.", box.waiting)

    def _news(self) -> Iterator[Metric]:
        if poll_cache := self._app.get(POLL_CACHE):
            yield GaugeMetricFamily(
                "polls_listener_connected",
                "Whether the database's notices are heard (1), or each page is read from the database (0).",
                int(poll_cache.is_synced),
            )
        yield _histogram(
            "polls_listener_lag_seconds",
            "From the database's answer to a commit of this very process to the notice of it here; 0 where the notice "
            "came first. Of other processes' commits nobody knows the moment.",
            self._meter.lags,
        )
        yield _histogram(
            "polls_heartbeat_duration_seconds",
            "How long the database took to answer on the connection that hears its notices; it is asked every second.",
            self._meter.heartbeats,
        )

    def _pool(self) -> Iterator[Metric]:
        if database := self._app.get(DATABASE):
            use = database.use
            connections = GaugeMetricFamily(
                "polls_pool_connections",
                "Open connections of the pool; one more is for ballots, and one for notices.",
                labels=["state"],
            )
            connections.add_metric(["free"], use.free)
            connections.add_metric(["busy"], use.busy)
            yield connections
            yield GaugeMetricFamily("polls_pool_size_max", "Connections that the pool may open.", use.most)
            yield GaugeMetricFamily("polls_pool_waiting", "Requests that wait for a connection.", use.waiting)


def _histogram(name: str, documentation: str, values: Distribution) -> HistogramMetricFamily:
    histogram = HistogramMetricFamily(name, documentation, labels=[])
    _add(histogram, values)
    return histogram


def _add(histogram: HistogramMetricFamily, values: Distribution, *labels: str) -> None:
    up_to = [*(str(float(bound)) for bound in values.bounds), "+Inf"]
    buckets = list(zip(up_to, map(float, accumulate(values.counts)), strict=True))
    histogram.add_metric(labels, buckets, values.sum)
