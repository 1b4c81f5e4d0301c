"""The names under which the application and its requests carry what they share."""

from aiohttp import web

from polls.config.settings import Config
from polls.live.ballot_box import BallotBox
from polls.live.broadcast import Audience
from polls.live.poll_cache import Standings
from polls.live.rate_limit import Turnstile
from polls.storage.ballots import Outcome
from polls.storage.passwords import Passwords
from polls.storage.postgres.pool import Engine

CONFIG = web.AppKey("config", Config)
ENGINE = web.AppKey("engine", Engine)
BALLOT_BOX: web.AppKey[BallotBox[Outcome]] = web.AppKey("ballot_box")
STANDINGS = web.AppKey("standings", Standings)
PASSWORDS = web.AppKey("passwords", Passwords)
AUDIENCE = web.AppKey("audience", Audience)
TURNSTILE: web.AppKey[Turnstile | None] = web.AppKey("turnstile")  # None: nobody is counted
