"""Read the YAML file into a Config, or report all its errors at once, with their lines."""

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from operator import itemgetter
from pathlib import Path
from typing import Any

import trafaret as t
import yaml

from polls import paths
from polls.config.schema import SECTIONS, SETTINGS
from polls.config.settings import Config

_Key = tuple[str, ...]  # the path of a setting: ("postgres", "minsize")

_DEPTH = 2  # levels of keys that settings have


class ConfigError(Exception):
    """The configuration is invalid; `problems` lists every error, as "file:line: key: message", by line.

    It is made of tuples of a line and a message.
    """

    def __init__(self, file: Path, *problems: tuple[int, str]) -> None:
        self.problems = [f"{file}:{line}: {message}" for line, message in sorted(problems, key=itemgetter(0))]
        super().__init__("\n".join(self.problems))


def find_file(name: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the configuration file: `name`, else $POLLS_CONFIG, else ./config/polls.yaml, else the shipped one."""
    if name is not None:
        return Path(name)
    if from_environment := environ.get("POLLS_CONFIG"):
        return Path(from_environment)
    local = Path("config/polls.yaml")
    return local if local.exists() else paths.CONFIG / "polls.yaml"


def load(file: Path) -> Config:
    """Read and check `file`. Raises ConfigError with every problem: file, line, key and message."""
    settings, lines, problems = _read(file)
    try:
        checked = SETTINGS.check(settings)
    except t.DataError as error:
        problems += [
            (_line(lines, key), f"{'.'.join(key)}: {message}" if key else message)
            for key, message in _flatten(error.to_struct())
        ]
    if problems:
        raise ConfigError(file, *problems)
    return Config(**{**checked, **{name: section(**checked.get(name, {})) for name, section in SECTIONS.items()}})


def _read(file: Path) -> tuple[object, dict[_Key, int], list[tuple[int, str]]]:
    """Return the content of `file`, the line of each key, and a problem for each repeated key.

    Raises ConfigError if the file can't be read or is not YAML.
    """
    try:
        loader = _Loader(file.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if node is None:
            raise ConfigError(file, (1, "the file is empty; it needs at least postgres:"))
        lines: dict[_Key, int] = {}
        repeated = []
        for key, line in _key_lines(node):
            if key in lines:
                repeated.append((line, f"{'.'.join(key)}: already set on line {lines[key]}"))
            lines[key] = line
        return loader.construct_document(node), lines, repeated
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(file, (1, f"can't read this file: {reason}")) from None
    except UnicodeDecodeError:
        raise ConfigError(file, (1, "this file is not UTF-8 text")) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(file, (line, f"this is not YAML: {error.problem}")) from None
    except yaml.YAMLError as error:
        raise ConfigError(file, (1, f"this is not YAML: {str(error).splitlines()[0]}")) from None
    except RecursionError:
        raise ConfigError(file, (1, "values are nested too deeply")) from None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader; its errors also name the line of a value that can't be converted, such as 2026-13-45.

    It refuses merges (`<<`): no setting needs them, and nested ones take minutes of CPU time (a denial of service).
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, "merges (<<) are not supported", key.start_mark)
        super().flatten_mapping(node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - PyYAML's
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:
            # PyYAML doesn't catch what a conversion raises: ValueError, KeyError, AttributeError ...
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"invalid {kind}: {node.value}", node.start_mark
            ) from error


def _key_lines(node: yaml.Node, parent: _Key = ()) -> Iterator[tuple[_Key, int]]:
    """Yield each key below `node`, down to `_DEPTH` levels, with its line."""
    if isinstance(node, yaml.MappingNode) and len(parent) < _DEPTH:
        for name, value in node.value:
            key = (*parent, str(name.value))
            yield key, name.start_mark.line + 1
            yield from _key_lines(value, key)


def _line(lines: Mapping[_Key, int], key: _Key) -> int:
    """Return the line of `key`, or of its nearest parent in the file."""
    while key and key not in lines:
        key = key[:-1]
    return lines.get(key, 1)


def _flatten(error: Mapping[str, Any], parent: _Key = ()) -> Iterator[tuple[_Key, str]]:
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


def _unknown_key(key: _Key) -> str:
    """Return the message for an unknown key, with the most similar known key."""
    section = SECTIONS.get(key[0], Config) if len(key) > 1 else Config
    names = {field.name for field in fields(section)}
    if section is Config:
        names -= {"path", "development"}  # only on the command line
    similar = difflib.get_close_matches(key[-1], names, n=1)
    return f"unknown key; did you mean {similar[0]}?" if similar else "unknown key"
