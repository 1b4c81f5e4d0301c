"""Files that browsers and crawlers look for: favicon, rules for crawlers, web app manifest."""

from aiohttp import web

from polls.web.http.security_headers import RESPONSE_HEADERS
from polls.web.http.static import STATIC_FILES, static_url
from polls.web.keys import CONFIG
from polls.web.pages.base import View

_FOR_A_DAY = {"Cache-Control": "public, max-age=86400"}
_PAGE_COLOR = "#f4f3ef"  # the light theme's `--page`, as in base.html


class FaviconView(View):
    """The icon for browsers that don't read the link to the SVG one, and for programs that read no page."""

    async def get(self) -> web.StreamResponse:
        app = self.request.app
        security_headers = app[RESPONSE_HEADERS]
        return app[STATIC_FILES]["img/favicon.ico"].page({}, _FOR_A_DAY | {**security_headers}).answer(self.request)


class RobotsView(View):
    """The paths that crawlers should leave out (RFC 9309)."""

    async def get(self) -> web.StreamResponse:
        admin, languages = self.url("admin").removesuffix("/"), self.url("language", tag="")
        return web.Response(text=f"User-agent: *\nDisallow: {admin}\nDisallow: {languages}\n", headers=_FOR_A_DAY)


class ManifestView(View):
    """The web app manifest: name, icons and colors of the site on a home screen."""

    async def get(self) -> web.StreamResponse:
        app = self.request.app
        manifest = {
            "name": app[CONFIG].site.name,
            "start_url": self.url("index"),
            "scope": self.url("index"),
            "display": "minimal-ui",
            "background_color": _PAGE_COLOR,
            "theme_color": _PAGE_COLOR,
            "icons": [
                {"src": static_url(app, "img/polls.svg"), "type": "image/svg+xml", "sizes": "any"},
                {"src": static_url(app, "img/touch-icon.png"), "type": "image/png", "sizes": "180x180"},
            ],
        }
        return web.json_response(manifest, content_type="application/manifest+json", headers=_FOR_A_DAY)
