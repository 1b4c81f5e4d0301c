"""Write the pages that nginx shows while polls doesn't answer: `python -m tests.support.unavailable_pages`."""

from polls import paths
from polls.app import create_app
from polls.config.settings import Config, Postgres
from polls.web.pages.languages import TRANSLATIONS
from polls.web.pages.rendering import markup

FOLDER = paths.STATIC / "unavailable"


def pages() -> dict[str, str]:
    """{name of the file: what is in it}, made of templates/away.html."""
    app = create_app(Config(postgres=Postgres()))
    return {
        f"{name}.{language.tag}.html": markup(app, "unavailable.html", language, of_a_vote=of_a_vote) + "\n"
        for language in app[TRANSLATIONS].values()
        for name, of_a_vote in (("vote", True), ("page", False))
    }


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, page in pages().items():
        (FOLDER / name).write_text(page, "utf-8")


if __name__ == "__main__":
    main()
