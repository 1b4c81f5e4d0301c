"""The names under which the application and its requests carry what they share."""

from collections.abc import Mapping

from aiohttp import web

from polls.config import Config
from polls.domain.poll import Poll
from polls.live.ballot_box import BallotBox
from polls.storage.ballots import Refusal
from polls.storage.engine import Engine
from polls.web.language import Language

CONFIG = web.AppKey("config", Config)
ENGINE = web.AppKey("engine", Engine)
BALLOT_BOX: web.AppKey[BallotBox[Refusal | None]] = web.AppKey("ballot_box")
SHOWN: web.AppKey[dict[int, Poll]] = web.AppKey("shown")  # polls by id as they were last read, the longest ago first
STATIC_ADDRESSES: web.AppKey[dict[str, str]] = web.AppKey("static_addresses")  # {file below static/: its address}
LANGUAGES: web.AppKey[Mapping[str, Language]] = web.AppKey("languages")  # by language tag, the default first
