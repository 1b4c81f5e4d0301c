"""The reference: an aiohttp server with nothing behind it, that answers with as many bytes, or headers, as polls does.

It reads from standard input what to answer with ({"sizes": {address: number of bytes}, "vote": {address: headers}})
and prints its address.
"""

import json
import sys
from typing import Any

from aiohttp import web
from multidict import CIMultiDict


def create_app(answers: dict[str, Any]) -> web.Application:
    """One handler for each address; the vote's parses the form and redirects."""
    app = web.Application()
    for address, size in answers["sizes"].items():
        body = b"x" * size

        async def page(_: web.Request, body: bytes = body) -> web.Response:
            return web.Response(body=body, content_type="text/html", charset="utf-8")

        app.router.add_get(address, page)

    ((address, headers),) = answers["vote"].items()

    async def vote(request: web.Request) -> web.Response:
        form = await request.post()
        int(str(form["choice"]))
        return web.Response(status=303, headers=CIMultiDict(headers))

    app.router.add_post(address, vote)
    return app


if __name__ == "__main__":
    web.run_app(
        create_app(json.load(sys.stdin)),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=lambda _: print("ready", flush=True),
    )
