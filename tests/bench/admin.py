"""How long the admin's list takes with 200,000 polls, and whether a sign-in tells a known user name by its time."""

import subprocess
import sys
from collections.abc import Callable
from http.client import HTTPConnection
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import quote, urlencode, urlsplit

from tests.support.processes import Polls

HERE = Path(__file__).parent
PASSWORD = "correct horse battery"
COLUMNS = ("text", "published", "recent", "state", "ballots")
WORDS = ("", "c4c yes", "a", "ma", "19999")  # from rare beginnings to one that all polls have
STATES = ("", "scheduled", "open", "closed")
DATES = ("", "year")
ORDERS = ("", "-ballots", "state,-ballots,text", "-recent,text", "text,-published")
PAGES = (1, 20)
ROUNDS = 3
GUESSES = 20  # at each kind of name


def measure(polls: Polls, folder: Path) -> None:
    """Fill the database, sign in, ask for the list in many ways, and print what takes longest; then guess passwords."""
    _run(folder, "createadmin", "--username=ada", "--password-stdin", typed=PASSWORD)
    _run(folder, "psql", "--", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(HERE / "many_polls.sql"))
    connection = HTTPConnection(urlsplit(polls.url).netloc)
    cookie = _sign_in(connection, "ada", PASSWORD)

    def took(query: dict[str, object]) -> float:
        address = "/admin/?" + urlencode({name: value for name, value in query.items() if value}, quote_via=quote)
        times = []
        for _ in range(ROUNDS):
            begun = perf_counter()
            connection.request("GET", address, headers={"Cookie": cookie})
            answer = connection.getresponse()
            answer.read()
            times.append(perf_counter() - begun)
            assert answer.status in {200, 303}, (address, answer.status)
        return median(times)

    print(f"\nThe admin's list of 200,000 polls, in ms until the whole page is there, medians of {ROUNDS}", flush=True)
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
        _print(name, queries, took)
    _guess(connection)


def _print(name: str, queries: list[dict[str, object]], took: Callable[[dict[str, object]], float]) -> None:
    times = sorted(((took(query), query) for query in queries), key=lambda timed: timed[0])
    (most, worst) = times[-1]
    middle = times[len(times) // 2][0]
    shown = {key: value for key, value in worst.items() if value}
    print(f"{name:30}{len(times):5}  median {1000 * middle:4.0f}  most {1000 * most:4.0f} for {shown}", flush=True)


def _guess(connection: HTTPConnection) -> None:
    """Guess at known and unknown names in turns: each guess costs one hash, so that their times are the same."""
    times: dict[str, list[float]] = {"known": [], "unknown": []}
    for number in range(1, GUESSES + 1):
        for kind, of_kind in times.items():
            begun = perf_counter()
            assert _sign_in(connection, f"{kind}{number}", "wrong horse") == ""
            of_kind.append(perf_counter() - begun)
    known, unknown = (1000 * median(of_kind) for of_kind in times.values())
    print(f"\nA sign-in that fails: {known:.0f} ms for known names, {unknown:.0f} ms for others, {known / unknown:.2f}")


def _sign_in(connection: HTTPConnection, username: str, password: str) -> str:
    """The cookie of the session, or nothing."""
    body = urlencode({"username": username, "password": password})
    connection.request("POST", "/admin/login", body, {"Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    answer.read()
    return (answer.getheader("Set-Cookie") or "").partition(";")[0]


def _run(folder: Path, *arguments: str, typed: str = "") -> None:
    command, *rest = arguments
    subprocess.run(
        [sys.executable, "-m", "polls", command, "--config=polls.yaml", *rest],
        cwd=folder,
        input=typed,
        stdout=subprocess.DEVNULL,
        text=True,
        check=True,
    )
