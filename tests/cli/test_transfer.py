"""Polls as YAML files: what is exported is imported again, and bad files change nothing."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polls.cli import CommandFailed, main
from polls.cli.poll_file import as_yaml, load
from polls.cli.transfer import export_polls, import_polls
from polls.config.settings import Config
from polls.config.yaml_file import InvalidFile
from polls.domain.draft import comparison_key, is_blank, replace_unprintable
from polls.domain.methods import METHODS
from polls.domain.poll import FIRST_DAY, LAST_DAY
from polls.domain.poll_copy import PollCopy
from polls.domain.settings import MAX_RESULTS_FROM, PollSettings, Results
from polls.storage.postgres.connect import Connection
from tests.conftest import CreatePoll

FIRST, LAST = (datetime(day.year, day.month, day.day) for day in (FIRST_DAY, LAST_DAY))  # noqa: DTZ001 - with a zone below

OPERATORS = Path(__file__).parents[2] / "config/README.md"
HOSTILE = ("=1+1", "yes", "null", "~", "2026-05-03", "1e3", "- a", "a: b", "# c", "'", '"', " x ", "שלום", "🍵")


def texts(max_size: int) -> st.SearchStrategy[str]:
    characters = st.characters(exclude_categories=["Cs", "Cc"])
    hostile = st.sampled_from(HOSTILE)
    return (st.text(characters, min_size=1, max_size=max_size) | hostile).filter(
        lambda text: len(text) <= max_size and not is_blank(text) and replace_unprintable(text) == text
    )


moments = st.datetimes(FIRST, LAST, timezones=st.just(UTC))
descriptions = st.lists(texts(60) | st.just(""), max_size=4).map("\n".join)


@st.composite
def settings(draw: st.DrawFn) -> PollSettings:
    method = METHODS[draw(st.sampled_from(list(METHODS)))]
    chosen: dict[str, object] = {}
    for name, limit in method.LIMITS.items():
        lowest = max(limit.lowest, chosen.get(limit.at_least) or 0)  # type: ignore[call-overload]
        highest = min(limit.highest, chosen.get(limit.at_most) or limit.highest)  # type: ignore[call-overload]
        if name == "fewest_marks":
            highest = 2
        number = st.integers(lowest, highest)
        chosen[name] = draw(number | st.none() if limit.is_optional else number)
    labels = {name: draw(st.just("") | texts(40)) for name in method.LABELS}
    results = draw(st.sampled_from(list(Results)))
    return replace(
        method.INITIAL,
        **chosen,  # type: ignore[arg-type]
        **labels,
        description=draw(descriptions),
        results=results,
        results_from=draw(st.integers(0, MAX_RESULTS_FROM)),
        is_sealed=results in {Results.AFTER_CLOSE, Results.OWNER} and draw(st.booleans()),
    )


def copies(slug: st.SearchStrategy[str | None]) -> st.SearchStrategy[PollCopy]:
    return st.builds(
        PollCopy,
        text=texts(200),
        choices=st.lists(texts(200), min_size=2, max_size=5, unique_by=comparison_key).map(tuple),
        pub_date=moments,
        closes_at=st.none() | moments,
        custom_slug=slug,
        is_listed=st.booleans(),
        taken_down_at=st.none() | moments,
        settings=settings(),
    )


words = st.none() | st.from_regex("[a-z][a-z0-9-]{2,39}", fullmatch=True)
polls = st.lists(copies(words), max_size=3, unique_by=lambda copy: copy.custom_slug or object())


@given(polls)
def test_a_file_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, polls: list[PollCopy]) -> None:
    file = tmp_path_factory.getbasetemp() / "polls.yaml"
    file.write_bytes(as_yaml(polls).encode())

    read, _ = load(file)

    assert read == polls
    assert as_yaml(read).encode() == file.read_bytes()


@pytest.mark.usefixtures("folder")
def test_what_is_exported_is_imported_again(
    config: Config, database: Connection, create_poll: CreatePoll, capsys: pytest.CaptureFixture[str]
) -> None:
    score = replace(
        METHODS["score"].INITIAL,
        description="Which one?\n\n  Really.",
        lowest_label="bad",
        results=Results.AFTER_CLOSE,
        results_from=3,
        is_sealed=True,
    )
    create_poll("=1+1", "Tea", "- Coffee: yes", votes=(2, 1), closed=timedelta(minutes=1))
    create_poll("שלום?", "א", "ב", settings=score, slug="tea-time")
    create_poll("Later?", ago=timedelta(days=-2))
    with database.cursor() as cursor:
        cursor.execute("UPDATE question SET hidden_at = '2026-05-03 18:00:00.123456+02' WHERE id = 1")
    export_polls(config, Path("first.yaml"))
    with database.cursor() as cursor:
        cursor.execute("TRUNCATE question CASCADE")

    import_polls(config, Path("first.yaml"))
    export_polls(config, Path("second.yaml"))

    assert Path("second.yaml").read_bytes() == Path("first.yaml").read_bytes()
    assert capsys.readouterr().out.splitlines() == [
        "wrote 3 polls, without votes, to first.yaml",
        "added /poll/4: =1+1",
        "added /poll/tea-time: שלום?",
        "added /poll/6: Later?",
        "added 3 polls",
        "wrote 3 polls, without votes, to second.yaml",
    ]
    with database.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM ballot), sum(votes), (SELECT count(*) FROM history) FROM choice")
        assert cursor.fetchone() == (0, 0, 3)


@pytest.mark.usefixtures("folder")
def test_the_example_in_the_readme_is_valid() -> None:
    (example,) = re.findall(
        r"^```yaml\n(polls:\n- question.*?)^```", OPERATORS.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    Path("polls.yaml").write_text(example)

    (copy,), _ = load(Path("polls.yaml"))

    assert (copy.custom_slug, copy.choices, copy.settings.most_marks) == ("tea-time", ("Green", "Black"), 2)


def test_a_file_is_overwritten_only_with_force(
    config: Config, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "polls.yaml"
    file.write_text("mine")

    with pytest.raises(CommandFailed, match="exists; overwrite it with --force"):
        export_polls(config, file)
    assert file.read_text() == "mine"
    export_polls(config, file, overwrite=True)
    export_polls(config, Path("-"))

    assert capsys.readouterr().out.endswith(file.read_text())


BAD = """\
polls:
- question: Tea?
  published: 2026-05-03 18:00:00+00:00
  choices: [Yes, Yes, 'yes ', "a\\nb"]
  method: score
  most_points: 11
  budget: 5
  hidden: true
- question: ' '
  slug: Tea
  listed: maybe
  published: 2026-05-03 18:00:00
  closes: 2026-05-03
  results: never
  results_from: -1
  is_sealed: true
  choices:
  - Tea
  - 5
- just text
- slug: tea-time
  question: Again?
  question: Twice?
  published: 2026-05-03 18:00:00Z
  method: multiple
  fewest_marks: 3
  most_marks: 2
  lowest_label: bad
  choices: [A, B]
- {slug: tea-time, question: 'Same?', published: 2026-05-03 18:00:00Z, choices: []}
more: 1
"""


@pytest.mark.usefixtures("folder")
def test_every_error_is_told_with_its_line_and_key(config: Config, database: Connection) -> None:
    Path("bad.yaml").write_text(BAD)

    with pytest.raises(InvalidFile) as caught:
        import_polls(config, Path("bad.yaml"))

    assert caught.value.problems == [
        "bad.yaml:4: polls.1.choices.1: value is not text; put it between quotes",
        "bad.yaml:4: polls.1.choices.2: value is not text; put it between quotes",
        "bad.yaml:4: polls.1.choices.4: value contains a line break or another character that can't be displayed",
        "bad.yaml:6: polls.1.most_points: value is not a whole number from 1 to 10",
        "bad.yaml:7: polls.1.budget: can't be chosen with method score",
        "bad.yaml:8: polls.1.hidden: unknown key",
        "bad.yaml:9: polls.2.question: value is blank",
        "bad.yaml:10: polls.2.slug: value is not 3 to 40 small letters, digits and hyphens, beginning with a letter",
        "bad.yaml:11: polls.2.listed: value is neither true nor false",
        "bad.yaml:12: polls.2.published: value is not a date and time with its zone, like 2026-05-03 18:00:00+02:00",
        "bad.yaml:13: polls.2.closes: value is not a date and time with its zone, like 2026-05-03 18:00:00+02:00",
        "bad.yaml:14: polls.2.results: value is not one of always, after_vote, after_close, owner",
        "bad.yaml:15: polls.2.results_from: value is not a whole number from 0 to 1000000",
        "bad.yaml:16: polls.2.is_sealed: only with results: after_close or owner",
        "bad.yaml:19: polls.2.choices.2: value is not text; put it between quotes",
        "bad.yaml:20: polls.3: needs a mapping of keys to values",
        "bad.yaml:23: polls.4.question: already set on line 22",
        "bad.yaml:26: polls.4.fewest_marks: the poll has only 2 choices",
        "bad.yaml:27: polls.4.most_marks: value is not a whole number from 3 to 100",
        "bad.yaml:28: polls.4.lowest_label: a poll with method multiple has none",
        "bad.yaml:30: polls.5.slug: poll 4 of this file has the same",
        "bad.yaml:31: more: unknown key; the file has only polls",
    ]
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM question")
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "bad.yaml:1: the file is empty; it needs polls:"),
        ("- a", "bad.yaml:1: polls: needs a list of polls"),
        ("polls: 5", "bad.yaml:1: polls: needs a list of polls"),
        ("polls: [", "bad.yaml:1: this is not YAML: expected the node content, but found '<stream end>'"),
        ("polls:\n- {question: Tea, choices: []}", "bad.yaml:2: polls.1.published: is required"),
        (
            "polls:\n- {question: 'a', choices: [&a [*a]], published: 2026-13-45 99:00:00Z}",
            "bad.yaml:2: this is not YAML: ",
        ),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_file_without_polls_is_refused(content: str, problem: str) -> None:
    Path("bad.yaml").write_text(content)

    with pytest.raises(InvalidFile) as caught:
        load(Path("bad.yaml"))

    assert str(caught.value).startswith(problem)


@pytest.mark.usefixtures("folder")
def test_slugs_that_are_taken_are_told_before_anything_is_added(
    config: Config, database: Connection, create_poll: CreatePoll
) -> None:
    create_poll("Tea?", "Yes", slug="tea-time")
    poll = PollCopy("Tea?", ("Yes",), datetime.now(UTC))
    Path("polls.yaml").write_text(as_yaml([poll, replace(poll, custom_slug="tea-time")]))

    with pytest.raises(InvalidFile, match=r"polls\.yaml:10: polls\.2\.slug: another poll has it"):
        import_polls(config, Path("polls.yaml"))

    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM question")
        assert cursor.fetchone() == (1,)


@pytest.mark.usefixtures("folder")
def test_a_bad_file_is_exit_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "missing.yaml"]) == 2
    assert capsys.readouterr().err == "missing.yaml:1: can't read this file: No such file or directory\n"
