"""Random actions of three admins against votes, on three processes."""

import random
import re
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.faults.conftest import Serve, prepare, settings
from tests.support.admin import Admin, Page, add_account
from tests.support.crowd import Crowd
from tests.support.healthz import healthy
from tests.support.processes import command, eventually
from tests.support.servers import Server
from tests.support.watchers import Watchers

ACTIONS = 200
MAX_SECONDS = 20  # on a busy machine there are fewer actions
KEPT = 1  # the poll of which no choice or ballot is removed, so that its ballots can be compared with the votes

# Actions, and how often each is taken in relation to the others.
WEIGHTS = {
    "add": 8,
    "edit": 8,
    "edit kept": 4,
    "delete one": 2,
    # Of up to four polls together:
    "close": 2,
    "reopen": 2,
    "clear": 2,
    "delete": 1,
}

CHOICES = """
    SELECT question_id, array_agg(id ORDER BY id) FROM choice WHERE question_id <> 1 GROUP BY question_id
"""


class RandomAdmin(threading.Thread):
    """An admin who does each of WEIGHTS once, and goes on at random until `ending` is set."""

    def __init__(self, url: str, ending: threading.Event) -> None:
        super().__init__(name=f"admin of {url}")
        self.answers: Counter[tuple[str, int]] = Counter()  # by action and status
        self._admin = Admin(url)
        self._ending = ending
        assert self._admin.sign_in().status == 200

    def run(self) -> None:
        each = random.sample(list(WEIGHTS), len(WEIGHTS))
        while each or not self._ending.wait(random.random() / 20):
            action = each.pop() if each else random.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0]
            self.answers[action, self._do(action).status] += 1

    def _do(self, action: str) -> Page:
        match action:
            case "add":
                return self._admin.add_poll("New?", "Yes", "No", "Perhaps")
            case "edit":
                return self._edit(random.choice(self._polls()))
            case "edit kept":
                return self._edit(KEPT)
            case "delete one":
                return self._admin.post(f"/admin/polls/{random.choice(self._polls())}/delete", [])
        polls = self._polls()
        selected = random.sample(polls, min(len(polls), random.randint(1, 4)))
        fields = [("do", action), ("confirmed", "yes"), *(("poll", str(poll)) for poll in selected)]
        return self._admin.post("/admin/polls/selected", fields)

    def _polls(self) -> list[int]:
        listed = re.findall(r'name="poll" value="(\d+)"', self._admin.get("/admin/").text)
        return [int(poll) for poll in listed if int(poll) != KEPT] or [999]

    def _edit(self, poll: int) -> Page:
        """Change the text, rename a choice, add one, and remove one with its votes unless it is the poll KEPT."""
        page = self._admin.get(f"/admin/polls/{poll}")
        if page.status != 200:
            return page
        form = page.form()
        form["text"] = f"{random.choice(['Tea', 'Coffee', 'Water'])}?"
        texts = [name for name in form if re.fullmatch(r"choice\.\d+\.text", name)]
        form[random.choice(texts[-3:])] = f"Choice {random.random()}"
        if poll != KEPT and (saved := [name for name in form if re.fullmatch(r"choice\.\d+\.id", name)]):
            removed = random.choice(saved)
            form[removed.replace(".id", ".remove")] = "yes"
            form.add("confirmed", form[removed])
        return self._admin.post(f"/admin/polls/{poll}", [*form.items(), ("do", "save")])


def test_counts_are_exact_after_random_actions_of_three_admins_against_votes_on_three_processes(
    serve: Serve, server: Server, tmp_path: Path
) -> None:
    prepare(tmp_path, server, settings(server), polls=4)
    add_account(tmp_path)
    ending = threading.Event()
    with ExitStack() as stack:
        processes = [stack.enter_context(serve(poll=False)) for _ in range(3)]
        urls = [polls.url for polls in processes]
        admins = [RandomAdmin(url, ending) for url in urls]
        stack.enter_context(healthy(*urls))
        watchers = stack.enter_context(Watchers(urls, 6))
        kept = Crowd(urls, concurrency=8, pause=0.02)
        others = Crowd(urls, {2: [3, 4]}, concurrency=8, pause=0.02, retries=False)
        with kept, others:
            for admin in admins:
                admin.start()
            end = time.monotonic() + MAX_SECONDS
            while time.monotonic() < end and sum(admin.answers.total() for admin in admins) < ACTIONS:
                others.polls = dict(server.execute(CHOICES)) or others.polls  # type: ignore[arg-type]
                time.sleep(0.2)
            ending.set()
            for admin in admins:
                admin.join()

        assert eventually(lambda: watchers.votes == {kept.total()}, 5)
        assert not watchers.went_back
        assert all("Traceback" not in polls.log.read_text() for polls in processes)

    done = command(tmp_path, "verify", "--config=polls.yaml")
    assert done.returncode == 0, done.stdout
    ballots = f"SELECT marks[1], count(*) FROM ballot WHERE question_id = {KEPT} GROUP BY 1"
    assert dict(server.execute(ballots)) == dict(kept.counted)
    # 503: a ballot whose poll was edited again and again meanwhile, or on a busy machine.
    assert set(kept.answers) <= {303, 503}, kept.answers
    assert set(others.answers) <= {303, 400, 403, 404, 503}, others.answers
    answers = sum((admin.answers for admin in admins), Counter())
    assert {status for _, status in answers} <= {200, 400, 404, 409}, answers
    assert {action for action, status in answers if status == 200} == WEIGHTS.keys(), answers
