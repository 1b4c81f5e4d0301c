"""Every address of polls."""

from aiohttp import web

from polls import paths
from polls.web.ballots import VoteView
from polls.web.language_choice import LanguageView
from polls.web.numbers import NUMBER
from polls.web.pages import DetailView, IndexView, ResultsView

# How a poll is addressed, everywhere: one address a page. Templates write `question.address`.
POLL = f"/poll/{{address:{NUMBER}}}"

ROUTES = [
    web.view("/", IndexView, name="index"),
    web.view(POLL, DetailView, name="poll"),
    web.view(POLL + "/vote", VoteView, name="vote"),
    web.view(POLL + "/results", ResultsView, name="results"),
    web.view("/language/{tag}", LanguageView, name="language"),
    web.static("/static/", paths.STATIC, name="static", append_version=True),
]


def setup_routes(app: web.Application) -> None:
    """Connect every address with its view."""
    app.router.add_routes(ROUTES)
