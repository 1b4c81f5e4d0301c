"""Write the pages that nginx shows if polls doesn't answer: `python -m tests.support.unavailable_pages`."""

from polls import paths
from polls.app import create_app
from polls.config.settings import Config, Postgres
from polls.web.pages.languages import TRANSLATIONS
from polls.web.pages.rendering import markup

FOLDER = paths.STATIC / "unavailable"


def pages() -> dict[str, str]:
    """Return {file name: page}, rendered from templates/unavailable.html in each language."""
    app = create_app(Config(postgres=Postgres()))
    return {
        f"{name}.{language.tag}.html": markup(app, "unavailable.html", language, is_vote=is_vote) + "\n"
        for language in app[TRANSLATIONS].values()
        for name, is_vote in (("vote", True), ("page", False))
    }


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, page in pages().items():
        (FOLDER / name).write_text(page, "utf-8")


if __name__ == "__main__":
    main()
