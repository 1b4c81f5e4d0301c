"""Duration of the admin's list with 200,000 polls, and of failed sign-ins for known and unknown names."""

import subprocess
import sys
from collections.abc import Callable
from http.client import HTTPConnection
from itertools import product
from operator import itemgetter
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import quote, urlencode, urlsplit

from tests.support.processes import Polls

HERE = Path(__file__).parent
PASSWORD = "correct horse battery"
COLUMNS = ("text", "published", "recent", "state", "ballots")
WORDS = ("", "c4c yes", "a", "ma", "19999")  # from a rare part of a word to one that all polls have
STATES = ("", "scheduled", "open", "closed")
DATES = ("", "year")
ORDERS = ("", "-ballots", "state,-ballots,text", "-recent,text", "text,-published")
PAGES = (1, 20)
ROUNDS = 3
GUESSES = 20  # for each kind of name


def measure(polls: Polls, folder: Path) -> None:
    """Fill the database, sign in, request the list in many ways, and print the slowest; then guess passwords."""
    _run(folder, "createadmin", "--username=ada", "--password-stdin", stdin=PASSWORD)
    _run(folder, "psql", "--", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(HERE / "many_polls.sql"))
    connection = HTTPConnection(urlsplit(polls.url).netloc)
    cookie = _sign_in(connection, "ada", PASSWORD)

    def measure_list(query: dict[str, object]) -> float:
        path = "/admin/?" + urlencode({name: value for name, value in query.items() if value}, quote_via=quote)
        times = []
        for _ in range(ROUNDS):
            started = perf_counter()
            connection.request("GET", path, headers={"Cookie": cookie})
            response = connection.getresponse()
            response.read()
            times.append(perf_counter() - started)
            assert response.status in {200, 303}, (path, response.status)
        return median(times)

    print(f"\nThe admin's list of 200,000 polls, in ms for the whole page, medians of {ROUNDS}", flush=True)
    one_column = [
        {"sort": sort, "page": page} for column in COLUMNS for sort in (column, f"-{column}") for page in range(1, 21)
    ]
    searches = [{"q": words, "page": page} for words in WORDS[1:] for page in PAGES]
    filters = [{"state": state, "date": date} for state, date in product(STATES, DATES)]
    combinations = [
        {"q": words, "state": state, "date": date, "sort": sort, "page": page}
        for words, state, date, sort, page in product(WORDS, STATES, DATES, ORDERS, PAGES)
    ]
    for name, queries in {
        "one column, pages 1 to 20": one_column,
        "a search": searches,
        "filters": filters,
        "any combination": combinations,
    }.items():
        _print(name, queries, measure_list)
    _measure_failed_sign_ins(connection)


def _print(name: str, queries: list[dict[str, object]], measure_list: Callable[[dict[str, object]], float]) -> None:
    times = sorted(((measure_list(query), query) for query in queries), key=itemgetter(0))
    slowest, query = times[-1]
    middle = times[len(times) // 2][0]
    shown = {key: value for key, value in query.items() if value}
    print(f"{name:30}{len(times):5}  median {1000 * middle:4.0f}  max {1000 * slowest:4.0f} for {shown}", flush=True)


def _measure_failed_sign_ins(connection: HTTPConnection) -> None:
    """Compare failed sign-ins of known and unknown names, in turns: each costs one hash and should take as long."""
    times: dict[str, list[float]] = {"known": [], "unknown": []}
    for number in range(1, GUESSES + 1):
        for kind, durations in times.items():
            started = perf_counter()
            assert _sign_in(connection, f"{kind}{number}", "wrong horse") == ""
            durations.append(perf_counter() - started)
    known, unknown = (1000 * median(durations) for durations in times.values())
    print(
        f"\nFailed sign-ins: {known:.0f} ms for known names, {unknown:.0f} ms for others, ratio {known / unknown:.2f}"
    )


def _sign_in(connection: HTTPConnection, username: str, password: str) -> str:
    """Return the session cookie, or an empty string if the sign-in fails."""
    body = urlencode({"username": username, "password": password})
    connection.request("POST", "/admin/login", body, {"Content-Type": "application/x-www-form-urlencoded"})
    response = connection.getresponse()
    response.read()
    return (response.getheader("Set-Cookie") or "").partition(";")[0]


def _run(folder: Path, *arguments: str, stdin: str = "") -> None:
    command, *rest = arguments
    subprocess.run(
        [sys.executable, "-m", "polls", command, "--config=polls.yaml", *rest],
        cwd=folder,
        input=stdin,
        stdout=subprocess.DEVNULL,
        text=True,
        check=True,
    )
