"""The configuration of a command, read from its file and options; and the command `check`."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from polls.config import loader
from polls.config.settings import Config

DEVELOPMENT_HOST = "127.0.0.1"


def load(options: Namespace) -> Config:
    """Return the configuration with the settings of the command line. Raises ConfigError."""
    config = loader.load(file_of(options), **overrides(options))
    if options.metrics is not None:
        config = replace(config, metrics=replace(config.metrics, port=options.metrics, path=None))
    return config


def file_of(options: Namespace) -> Path:
    """Return the path of the configuration file."""
    return loader.find_file(options.config)


def overrides(options: Namespace) -> dict[str, object]:
    """Return the fields of Config that the command line sets."""
    given = {name: getattr(options, name) for name in ("host", "port", "path") if getattr(options, name) is not None}
    if options.development:
        given |= {"development": True, "host": DEVELOPMENT_HOST}
    return given


def check(options: Namespace) -> int:
    """Check the configuration file. Raises ConfigError with every error in it."""
    load(options)
    print(f"{file_of(options)}: no errors")
    return 0
