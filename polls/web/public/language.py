"""The links that choose a language."""

from aiohttp import web

from polls.web.http.cookies import CookieSetter
from polls.web.http.parameters import local_path
from polls.web.pages.languages import TRANSLATIONS
from polls.web.pages.private import PrivateView
from polls.web.pages.rendering import LANGUAGE_COOKIE


class LanguageView(PrivateView):
    """Stores the chosen language in a cookie, and redirects back to the page."""

    async def get(self) -> web.Response:
        tag = self.request.match_info["tag"]
        if tag not in self.request.app[TRANSLATIONS]:
            raise web.HTTPNotFound
        response = self.redirect(local_path(self.request.query.get("next", ""), self.url("index")))
        CookieSetter(self.request, response).set(LANGUAGE_COOKIE, tag)
        return response
