"""Read the YAML file into a Config, or report all its errors at once, with their lines."""

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import trafaret as t

from polls import paths
from polls.config.schema import SECTIONS, SETTINGS
from polls.config.settings import Config
from polls.config.yaml_file import InvalidFile, Key, read_yaml

_DEPTH = 2  # levels of keys that settings have


def find_file(name: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the configuration file: `name`, else $POLLS_CONFIG, else ./config/polls.yaml, else the shipped one."""
    if name is not None:
        return Path(name)
    if from_environment := environ.get("POLLS_CONFIG"):
        return Path(from_environment)
    local = Path("config/polls.yaml")
    return local if local.exists() else paths.CONFIG / "polls.yaml"


def load(file: Path) -> Config:
    """Read and check `file`. Raises InvalidFile with every problem: file, line, key and message."""
    found = read_yaml(file, depth=_DEPTH, if_empty="it needs at least postgres:")
    problems = found.problems
    try:
        checked = SETTINGS.check(found.content)
    except t.DataError as error:
        problems += [
            (found.line(key), f"{'.'.join(key)}: {message}" if key else message)
            for key, message in _flatten(error.to_struct())
        ]
    if problems:
        raise InvalidFile(file, *problems)
    return Config(**{**checked, **{name: section(**checked.get(name, {})) for name, section in SECTIONS.items()}})


def _flatten(error: Mapping[str, Any], parent: Key = ()) -> Iterator[tuple[Key, str]]:
    """Yield the key and the message of each error in a nested trafaret error."""
    if error["code"] == "nothing_match":
        # The first alternative is always "null"; only the error of the second helps the reader.
        yield from _flatten(error["nested"][1], parent)
    elif "nested" in error:
        for name, nested in error["nested"].items():
            yield from _flatten(nested, (*parent, str(name)))
    elif error["code"] == "not_allowed":
        yield parent, _unknown_key(parent)
    elif error["code"] == "is_not_a_string":
        yield parent, "value is not text; put it between quotes"
    elif error["code"] == "is_not_a_dict":
        yield parent, "needs a mapping of keys to values"
    else:
        yield parent, error["message"]


def _unknown_key(key: Key) -> str:
    """Return the message for an unknown key, with the most similar known key."""
    section = SECTIONS.get(key[0], Config) if len(key) > 1 else Config
    names = {field.name for field in fields(section)}
    if section is Config:
        names -= {"path", "development"}  # only on the command line
    similar = difflib.get_close_matches(key[-1], names, n=1)
    return f"unknown key; did you mean {similar[0]}?" if similar else "unknown key"
