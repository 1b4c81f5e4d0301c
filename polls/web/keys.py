"""The names under which the application and its requests carry what they share."""

from collections.abc import Mapping

from aiohttp import web

from polls.config import Config
from polls.storage.engine import Engine
from polls.web.language import Language

CONFIG = web.AppKey("config", Config)
ENGINE = web.AppKey("engine", Engine)
LANGUAGES: web.AppKey[Mapping[str, Language]] = web.AppKey("languages")  # by language tag, the default first
