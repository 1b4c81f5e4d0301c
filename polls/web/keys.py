"""The names under which the application and its requests carry what they share."""

from collections.abc import Mapping

from aiohttp import web

from polls.config import Config
from polls.storage.engine import Engine
from polls.web.language import Language

CONFIG = web.AppKey("config", Config)
ENGINE = web.AppKey("engine", Engine)
STATIC_ADDRESSES: web.AppKey[dict[str, str]] = web.AppKey("static_addresses")  # {file below static/: its address}
LANGUAGES: web.AppKey[Mapping[str, Language]] = web.AppKey("languages")  # by language tag, the default first
