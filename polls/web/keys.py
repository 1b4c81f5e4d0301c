"""The names under which the application and its requests carry what they share."""

from collections.abc import Mapping

from aiohttp import web

from polls.config import Config
from polls.live.audience import Audience
from polls.live.ballot_box import BallotBox
from polls.live.outbox import Outbox
from polls.live.standings import Standings
from polls.live.turnstile import Turnstile
from polls.storage.ballots import Outcome
from polls.storage.engine import Engine
from polls.storage.passwords import Passwords
from polls.web.language import Language
from polls.web.meter import Meter
from polls.web.readiness import Readiness
from polls.web.rendered import Ready, RenderedPages
from polls.web.request_id import RequestIds

CONFIG = web.AppKey("config", Config)
ENGINE = web.AppKey("engine", Engine)
BALLOT_BOX: web.AppKey[BallotBox[Outcome]] = web.AppKey("ballot_box")
STANDINGS = web.AppKey("standings", Standings)
PASSWORDS = web.AppKey("passwords", Passwords)
READINESS = web.AppKey("readiness", Readiness)
AUDIENCE = web.AppKey("audience", Audience)
METER = web.AppKey("meter", Meter)  # where metrics are told
REQUEST_IDS = web.AppKey("request_ids", RequestIds)
HARDENING: web.AppKey[Mapping[str, str]] = web.AppKey("hardening")  # the headers that protect visitors
RENDERED = web.AppKey("rendered", RenderedPages)
VOTED = web.AppKey("voted", Ready)  # what is the same in the answers to all who have voted
OUTBOX = web.AppKey("outbox", Outbox)
TURNSTILE: web.AppKey[Turnstile | None] = web.AppKey("turnstile")  # None: nobody is counted
STATIC_ADDRESSES: web.AppKey[dict[str, str]] = web.AppKey("static_addresses")  # {file below static/: its address}
LANGUAGES: web.AppKey[Mapping[str, Language]] = web.AppKey("languages")  # by language tag, the default first

VISITOR: web.RequestKey[str] = web.RequestKey("visitor", str)  # where a request comes from, if that is to be logged
