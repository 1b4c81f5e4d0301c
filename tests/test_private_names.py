"""No test reaches a private name of polls in a string: ruff sees only attributes (SLF001) and imports (PLC2701)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent
BY_NAME = {"setattr", "delattr", "getattr", "hasattr", "attrgetter", "object", "patch"}
PRIVATE = re.compile(r"(.*\.)?_[A-Za-z]\w*")


def private_names(source: str) -> Iterator[str]:
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call):
            function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            texts = [each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            yield from (text for text in texts if function in BY_NAME and PRIVATE.fullmatch(text))


def test_no_test_names_a_private_attribute_in_a_string() -> None:
    found = {str(file): list(private_names(file.read_text("utf-8"))) for file in ROOT.rglob("*.py")}

    assert {file: names for file, names in found.items() if names} == {}


def test_private_names_are_found() -> None:
    source = 'monkeypatch.setattr("polls.aio._x", 1); getattr(box, "_queue"); patch.object(box, "size"); run("_x")'

    assert list(private_names(source)) == ["polls.aio._x", "_queue"]
