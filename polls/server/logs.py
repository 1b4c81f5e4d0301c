"""Logging, as the configuration wants it: text for people or JSON for machines, on standard error."""

import logging.config

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from polls.config.settings import Log
from polls.web.http.request_ids import request_id

_GONE = ("Transport is closing",)  # so asyncio says it, where it sends a file


def configure_logging(log: Log) -> None:
    """Send everything from `log.level` up to standard error, in `log.format`."""
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
            "filters": {"discreet": {"()": RedactBadRequests}, "attributed": {"()": RequestIdFilter}},
            "handlers": {
                "stderr": {"class": "logging.StreamHandler", "formatter": log.format, "filters": ["attributed"]}
            },
            "root": {"level": log.level.upper(), "handlers": ["stderr"]},
            "loggers": {
                "aiohttp.server": {"filters": ["discreet"]},
                "asyncio": {"level": "WARNING"},  # each server's start is news to nobody
            },
        }
    )


class RequestIdFilter(logging.Filter):
    """Tells of each record which request was being served: `request_id`, where one was."""

    def filter(self, record: logging.LogRecord) -> bool:
        if of_request := request_id():
            record.request_id = of_request
        return True


class TextFormatter(logging.Formatter):
    """Lines of text, with the request's id at the end."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        of_request = getattr(record, "request_id", None)
        line = super().formatMessage(record)
        return f"{line} [{of_request}]" if of_request else line


class RedactBadRequests(logging.Filter):
    """What aiohttp says of requests that never reach the application, without address, query string and cookie.

    It would log the raw lines of what isn't HTTP, with a traceback, for whoever cares to send some.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = "a request failed before it reached polls", ()
        error = record.exc_info[1] if record.exc_info else None
        known = None
        if isinstance(error, HttpProcessingError | web.RequestPayloadError):
            known = "a request that isn't HTTP was refused"
        elif isinstance(error, RuntimeError) and error.args == _GONE:
            known = "a visitor went away before a file was sent"
        if known:
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.msg, record.exc_info = known, None
        return True
