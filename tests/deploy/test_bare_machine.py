"""Deployment on a bare Debian machine, by the commands in config/README.md and nothing else."""

import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.conftest import CHECKOUT
from tests.support.overlay import OVERLAY
from tests.support.processes import eventually
from tests.support.site import Site, exclusive_ports

# A copy of this machine's file system whose changes are kept in memory, in its own process namespace: all processes end
# with the first one. The network is this machine's. $1 is the checkout, $2 the commands to run.
NAMESPACE = f"""
    {OVERLAY}
    exec chroot root sh -euc "cd /root/polls; $2"
"""
INSTALL_TIMEOUT = 900  # seconds
FIRST_COMMAND = "apt-get update"


def commands() -> str:
    """Return the first list of commands that begins with FIRST_COMMAND."""
    document = (CHECKOUT / "config/README.md").read_text()
    found = re.search(rf"```sh\n({FIRST_COMMAND}\n.*?)```", document, re.DOTALL)  # later ones are of three hosts
    assert found
    return found[1]


@pytest.fixture
def machine(source: Path) -> Iterator[subprocess.Popen[str]]:
    """A machine that runs the commands, and then each line written to its standard input."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None or shutil.which("unshare") is None:
        pytest.skip("a Debian machine in namespaces needs root, apt-get and unshare")
    environ = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    environ |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
    script = f'exec 2>&1; {commands()}\necho DONE; while read -r line; do sh -c "$line" < /dev/null; echo DONE; done'
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", NAMESPACE, "sh", source, script]
    with (
        exclusive_ports(),
        subprocess.Popen(unshare, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        yield process
        process.kill()


def read_output(machine: subprocess.Popen[str]) -> str:
    """Return the machine's output up to the end of the current command. Raises AssertionError if the machine ends."""
    assert machine.stdout is not None
    lines = []
    for line in machine.stdout:
        if line == "DONE\n":
            return "".join(lines)
        lines.append(line)
    raise AssertionError("".join(lines[-50:]))


def run(machine: subprocess.Popen[str], command: str) -> str:
    assert machine.stdin is not None
    machine.stdin.write(f"{command}\n")
    machine.stdin.flush()
    return read_output(machine)


@pytest.mark.timeout(INSTALL_TIMEOUT)
def test_the_documented_commands_install_polls_behind_nginx(
    machine: subprocess.Popen[str],
) -> None:
    read_output(machine)

    assert eventually(lambda: "There are no polls yet." in page("/"))
    run(machine, "su polls -c 'cd /srv/polls && .venv/bin/polls sample --config=config/production.yaml'")
    assert eventually(lambda: "/poll/1" in page("/"))
    with urllib.request.urlopen(f"{Site.url}/poll/1/vote", b"choice=1", timeout=10) as results:
        assert "1 vote in all" in results.read().decode()
    with urllib.request.urlopen(f"{Site.url}/static/css/public.css", timeout=10) as style:
        assert style.headers["Content-Type"] == "text/css; charset=utf-8"
    verified = run(machine, "su polls -c 'cd /srv/polls && .venv/bin/polls verify --config=config/production.yaml'")
    assert "1 ballot" in verified
    status = run(machine, "su polls -c 'supervisorctl -c /srv/polls/config/supervisord.conf status'")
    assert status.count("RUNNING") == 4


def page(path: str) -> str:
    try:
        with urllib.request.urlopen(f"{Site.url}{path}", timeout=10) as answer:
            text: str = answer.read().decode()
            return text
    except OSError:
        return ""
