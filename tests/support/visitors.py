"""Visitors who come one after the other, whatever became of those before, and how long each of them waits.

`python -m tests.support.visitors URL SECONDS` lets one come every 20 milliseconds, over a connection of their own: to
the list, to the results, and to vote. It prints JSON: seconds at the median, the 99th percentile and the most, and what
went wrong. They come from 127.0.0.2, so that who counts connections by address doesn't take them for somebody else.
"""

import asyncio
import json
import secrets
import sys
from collections import Counter
from time import monotonic

import aiohttp

EVERY = 0.02  # seconds
ADDRESS = "127.0.0.2"
VISITS = (("GET", "/", 200), ("GET", "/poll/1/results", 200), ("POST", "/poll/1/vote", 303))


async def visit(session: aiohttp.ClientSession, url: str, number: int, faults: Counter[str]) -> float:
    """One visit, and for how many seconds it waited."""
    method, address, expected = VISITS[number % len(VISITS)]
    begun = monotonic()
    body = {"choice": "1"} if method == "POST" else None
    cookie = {"Cookie": f"voter={secrets.token_hex(16)}"}
    try:
        async with session.request(method, url + address, data=body, headers=cookie, allow_redirects=False) as answer:
            await answer.read()
            if answer.status != expected:
                faults[f"{address} {answer.status}"] += 1
    except (aiohttp.ClientError, TimeoutError) as error:
        faults[f"{address} {type(error).__name__}"] += 1
    return monotonic() - begun


async def visits(url: str, seconds: float) -> dict[str, object]:
    faults: Counter[str] = Counter()
    connector = aiohttp.TCPConnector(limit=0, force_close=True, local_addr=(ADDRESS, 0))
    timeout = aiohttp.ClientTimeout(total=30)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=jar) as session:
        begun = monotonic()
        coming = []
        for number in range(round(seconds / EVERY)):
            # By the clock: those who wait don't keep others from coming.
            await asyncio.sleep(max(0, begun + number * EVERY - monotonic()))
            coming.append(asyncio.create_task(visit(session, url, number, faults)))
        took = sorted(await asyncio.gather(*coming))
    return {
        "visits": len(took),
        "median": took[len(took) // 2],
        "p99": took[len(took) * 99 // 100],
        "most": took[-1],
        "faults": faults,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(visits(sys.argv[1], float(sys.argv[2])))))
