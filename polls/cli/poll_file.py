"""Files of polls without votes: YAML, written by `polls export` and read by `polls import`."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from polls.cli.poll_file_checks import PollChecks
from polls.config.yaml_file import InvalidFile, YAMLFile, read_yaml
from polls.domain.methods import METHODS
from polls.domain.poll_copy import PollCopy
from polls.domain.settings import PollSettings

_HEAD = "# Polls without votes, written by `polls export`. `polls import` adds them to a database.\n"
_DEPTH = 4  # levels of keys and items: polls, their numbers, their keys, numbers of choices


def as_yaml(copies: Sequence[PollCopy]) -> str:
    """Return the text of a file with these polls."""
    polls = [_values(copy) for copy in copies]
    return _HEAD + yaml.dump({"polls": polls}, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=10**6)


def load(file: Path) -> tuple[list[PollCopy], YAMLFile]:
    """Return the polls in `file`, and its lines. Raises InvalidFile with every problem: file, line, key and message."""
    found = read_yaml(file, depth=_DEPTH, if_empty="it needs polls:")
    copies, problems = [], found.problems
    content = found.content if isinstance(found.content, Mapping) else {}
    polls = content.get("polls")
    if not isinstance(polls, list):
        raise InvalidFile(file, *problems, (found.line(("polls",)), "polls: needs a list of polls"))
    problems += [
        (found.line((str(key),)), f"{key}: unknown key; the file has only polls") for key in content if key != "polls"
    ]
    slugs: dict[str, int] = {}
    for number, values in enumerate(polls, start=1):
        checks = PollChecks(values, ("polls", str(number)), found)
        copy = checks.poll()
        if copy.custom_slug in slugs:
            checks.report(("slug",), f"poll {slugs[copy.custom_slug]} of this file has the same")
        elif copy.custom_slug:
            slugs[copy.custom_slug] = number
        copies.append(copy)
        problems += checks.problems
    if problems:
        raise InvalidFile(file, *problems)
    return copies, found


def _values(copy: PollCopy) -> dict[str, object]:
    """Return the keys of a poll. Those that it has by default are left out."""
    initial = METHODS[copy.settings.method].INITIAL
    settings = {field.name: getattr(copy.settings, field.name) for field in fields(PollSettings)}
    return {
        "question": copy.text,
        **({"slug": copy.custom_slug} if copy.custom_slug else {}),
        "listed": copy.is_listed,
        "published": copy.pub_date,
        **({"closes": copy.closes_at} if copy.closes_at else {}),
        **({"taken_down": copy.taken_down_at} if copy.taken_down_at else {}),
        **{
            name: value.value if isinstance(value, Enum) else value
            for name, value in settings.items()
            if name == "method" or value != getattr(initial, name)
        },
        "choices": list(copy.choices),
    }


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, with one line for each line of a text, and no aliases for equal dates."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - PyYAML's
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)
