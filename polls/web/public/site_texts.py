"""The pages with the operator's texts: privacy and imprint."""

from collections.abc import Mapping
from pathlib import Path

from aiohttp import hdrs, web
from markupsafe import Markup

from polls.config.settings import Site
from polls.web.http.page_cache import PRIVATE_NO_CACHE, RENDERED_PAGES, SHARED_ONE_SECOND
from polls.web.pages.base import View
from polls.web.pages.linked import linked
from polls.web.pages.session import person_for_links

# {route name: text} of the texts that are configured
SITE_TEXTS: web.AppKey[Mapping[str, Markup]] = web.AppKey("site_texts")


def read_site_texts(site: Site) -> dict[str, Markup]:
    """Return the texts in the files that `site` names, as HTML."""
    files = {"privacy": site.privacy, "imprint": site.imprint}
    return {name: _as_html(file) for name, file in files.items() if file}


def _as_html(file: Path) -> Markup:
    text = file.read_text("utf-8")
    if file.suffix == ".html":
        return Markup(text)  # nosec B704 # the operator's own
    return Markup('<div class="plain-text" dir="auto">{}</div>').format(linked(text.strip()))


class PrivacyView(View):
    """The operator's privacy policy; 404 if none is configured."""

    name = "privacy"

    async def get(self) -> web.StreamResponse:
        text = self.request.app[SITE_TEXTS].get(self.name)
        if text is None:
            raise web.HTTPNotFound
        person = await person_for_links(self.request) if hdrs.COOKIE in self.request.headers else None
        return self.cached_page(
            "public/site_text.html",
            text,
            self.name,
            person is not None,
            cache_control=PRIVATE_NO_CACHE if person else SHARED_ONE_SECOND,
            pages=RENDERED_PAGES,
            context=lambda: {"name": self.name, "text": text, "person": person, "here": self.url(self.name)},
        )


class ImprintView(PrivacyView):
    """The same with the imprint: who runs the site."""

    name = "imprint"
