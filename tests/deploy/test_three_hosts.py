"""Three hosts with Patroni on bare Debian machines, by the commands in config/README.md and nothing else."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

from tests.deploy.conftest import CHECKOUT
from tests.support import systemctl
from tests.support.crowd import Crowd
from tests.support.network import Machine, machines
from tests.support.overlay import OVERLAY
from tests.support.processes import command, eventually, serving

TEST_TIMEOUT = 600  # seconds
JOIN_TIMEOUT = 120  # seconds until all hosts are in order
WHOLE = ["Leader running", "Replica streaming", "Sync Standby streaming"]

# A machine's file system whose changes are kept in memory, with the packages. $1 is the checkout, $2 systemctl, $3 the
# commands that install the packages; the network is this machine's.
IMAGE = f"""
    {OVERLAY}
    install -m 755 "$2" root/usr/local/sbin/systemctl
    chroot root sh -euc "cd /root/polls; $3"
    umount --lazy root/dev root/proc root
    echo DONE
    exec cat
"""
# A machine of that image, with its own processes. $1 is its folder, $2 its first process.
MACHINE = """
    cd /mnt
    mkdir "$1"
    cd "$1"
    mkdir upper work root
    mount -t overlay overlay -o lowerdir=/mnt/upper:/,upperdir=upper,workdir=work root
    mount -t proc proc root/proc
    mount --rbind /dev root/dev
    exec chroot root python3 -c "$2"
"""
# The first process of a machine inherits orphans, such as PostgreSQL, and must wait for them. Its shell runs each line
# of the standard input.
INIT = '''
import os
SHELL = """
    cd /root/polls; exec 2>&1; while read -r line; do sh -euc "$line" </dev/null; echo "DONE $?"; done
"""
shell = os.fork() or os.execvp("sh", ["sh", "-c", SHELL])
while os.wait()[0] != shell:
    pass
'''
PATRONICTL = "/srv/patroni/bin/patronictl -c /etc/patroni.yml"


def block(first: str, language: str = "sh") -> str:
    """Return the documented block that begins with this line."""
    document = (CHECKOUT / "config/README.md").read_text().partition("### Three hosts\n")[2]
    (found,) = re.findall(rf"```{language}\n({re.escape(first)}.*?)```", document, re.DOTALL)
    return str(found)


class Host:
    """A bare Debian machine that runs documented commands."""

    def __init__(self, process: subprocess.Popen[str], name: str, machine: Machine) -> None:
        self.process = process
        self.name = name
        self.machine = machine

    def run(self, commands: str) -> str:
        """Run commands, and return their output. Raises AssertionError if one fails."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("; ".join(commands.strip().splitlines()) + "\n")
        self.process.stdin.flush()
        output = ""
        for line in self.process.stdout:
            if line.startswith("DONE"):
                assert line == "DONE 0\n", output
                return output
            output += line
        raise AssertionError(output)

    def configure(self, more: str = "") -> None:
        """Run the commands that configure Patroni and etcd, and start etcd; `more` comes before the start."""
        commands = (
            block("NAME=db1 ADDRESS=10.0.0.1\n").replace("db1", self.name).replace("10.0.0.1", self.machine.address)
        )
        before, start, after = commands.partition("systemctl enable")
        self.run(f"{before}{more}{start}{after}")

    def start_patroni(self) -> None:
        health = "etcdctl endpoint health --cluster 2>&1 || true"
        assert eventually(lambda: self.run(health).count("is healthy") == 3)
        self.run(block("systemctl enable --now patroni\n"))

    def members(self) -> list[str]:
        """Return the role and state of all members, sorted: `["Leader running", ...]`."""
        return sorted(f"{member['Role']} {member['State']}" for member in self._list())

    def leader(self) -> str:
        """Return the leader's name; empty if there is none."""
        return next((str(member["Member"]) for member in self._list() if member["Role"] == "Leader"), "")

    def _list(self) -> list[dict[str, object]]:
        return yaml.safe_load(self.run(f"{PATRONICTL} list --format yaml 2>/dev/null || true")) or []


@contextmanager
def image(source: Path) -> Iterator[subprocess.Popen[str]]:
    """Install the packages of a machine."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        pytest.skip("Debian machines in namespaces need root and apt-get")
    environ = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    environ |= {"PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
    environ["DEBIAN_FRONTEND"] = "noninteractive"
    arguments = ["sh", source, systemctl.__file__, block("apt-get update\n")]
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-euc", f"exec 2>&1; {IMAGE}", *arguments],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line == "DONE\n":
                break
        assert lines[-1:] == ["DONE\n"], "".join(lines[-50:])
        yield process


@contextmanager
def booted(image: subprocess.Popen[str], name: str, machine: Machine, folder: str) -> Iterator[Host]:
    """Start a machine of the image; its changes are in memory, in `folder`."""
    namespaces = [f"--mount=/proc/{image.pid}/ns/mnt", f"--net=/proc/{machine.pid}/ns/net"]
    with subprocess.Popen(
        [
            *("nsenter", *namespaces, "--", "unshare", "--mount", "--pid", "--fork", "--kill-child"),
            *("sh", "-euc", MACHINE, "sh", folder, INIT),
        ],
        env={"PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Host(process, name, machine)
        process.kill()


@pytest.mark.timeout(TEST_TIMEOUT)
def test_the_documented_commands_run_maintain_and_replace_three_hosts(source: Path, tmp_path: Path) -> None:
    with machines(4) as (*nodes, client), image(source) as ready, ExitStack() as stack:
        boots = [booted(ready, f"db{number}", node, f"db{number}") for number, node in enumerate(nodes, start=1)]
        one, two = (stack.enter_context(boot) for boot in boots[:2])
        with boots[2] as three:
            install(one, two, three)
            config = yaml.safe_load(block("postgres:\n", "yaml"))
            polls = stack.enter_context(serving(tmp_path, "--host=10.0.0.4", config=config, inside=client.inside))
            client.call(lambda: add_poll(tmp_path))
            with Crowd([polls.url], {1: [1, 2]}, concurrency=4, pause=0.1, machine=client) as crowd:
                maintain(one)

        with Crowd([polls.url], {1: [1, 2]}, concurrency=4, pause=0.1, machine=client) as later:
            one.run(block("etcdctl member remove"))
            with booted(ready, "db3", nodes[2], "another") as another:
                another.configure("sed -i s/STATE=new/STATE=existing/ /etc/default/etcd\n")
                another.start_patroni()
                assert eventually(lambda: another.members() == WHOLE, JOIN_TIMEOUT), another.run("cat /var/log/*.log")
                assert eventually(lambda: later.total() > 50)
                doctor = client.call(lambda: command(tmp_path, "doctor", "--config=polls.yaml"))

        verified = client.call(lambda: command(tmp_path, "verify", "--config=polls.yaml"))

    assert doctor.returncode == 0, doctor.stdout
    assert "ok    Patroni: " in doctor.stdout
    assert verified.stdout == f"poll 1: {crowd.total() + later.total():,} ballots, counted exactly\n"


def install(*hosts: Host) -> None:
    """Run the documented commands up to the database of polls."""
    for host in hosts:
        host.configure()
    for host in hosts:
        host.start_patroni()
    first = hosts[0]
    assert eventually(lambda: first.members() == WHOLE, JOIN_TIMEOUT), first.run("cat /var/log/patroni.log")
    next(host for host in hosts if host.name == first.leader()).run(block("su postgres"))


def maintain(host: Host) -> None:
    """Run the documented commands that restart a standby and switch over."""
    restart, switch_over = block("/srv/patroni/bin/patronictl").splitlines()
    host.run(restart)
    assert eventually(lambda: host.members() == WHOLE, JOIN_TIMEOUT)
    old = host.leader()
    host.run(switch_over)
    assert host.leader() not in {"", old}
    assert eventually(lambda: host.members() == WHOLE, JOIN_TIMEOUT)


def add_poll(folder: Path) -> None:
    statement = (
        "INSERT INTO question (question_text, pub_date) VALUES ('Tea?', now());"
        "INSERT INTO choice (question_id, choice_text) VALUES (1, 'Yes'), (1, 'No')"
    )
    command(folder, "psql", "--config=polls.yaml", "--", "-c", statement).check_returncode()
