"""The reference: an aiohttp server with nothing behind it, that answers with the very bytes and headers of polls.

It reads from standard input what to answer with, {address: {"body": text, "headers": list of pairs}}, and prints that
it is ready. What is posted is parsed as a form.
"""

import json
import sys
from typing import Any

from aiohttp import web
from multidict import CIMultiDict


def create_app(answers: dict[str, Any]) -> web.Application:
    """One handler for each address."""
    app = web.Application()
    for address, answer in answers.items():
        body = answer["body"].encode()
        headers = CIMultiDict(answer["headers"])

        async def page(_: web.Request, body: bytes = body, headers: CIMultiDict[str] = headers) -> web.Response:
            return web.Response(body=body, headers=headers)

        async def vote(request: web.Request, headers: CIMultiDict[str] = headers) -> web.Response:
            form = await request.post()
            int(str(form["choice"]))
            return web.Response(status=303, headers=headers)

        if address.endswith("/vote"):
            app.router.add_post(address, vote)
        else:
            app.router.add_get(address, page)
    return app


if __name__ == "__main__":
    web.run_app(
        create_app(json.load(sys.stdin)),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=lambda _: print("ready", flush=True),
    )
