"""The names under which the application and its requests carry what they share."""

from aiohttp import web

from polls.config.settings import Config
from polls.live.ballot_box import BallotBox
from polls.live.broadcast import Broadcaster
from polls.live.poll_cache import PollCache
from polls.live.rate_limit import VoteRateLimit
from polls.storage.ballots import Outcome
from polls.storage.passwords import Passwords
from polls.storage.postgres.pool import Database

CONFIG = web.AppKey("config", Config)
DATABASE = web.AppKey("engine", Database)
BALLOT_BOX: web.AppKey[BallotBox[Outcome]] = web.AppKey("ballot_box")
POLL_CACHE = web.AppKey("standings", PollCache)
PASSWORDS = web.AppKey("passwords", Passwords)
BROADCASTER = web.AppKey("audience", Broadcaster)
VOTE_RATE_LIMIT: web.AppKey[VoteRateLimit | None] = web.AppKey("turnstile")  # None: nobody is counted
