"""Logging, as the configuration wants it: text for people or JSON for machines, on standard error."""

import logging.config

from polls.config import Log


def configure_logging(log: Log) -> None:
    """Send everything from `log.level` up to standard error, in `log.format`."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "text": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
                "json": {
                    "()": "pythonjsonlogger.json.JsonFormatter",
                    "format": "%(levelname)s %(name)s %(message)s",
                    "rename_fields": {"levelname": "level", "name": "logger"},
                    "timestamp": "time",  # in UTC, ISO 8601
                    "json_ensure_ascii": False,
                },
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": log.format}},
            "root": {"level": log.level.upper(), "handlers": ["stderr"]},
            "loggers": {"asyncio": {"level": "WARNING"}},  # each server's start is news to nobody
        }
    )
