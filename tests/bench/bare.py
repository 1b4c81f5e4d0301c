"""The reference of the benchmark: a bare aiohttp server that returns given bytes and headers.

It reads {path: {"body": text, "headers": list of pairs}} from standard input, prints "ready", and parses posted forms.
"""

import json
import sys
from typing import Any

from aiohttp import web
from multidict import CIMultiDict


def create_app(answers: dict[str, Any]) -> web.Application:
    """Create an application with one handler for each path."""
    app = web.Application()
    for path, answer in answers.items():
        body = answer["body"].encode()
        headers = CIMultiDict(answer["headers"])

        async def page(_: web.Request, body: bytes = body, headers: CIMultiDict[str] = headers) -> web.Response:
            return web.Response(body=body, headers=headers)

        async def vote(request: web.Request, headers: CIMultiDict[str] = headers) -> web.Response:
            form = await request.post()
            for value in form.values():
                int(str(value))
            return web.Response(status=303, headers=headers)

        if path.endswith("/vote"):
            app.router.add_post(path, vote)
        else:
            app.router.add_get(path, page)
    return app


if __name__ == "__main__":
    web.run_app(
        create_app(json.load(sys.stdin)),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=lambda _: print("ready", flush=True),
    )
