"""The links that choose a language."""

from aiohttp import web

from polls.web.http.cookies import set_cookie
from polls.web.http.parameters import local_path
from polls.web.pages.base import View
from polls.web.pages.languages import TRANSLATIONS
from polls.web.pages.rendering import LANGUAGE_COOKIE


class LanguageView(View):
    """Stores the chosen language in a cookie, and redirects back to the page."""

    async def get(self) -> web.Response:
        tag = self.request.match_info["tag"]
        if tag not in self.request.app[TRANSLATIONS]:
            raise web.HTTPNotFound
        index = self.url("index")
        response = web.Response(
            status=web.HTTPSeeOther.status_code,
            headers={"Location": local_path(self.request.query.get("next", ""), index), "Cache-Control": "no-store"},
        )
        set_cookie(self.request, response, LANGUAGE_COOKIE, tag, path=index)
        return response
