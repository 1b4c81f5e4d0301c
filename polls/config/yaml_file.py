"""Read YAML files with the line of each key, for errors that name file, line and key."""

from collections.abc import Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import yaml

Key = tuple[str, ...]  # the path of a value: ("postgres", "minsize"), or ("polls", "1", "slug") with items from 1


class InvalidFile(Exception):
    """A file is invalid; `problems` lists every error, as "file:line: key: message", by line.

    It is made of tuples of a line and a message.
    """

    def __init__(self, file: Path, *problems: tuple[int, str]) -> None:
        self.problems = [f"{file}:{line}: {message}" for line, message in sorted(problems, key=itemgetter(0))]
        super().__init__("\n".join(self.problems))


class YAMLFile(NamedTuple):
    """The content of a file, the line of each key and item in it, and a problem for each repeated key."""

    content: object
    lines: Mapping[Key, int]
    problems: list[tuple[int, str]]

    def line(self, key: Key) -> int:
        """Return the line of `key`, or of its nearest parent in the file."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)


def read_yaml(file: Path, *, depth: int, if_empty: str) -> YAMLFile:
    """Read `file`, with the lines of its keys down to `depth` levels.

    Raises InvalidFile if it can't be read or is not YAML; `if_empty` says what an empty one lacks.
    """
    try:
        loader = _Loader(file.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if node is None:
            raise InvalidFile(file, (1, f"the file is empty; {if_empty}"))
        lines: dict[Key, int] = {}
        repeated = []
        for key, line in _key_lines(node, depth):
            if key in lines:
                repeated.append((line, f"{'.'.join(key)}: already set on line {lines[key]}"))
            lines[key] = line
        return YAMLFile(loader.construct_document(node), lines, repeated)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidFile(file, (1, f"can't read this file: {reason}")) from None
    except UnicodeDecodeError:
        raise InvalidFile(file, (1, "this file is not UTF-8 text")) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidFile(file, (line, f"this is not YAML: {error.problem}")) from None
    except yaml.YAMLError as error:
        raise InvalidFile(file, (1, f"this is not YAML: {str(error).splitlines()[0]}")) from None
    except RecursionError:
        raise InvalidFile(file, (1, "values are nested too deeply")) from None


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


def _key_lines(node: yaml.Node, depth: int, parent: Key = ()) -> Iterator[tuple[Key, int]]:
    """Yield each key and item below `node`, down to `depth` levels, with its line."""
    if len(parent) == depth:
        return
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            key = (*parent, str(name.value))
            yield key, name.start_mark.line + 1
            yield from _key_lines(value, depth, key)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value, start=1):
            key = (*parent, str(number))
            yield key, item.start_mark.line + 1
            yield from _key_lines(item, depth, key)
