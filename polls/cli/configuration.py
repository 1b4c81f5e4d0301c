"""The configuration of a command, and the commands `check` and `paths`."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from polls.config import loader
from polls.config.settings import Config
from polls.paths import FOLDERS

DEVELOPMENT_HOST = "127.0.0.1"


def load(options: Namespace) -> Config:
    """Return the configuration with the settings of the command line. Raises InvalidFile."""
    config = loader.load(file_of(options))
    given = {name: getattr(options, name) for name in ("host", "port", "path") if getattr(options, name) is not None}
    if options.development:
        given |= {"development": True, "host": DEVELOPMENT_HOST}
    if options.metrics is not None:
        given["metrics"] = replace(config.metrics, port=options.metrics, path=None)
    return replace(config, **given)


def file_of(options: Namespace) -> Path:
    """Return the path of the configuration file."""
    return loader.find_file(options.config)


def check(options: Namespace) -> None:
    """Check the configuration file. Raises InvalidFile with every error in it."""
    load(options)
    print(f"{file_of(options)}: no errors")


def print_paths(options: Namespace) -> None:
    """Print the path of one folder, or a line for each folder."""
    if options.folder:
        print(FOLDERS[options.folder])
    else:
        print("\n".join(f"{name:10} {folder}" for name, folder in FOLDERS.items()))
