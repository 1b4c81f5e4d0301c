"""The documents name everything that operators can set, run and watch, and only paths that exist."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from polls.app import create_app
from polls.cli import main
from polls.config.settings import Config, Metrics, Postgres
from polls.web.ops.meter import METER
from polls.web.ops.metrics import metrics_app

CHECKOUT = Path(__file__).parents[1]
DOCUMENTS = sorted([*CHECKOUT.glob("README.md"), *CHECKOUT.glob("*/README.md"), CHECKOUT / "CHANGELOG.md"])
OPERATORS = CHECKOUT / "config/README.md"
FROM_COMMAND_LINE = {"path", "development"}  # fields of Config that no file can set

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_TREE = re.compile(r"^```\n(polls/.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
_PATH = re.compile(r"`((?:polls|tests|config|templates|sql|static|\.ci|\.readme)/[\w./-]*)`")


def text_of(document: Path) -> str:
    """The document without its fenced blocks."""
    return _FENCE.sub("", document.read_text("utf-8"))


def name_of(document: Path) -> str:
    return str(document.relative_to(CHECKOUT))


def settings(record: Any, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Each key of the configuration file with its default: `("votes.timeout", 5)`."""
    for field in fields(record):
        value = getattr(record, field.name)
        if is_dataclass(value):
            yield from settings(value, f"{prefix}{field.name}.")
        elif prefix or field.name not in FROM_COMMAND_LINE:
            yield prefix + field.name, value


def as_yaml(value: object) -> str:
    if value is None or value == "":
        return "null"
    if isinstance(value, tuple):
        return str(list(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def help_of(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    return capsys.readouterr().out


def commands(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return re.findall(r"^    ([a-z]+)(?: |$)", help_of(capsys), re.MULTILINE)


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub makes of the document's headings."""
    headings = re.findall(r"^#+ (.*)$", text_of(document), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def tree(document: Path) -> list[str]:
    """The paths in the tree that the document draws: two spaces of indentation for each level."""
    (drawing,) = _TREE.findall(document.read_text("utf-8"))
    paths: list[str] = []
    folders: list[str] = []
    for line in drawing.splitlines():
        level = (len(line) - len(line.lstrip())) // 2
        folders[level:] = [line.split()[0]]
        paths.append("".join(folders))
    return paths


def packages(pattern: str) -> set[str]:
    return {f"{file.parent.relative_to(CHECKOUT)}/" for file in (CHECKOUT / "polls").glob(f"{pattern}/__init__.py")}


def test_the_settings_table_has_every_key_with_its_default() -> None:
    rows = re.findall(r"^\| `([a-z_.]+)` \| `([^`]*)` \| \S", OPERATORS.read_text("utf-8"), re.MULTILINE)

    assert dict(rows) == {key: as_yaml(value) for key, value in settings(Config(postgres=Postgres()))}


def test_the_settings_file_mentions_every_key() -> None:
    explained = (CHECKOUT / "config/polls.yaml").read_text("utf-8")

    for key, _ in settings(Config(postgres=Postgres())):
        assert re.search(rf"^[ #]*{key.rpartition('.')[2]}:", explained, re.MULTILINE), key


def test_the_commands_table_has_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    documented = set(re.findall(r"^\| `([a-z]+)[ `]", OPERATORS.read_text("utf-8"), re.MULTILINE))

    assert len(commands(capsys)) > 10
    assert set(commands(capsys)) <= documented


def test_every_option_of_every_command_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    documented = set(re.findall(r"--[a-z-]+", OPERATORS.read_text("utf-8")))

    for command in ["", *commands(capsys)]:
        options = set(re.findall(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*", help_of(capsys, *command.split())))
        assert options <= documented, command


async def test_the_metrics_table_has_every_metric_of_ours(config: Config, aiohttp_client: Any) -> None:
    app = create_app(replace(config, metrics=Metrics(port=0)))
    client: TestClient[Any, Any] = await aiohttp_client(app)
    await client.get("/")
    exposition = await (await (await aiohttp_client(metrics_app(app, app[METER]))).get("/metrics")).text()
    documented = set(re.findall(r"^\| `(polls_[a-z_]+)[`{]", OPERATORS.read_text("utf-8"), re.MULTILINE))

    exposed = set(re.findall(r"^# TYPE (polls_[a-z_]+) ", exposition, re.MULTILINE))
    outcomes = set(re.findall(r'outcome="([a-z_]+)"', exposition))
    assert documented == exposed
    assert outcomes
    assert all(f"`{outcome}`" in OPERATORS.read_text("utf-8") for outcome in outcomes)


def test_every_make_target_is_documented() -> None:
    targets = re.findall(r"^([a-z]+):.*## ", (CHECKOUT / "Makefile").read_text("utf-8"), re.MULTILINE)
    documented = {
        word for document in DOCUMENTS for word in re.findall(r"\bmake ([a-z]+)", document.read_text("utf-8"))
    }

    assert targets
    assert set(targets) <= documented


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(document: Path) -> None:
    for target, anchor in _LINK.findall(text_of(document)):
        file = document.parent / target if target else document
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), f"{target}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_path_in_backticks_exists(document: Path) -> None:
    missing = [path for path in _PATH.findall(text_of(document)) if not (CHECKOUT / path).exists()]

    assert missing == []


def test_readme_has_at_most_150_lines() -> None:
    assert len((CHECKOUT / "README.md").read_text("utf-8").splitlines()) <= 150


@pytest.mark.parametrize(("document", "pattern"), [("README.md", "*"), ("polls/README.md", "**")])
def test_the_tree_that_is_drawn_is_the_tree_that_exists(document: str, pattern: str) -> None:
    drawn = tree(CHECKOUT / document)

    missing = [path for path in drawn if not (CHECKOUT / path).exists()]
    assert missing == []
    assert all(path.endswith("/") == (CHECKOUT / path).is_dir() for path in drawn)
    assert packages(pattern) <= set(drawn)
