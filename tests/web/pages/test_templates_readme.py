import re

import pytest

from polls import paths

TEMPLATES = sorted(file.relative_to(paths.TEMPLATES).as_posix() for file in paths.TEMPLATES.rglob("*.html"))


@pytest.fixture(scope="module")
def rows() -> dict[str, str]:
    """{template: description} of the tables in templates/README.md."""
    readme = (paths.TEMPLATES / "README.md").read_text("utf-8")
    return dict(re.findall(r"^\| `([^`|]+\.html)` \| (.+) \|$", readme, re.MULTILINE))


def test_every_template_is_described_and_no_other(rows: dict[str, str]) -> None:
    assert sorted(rows) == TEMPLATES


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name.startswith("public/") and "/_" not in name])
def test_the_described_variables_of_public_pages_occur_in_them(rows: dict[str, str], template: str) -> None:
    variables = re.findall(r"`([a-z_]+)`", rows[template])
    pages = [template, "base.html", *re.findall(r"`([a-z_/]+\.html)`", rows[template])]
    fragments = [*(paths.TEMPLATES / "public").glob("_*.html"), *(paths.TEMPLATES / "methods").rglob("*.html")]
    included = [file.read_text("utf-8") for file in fragments]
    text = "\n".join([*included, *((paths.TEMPLATES / page).read_text("utf-8") for page in pages)])

    assert [name for name in variables if not re.search(rf"\b{name}\b", text)] == []
