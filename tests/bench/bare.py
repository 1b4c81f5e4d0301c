"""The reference: an aiohttp server with nothing behind it, that answers with as many bytes as polls does.

It reads from standard input what to answer with ({"/": number of bytes, ...}) and prints its address.
"""

import json
import sys

from aiohttp import web


def create_app(sizes: dict[str, int]) -> web.Application:
    """One handler for each address; the vote's parses the form and redirects."""
    app = web.Application()
    for address, size in sizes.items():
        body = b"x" * size

        async def page(_: web.Request, body: bytes = body) -> web.Response:
            return web.Response(body=body, content_type="text/html", charset="utf-8")

        app.router.add_get(address, page)

    async def vote(request: web.Request) -> web.Response:
        form = await request.post()
        int(str(form["choice"]))
        return web.Response(status=303, headers={"Location": "/poll/1/results"})

    app.router.add_post("/poll/1/vote", vote)
    return app


if __name__ == "__main__":
    web.run_app(
        create_app(json.load(sys.stdin)),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=lambda _: print("ready", flush=True),
    )
