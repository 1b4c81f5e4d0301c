"""A load of visitors at a fixed rate, and how long each waits.

`python -m tests.support.visitors URL SECONDS` makes a request every 20 milliseconds, each over its own connection: for
the list, for the results, and to vote. It prints JSON: the number of visits, the median, 99th percentile and maximum of
their durations in seconds, and {fault: count}. The requests come from 127.0.0.2, so that limits for each address don't
mix them up with those of other clients.
"""

import asyncio
import json
import secrets
import sys
from collections import Counter
from time import monotonic

import aiohttp

INTERVAL = 0.02  # seconds
ADDRESS = "127.0.0.2"
VISITS = (("GET", "/", 200), ("GET", "/poll/1/results", 200), ("POST", "/poll/1/vote", 303))


async def visit(session: aiohttp.ClientSession, url: str, number: int, faults: Counter[str]) -> float:
    """Make one visit, and return its duration in seconds."""
    method, address, expected = VISITS[number % len(VISITS)]
    start = monotonic()
    body = {"choice": "1"} if method == "POST" else None
    cookie = {"Cookie": f"polls_voter={secrets.token_hex(16)}"}
    try:
        async with session.request(method, url + address, data=body, headers=cookie, allow_redirects=False) as response:
            await response.read()
            if response.status != expected:
                faults[f"{address} {response.status}"] += 1
    except (aiohttp.ClientError, TimeoutError) as error:
        faults[f"{address} {type(error).__name__}"] += 1
    return monotonic() - start


async def visits(url: str, seconds: float) -> dict[str, object]:
    faults: Counter[str] = Counter()
    connector = aiohttp.TCPConnector(limit=0, force_close=True, local_addr=(ADDRESS, 0))
    timeout = aiohttp.ClientTimeout(total=30)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=jar) as session:
        start = monotonic()
        tasks = []
        for number in range(round(seconds / INTERVAL)):
            # At a fixed rate, however long earlier visits take.
            await asyncio.sleep(max(0, start + number * INTERVAL - monotonic()))
            tasks.append(asyncio.create_task(visit(session, url, number, faults)))
        durations = sorted(await asyncio.gather(*tasks))
    return {
        "visits": len(durations),
        "median": durations[len(durations) // 2],
        "p99": durations[len(durations) * 99 // 100],
        "max": durations[-1],
        "faults": faults,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(visits(sys.argv[1], float(sys.argv[2])))))
