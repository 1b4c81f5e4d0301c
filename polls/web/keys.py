"""Keys of shared objects whose classes may not import aiohttp; other keys stand beside their class."""

from aiohttp import web

from polls.config.settings import Config
from polls.domain.ballot import Counted
from polls.live.ballot_box import BallotBox
from polls.live.broadcast import Broadcaster
from polls.live.poll_cache import PollCache
from polls.live.rate_limit import RateLimit
from polls.live.score_cache import ScoreCache
from polls.live.session_cache import SessionCache
from polls.live.slug_cache import SlugCache
from polls.storage.passwords import Passwords
from polls.storage.postgres.pool import Database

CONFIG = web.AppKey("config", Config)
DATABASE = web.AppKey("database", Database)
BALLOT_BOX: web.AppKey[BallotBox[Counted]] = web.AppKey("ballot_box")
POLL_CACHE = web.AppKey("poll_cache", PollCache)
SLUG_CACHE = web.AppKey("slug_cache", SlugCache)
SCORE_CACHE = web.AppKey("score_cache", ScoreCache)
SESSION_CACHE = web.AppKey("session_cache", SessionCache)
PASSWORDS = web.AppKey("passwords", Passwords)
BROADCASTER = web.AppKey("broadcaster", Broadcaster)
VOTE_RATE_LIMIT: web.AppKey[RateLimit | None] = web.AppKey("vote_rate_limit")  # None: unlimited
