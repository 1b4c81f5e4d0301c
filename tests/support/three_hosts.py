"""A site on three hosts with Patroni, two of which serve polls behind nginx."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.front import nginx
from tests.support.network import Machine, machines
from tests.support.patroni import Host, cluster, is_whole, leader
from tests.support.processes import Polls, command, eventually, serving, write

RECOVERY_TIMEOUT = 60  # seconds until all hosts are in order again


@dataclass
class Site:
    """The three hosts, all other machines, and polls on some of the hosts; `front` has nginx and the voters."""

    folder: Path
    hosts: list[Host]
    front: Machine
    polls: dict[str, Polls] = field(default_factory=dict)  # by the host's name
    _running: dict[str, ExitStack] = field(default_factory=dict)

    def serve(self, host: Host) -> None:
        """Start polls on a host, port 8080."""
        stack = self._running[host.name] = ExitStack()
        options = f"--host={host.machine.address}", "--port=8080"
        self.polls[host.name] = stack.enter_context(
            serving(self.folder, *options, config=self.config, inside=host.machine.inside)
        )

    @property
    def config(self) -> dict[str, object]:
        """The settings of polls: all hosts are named, and polls finds the leader."""
        postgres = {"host": [host.machine.address for host in self.hosts], "user": "polls", "password": "polls"}
        return {"postgres": postgres | {"minsize": 2}, "log": {"access": False}}

    @property
    def leader(self) -> Host:
        return leader(self.hosts)

    def move_leader(self) -> None:
        """Let the leader be a host that serves polls, too, so that voters reach it when it is cut off."""
        old = self.leader
        if old.name not in self.polls:
            assert eventually(lambda: is_whole(self.hosts), RECOVERY_TIMEOUT)
            old.ctl("switchover", "polls", f"--leader={old.name}", "--force")
            assert eventually(lambda: self.leader is not old)

    def set_cluster(self, **settings: object) -> None:
        """Change settings of the cluster with patronictl."""
        words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        self.leader.ctl("edit-config", "polls", *words, "--force")

    def others(self, host: Host) -> list[Host]:
        return [other for other in self.hosts if other is not host]

    def lose(self, host: Host) -> None:
        """Let a host vanish, as if its power had failed: nothing there says good-bye."""
        for machine in (self.front, *(other.machine for other in self.others(host))):
            host.machine.disconnect(machine)
        if host.name in self.polls:
            self.polls[host.name].process.kill()
            self._running.pop(host.name).close()
        host.kill()

    def bring_back(self, host: Host) -> None:
        """Switch a lost host on again."""
        for machine in (self.front, *(other.machine for other in self.others(host))):
            host.machine.reconnect(machine)
        host.start(self.hosts)
        if host.name in self.polls:
            self.serve(host)

    def cut_off(self, host: Host) -> None:
        """Disconnect a host from the two others; voters still reach it."""
        for other in self.others(host):
            host.machine.disconnect(other.machine)

    def rejoin(self, host: Host) -> None:
        for other in self.others(host):
            host.machine.reconnect(other.machine)

    def add_poll(self) -> tuple[int, list[int]]:
        """Add a poll of two choices; return their ids."""
        ((poll,),) = self.leader.execute(
            "INSERT INTO question (question_text, pub_date) VALUES ('Tea?', now()) RETURNING id", "polls"
        )
        choices = self.leader.execute(
            f"INSERT INTO choice (question_id, choice_text) VALUES ({poll}, 'Yes'), ({poll}, 'No') RETURNING id",
            "polls",
        )
        return poll, [choice for (choice,) in choices]

    def verify(self) -> None:
        """Assert that every poll is counted exactly."""
        done = command(self.folder, "verify", f"--config={self.file_by_socket()}")
        assert done.returncode == 0, done.stdout + done.stderr

    def file_by_socket(self) -> Path:
        """Write settings that reach the leader through its socket, from this machine."""
        folder = self.folder / "by-socket"
        folder.mkdir(exist_ok=True)
        address = {"host": str(self.leader.folder), "user": "postgres", "database": "polls"}
        return write(folder, {"postgres": address})

    def stop(self) -> None:
        for stack in self._running.values():
            stack.close()


@contextmanager
def site(folder: Path, **dcs: object) -> Iterator[Site]:
    """Run the three hosts, polls on two of them, and nginx on a fourth machine in front."""
    with machines(4) as (one, two, three, front), cluster(folder, [one, two, three], **dcs) as hosts:
        site = Site(folder, hosts, front)
        try:
            for host in hosts[:2]:
                site.serve(host)
            with nginx(folder / "nginx", front, [polls.url for polls in site.polls.values()]):
                yield site
        finally:
            site.stop()
