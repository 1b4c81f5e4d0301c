"""Logging to standard error, as text or JSON."""

import logging.config
import re

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from polls.config.settings import Log
from polls.web.http.request_ids import request_id


def configure_logging(log: Log) -> None:
    """Log everything from `log.level` up to standard error, in `log.format`."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "text": {"()": TextFormatter, "fmt": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
                "json": {
                    "()": "pythonjsonlogger.json.JsonFormatter",
                    "format": "%(levelname)s %(name)s %(message)s",
                    "rename_fields": {"levelname": "level", "name": "logger"},
                    "timestamp": "time",  # in UTC, ISO 8601
                    "json_ensure_ascii": False,
                },
            },
            "filters": {
                "bad_requests": {"()": RedactBadRequests},
                "request_id": {"()": RequestIdFilter},
                "values": {"()": RedactValues},
            },
            "handlers": {
                "stderr": {
                    "class": "logging.StreamHandler",
                    "formatter": log.format,
                    "filters": ["request_id", "values"],
                }
            },
            "root": {"level": log.level.upper(), "handlers": ["stderr"]},
            "loggers": {
                "aiohttp.server": {"filters": ["bad_requests"]},
                # Its warnings contain client addresses, and any client can fill the log with them.
                "aiohttp.websocket": {"level": "ERROR"},
                "asyncio": {"level": "WARNING"},  # at INFO it logs each server that starts
            },
        }
    )


class RequestIdFilter(logging.Filter):
    """A filter that adds `request_id` to each record that is logged while a request is handled."""

    def filter(self, record: logging.LogRecord) -> bool:
        if current := request_id():
            record.request_id = current
        return True


class TextFormatter(logging.Formatter):
    """A formatter of lines that end with the request id."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        current = getattr(record, "request_id", None)
        line = super().formatMessage(record)
        return f"{line} [{current}]" if current else line


class RedactValues(logging.Filter):
    """A filter that removes excerpts of statements and rows from PostgreSQL's error messages.

    Their values may be ballots, password hashes and keys of sessions.
    """

    _ADDITION = re.compile(r"\s*\b(LINE \d+|DETAIL|CONTEXT|QUERY): .*(\n +\^$)?", re.MULTILINE)

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            record.msg, record.args = self._ADDITION.sub("", record.getMessage()), ()
            if record.exc_info:
                record.exc_text = self._ADDITION.sub("", logging.Formatter().formatException(record.exc_info))
                record.exc_info = None  # formatters use the text
        return True


class RedactBadRequests(logging.Filter):
    """A filter that replaces aiohttp's messages about requests that fail before they reach the application.

    aiohttp logs the raw lines of an invalid request with a traceback: client address, query string and cookies, and any
    client can fill the log with them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = "request failed before it reached the application", ()
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError | web.RequestPayloadError):
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.msg, record.exc_info = "refused a request that is not valid HTTP", None
        return True
