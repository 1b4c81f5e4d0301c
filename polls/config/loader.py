"""Read the YAML file into a Config, or report all its faults at once, with their lines."""

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import trafaret as t
import yaml

from polls import paths
from polls.config.schema import _SECTIONS, _SETTINGS
from polls.config.settings import Config

_Key = tuple[str, ...]  # where a setting stands: ("postgres", "minsize")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a configuration file; `key` is empty where the whole file is meant."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: "
        return f"{place}{self.key}: {self.message}" if self.key else f"{place}{self.message}"


class ConfigError(Exception):
    """The configuration can't be used; `faults` tells everything that is wrong with it, in the order of its lines."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = sorted(faults, key=lambda fault: fault.line)
        super().__init__("\n".join(map(str, self.faults)))


def find(named: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The configuration file: `named`, else $POLLS_CONFIG, else config/polls.yaml here, else the one we come with."""
    if named is not None:
        return Path(named)
    if chosen := environ.get("POLLS_CONFIG"):
        return Path(chosen)
    here = Path("config/polls.yaml")
    return here if here.exists() else paths.CONFIG / "polls.yaml"


def load(file: Path, **overrides: object) -> Config:
    """Read `file`, check it and put `overrides` (fields of Config) above what it says.

    Raises ConfigError with every fault: file, line, key and what is wrong.
    """
    settings, lines, faults = _read(file)
    try:
        checked = _SETTINGS.check(settings)
    except t.DataError as error:
        faults += [
            Fault(str(file), _line(lines, key), ".".join(key), message) for key, message in _flat(error.to_struct())
        ]
    if faults:
        raise ConfigError(faults)
    config = Config(**{**checked, **{name: section(**checked[name]) for name, section in _SECTIONS.items()}})
    return replace(config, **overrides)  # type: ignore[arg-type]


def _read(file: Path) -> tuple[object, dict[_Key, int], list[Fault]]:
    """What the YAML in `file` says, on which line each of its keys stands, and which stand there more than once.

    Raises ConfigError for what can't be read at all.
    """
    try:
        loader = _Loader(file.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if node is None:
            raise ConfigError([Fault(str(file), 1, "", "the file is empty; it needs at least postgres:")])
        lines: dict[_Key, int] = {}
        repeated = []
        for key, line in _places(node):
            if key in lines:
                repeated.append(Fault(str(file), line, ".".join(key), f"stands on line {lines[key]} already"))
            lines[key] = line
        return loader.construct_document(node), lines, repeated
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError([Fault(str(file), 1, "", f"can't read this file: {reason}")]) from None
    except UnicodeDecodeError:
        raise ConfigError([Fault(str(file), 1, "", "this file is not UTF-8 text")]) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError([Fault(str(file), line, "", f"this is not YAML: {error.problem}")]) from None
    except yaml.YAMLError as error:
        raise ConfigError([Fault(str(file), 1, "", f"this is not YAML: {str(error).splitlines()[0]}")]) from None
    except RecursionError:
        raise ConfigError([Fault(str(file), 1, "", "this is nested subperiods than any settings are")]) from None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which tells where a value stands that is none of its kind (a 45th of January).

    Merges (`<<`) are refused: no setting needs them, and nested ones would keep it busy for minutes.
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, "merges (<<) are not for settings", key.start_mark)
        super().flatten_mapping(node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - PyYAML's
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:
            # ValueError, KeyError, AttributeError ...: PyYAML lets through whatever the conversion raises.
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(None, None, f"no {kind}: {node.value}", node.start_mark) from error


def _places(node: yaml.Node, above: _Key = ()) -> Iterator[tuple[_Key, int]]:
    """Each key below `node` with its line. Two levels are all that settings have."""
    if isinstance(node, yaml.MappingNode) and len(above) < _DEPTH:
        for name, value in node.value:
            key = (*above, str(name.value))
            yield key, name.start_mark.line + 1
            yield from _places(value, key)


def _line(lines: Mapping[_Key, int], key: _Key) -> int:
    """The line of `key`, or of the nearest thing around it that is in the file."""
    while key and key not in lines:
        key = key[:-1]
    return lines.get(key, 1)


def _flat(error: Mapping[str, Any], above: _Key = ()) -> Iterator[tuple[_Key, str]]:
    """Each fault of a nested trafaret error: its key and what is wrong."""
    if error["code"] == "nothing_match":
        # The first alternative is always "null"; the second is the one that the reader meant.
        yield from _flat(error["nested"][1], above)
    elif "nested" in error:
        for name, nested in error["nested"].items():
            yield from _flat(nested, (*above, str(name)))
    elif error["code"] == "not_allowed":
        yield above, _unknown(above)
    elif error["code"] == "is_not_a_string":
        yield above, "value is not text; put it between quotes"
    elif error["code"] == "is_not_a_dict":
        yield above, "needs keys of its own below it"
    else:
        yield above, error["message"]


def _unknown(key: _Key) -> str:
    """Say that `key` means nothing here, and which known one looks like it."""
    owner = _SECTIONS.get(key[0], Config) if len(key) > 1 else Config
    known = {field.name for field in fields(owner)}
    if owner is Config:
        known -= {"path", "development"}
    nearest = difflib.get_close_matches(key[-1], known, n=1)
    return f"unknown key; did you mean {nearest[0]}?" if nearest else "unknown key"


_DEPTH = 2
