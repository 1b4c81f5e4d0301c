"""Choosing a language by hand."""

import re

from aiohttp import web

from polls.web.base import View
from polls.web.cookies import remember
from polls.web.keys import LANGUAGES
from polls.web.templating import LANGUAGE_COOKIE

# Addresses of our own: from the root, and not `//host` or `/\host`, which browsers take for another site.
_OWN_ADDRESS = re.compile(r"/(?![/\\])[\x21-\x7e]*")


class LanguageView(View):
    """A visitor picks a language, which a cookie remembers, and goes on where they were."""

    async def get(self) -> web.Response:
        tag = self.request.match_info["tag"]
        if tag not in self.request.app[LANGUAGES]:
            raise web.HTTPNotFound
        index = self.url("index")
        back = self.request.query.get("next", index)
        response = web.Response(
            status=web.HTTPSeeOther.status_code,
            headers={"Location": back if _OWN_ADDRESS.fullmatch(back) else index, "Cache-Control": "no-store"},
        )
        remember(self.request, response, LANGUAGE_COOKIE, tag, path=index)
        return response
