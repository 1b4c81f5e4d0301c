"""Two hosts of each kind behind nginx, in network namespaces, while hosts are lost and connections cut."""

import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.faults.conftest import assert_exact, pair, settings_by_socket, settings_of_hosts
from tests.faults.test_lost_database import first_vote_after
from tests.faults.test_lost_processes import post, read_answer
from tests.support.crowd import Crowd
from tests.support.front import nginx
from tests.support.network import Machine, machines
from tests.support.processes import Polls, command, eventually, serving, write

RECOVERY_TIMEOUT = 5  # seconds from the promotion to the next counted vote


@contextmanager
def applications(folder: Path, config: dict[str, object], *hosts: Machine) -> Iterator[list[Polls]]:
    """Serve polls on each machine, port 8080."""
    with ExitStack() as processes:
        yield [
            processes.enter_context(
                serving(folder, f"--host={machine.address}", "--port=8080", config=config, inside=machine.inside)
            )
            for machine in hosts
        ]


def is_ready(polls: Polls, client: Machine) -> bool:
    def request() -> bool:
        try:
            with urllib.request.urlopen(f"{polls.url}/readyz", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    return bool(client.call(request))


def vote(polls: Polls, voter: int, client: Machine) -> int:
    return int(client.call(lambda: read_answer(post(polls, voter)).status))


def test_no_vote_is_lost_while_hosts_are_cut_off_and_a_standby_is_promoted(tmp_path: Path) -> None:
    with (
        machines(5) as (front, left, right, upper, lower),
        pair(tmp_path, upper, lower) as (primary, standby),
        applications(tmp_path, settings_of_hosts(primary, standby), left, right) as (one, other),
        nginx(tmp_path / "nginx", front, [one.url, other.url]),
    ):
        primary.wait_for_standby()
        with Crowd(["http://127.0.0.1"], machine=front, pause=0.1) as crowd:
            time.sleep(1)
            left.disconnect(upper)
            left.disconnect(lower)
            time.sleep(6)
            assert not is_ready(one, front)
            assert first_vote_after(crowd, time.monotonic()) < RECOVERY_TIMEOUT
            left.reconnect(upper)
            left.reconnect(lower)
            assert eventually(lambda: is_ready(one, front))

            front.disconnect(left)
            time.sleep(4)
            assert first_vote_after(crowd, time.monotonic()) < RECOVERY_TIMEOUT
            front.reconnect(left)
            assert eventually(lambda: is_ready(one, front))

            primary.kill()
            time.sleep(0.5)
            assert not is_ready(other, front)
            promoted = time.monotonic()
            standby.promote()
            assert first_vote_after(crowd, promoted) < RECOVERY_TIMEOUT
            assert eventually(lambda: is_ready(one, front) and is_ready(other, front))
            time.sleep(1)

        assert crowd.total() > 500
        assert "Traceback" not in one.log.read_text() + other.log.read_text()
        assert_exact(write(tmp_path, settings_by_socket(standby)).parent, standby, crowd)


def test_an_old_primary_that_was_cut_off_acknowledges_no_votes(tmp_path: Path) -> None:
    with (
        machines(5) as (front, left, right, upper, lower),
        pair(tmp_path, upper, lower) as (primary, standby),
        applications(tmp_path, settings_of_hosts(primary, standby), left, right) as (one, other),
    ):
        primary.wait_for_standby()
        assert vote(one, 0, front) == 303
        upper.disconnect(lower)
        left.disconnect(lower)
        assert [vote(polls, voter, front) for polls, voter in ((one, 1), (other, 2))] == [503, 503]

        standby.promote()

        # A process that reaches both uses the promoted one; one that reaches only the old primary gets 503.
        assert eventually(lambda: vote(other, 2, front) == 303)
        assert primary.execute("SELECT pg_is_in_recovery()") == [(False,)]
        assert vote(one, 1, front) == 503
        assert standby.execute("SELECT ballots FROM question") == [(2,)]
        left.reconnect(lower)
        assert eventually(lambda: vote(one, 1, front) == 303)
        assert standby.execute("SELECT ballots FROM question") == [(3,)]
        assert command(tmp_path, "verify", f"--config={write(tmp_path, settings_by_socket(standby))}").returncode == 0
