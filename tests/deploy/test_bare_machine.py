"""From a bare Debian machine to nginx and supervisord, by the commands in README and nothing else."""

import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.conftest import CHECKOUT
from tests.support.processes import eventually
from tests.support.site import Site, alone

# The machine as it is, with what the commands change kept in memory, and processes that end with the first of them.
# The network is the machine's own. $1 is the checkout, $2 what is to be done.
BOX = """
    mount -t tmpfs tmpfs /mnt
    cd /mnt
    mkdir upper work root
    mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
    mount -t proc proc root/proc
    mount --rbind /dev root/dev
    cp -r "$1" root/root/polls
    exec chroot root sh -euc "cd /root/polls; $2"
"""
INSTALLING = 900  # seconds at the most
FIRST = "apt-get update"


def commands() -> str:
    """README's list that begins with FIRST."""
    readme = (CHECKOUT / "README.md").read_text()
    (found,) = re.findall(rf"```sh\n({FIRST}\n.*?)```", readme, re.DOTALL)
    return str(found)


@pytest.fixture
def machine(source: Path) -> Iterator[subprocess.Popen[str]]:
    """A machine on which the commands were followed; what is written to its shell afterwards is done there, too."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None or shutil.which("unshare") is None:
        pytest.skip("only root can have a Debian machine beside this one")
    environ = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    environ |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
    follow = f'exec 2>&1; {commands()}\necho DONE; while read -r line; do sh -c "$line" < /dev/null; echo DONE; done'
    box = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", BOX, "box", source, follow]
    with (
        alone(),
        subprocess.Popen(box, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        yield process
        process.kill()


def said(machine: subprocess.Popen[str]) -> str:
    """What the machine says until what it was told is done."""
    assert machine.stdout is not None
    lines = []
    for line in machine.stdout:
        if line == "DONE\n":
            return "".join(lines)
        lines.append(line)
    raise AssertionError("".join(lines[-50:]))


def told(machine: subprocess.Popen[str], command: str) -> str:
    assert machine.stdin is not None
    machine.stdin.write(f"{command}\n")
    machine.stdin.flush()
    return said(machine)


@pytest.mark.timeout(INSTALLING)
def test_the_commands_in_readme_lead_from_a_bare_machine_to_votes_through_nginx(
    machine: subprocess.Popen[str],
) -> None:
    said(machine)

    assert eventually(lambda: "No polls are available." in page("/"))
    told(machine, "su polls -c 'cd /srv/polls && .venv/bin/polls sample --config=config/production.yaml'")
    assert eventually(lambda: "/poll/1" in page("/"))
    with urllib.request.urlopen(f"{Site.url}/poll/1/vote", b"choice=1", timeout=10) as results:
        assert "1 vote in all" in results.read().decode()
    with urllib.request.urlopen(f"{Site.url}/static/css/base.css", timeout=10) as style:
        assert style.headers["Content-Type"] == "text/css; charset=utf-8"
    verified = told(machine, "su polls -c 'cd /srv/polls && .venv/bin/polls verify --config=config/production.yaml'")
    assert "1 ballot" in verified
    status = told(machine, "su polls -c 'supervisorctl -c /srv/polls/config/supervisord.conf status'")
    assert status.count("RUNNING") == 4


def page(path: str) -> str:
    try:
        with urllib.request.urlopen(f"{Site.url}{path}", timeout=10) as answer:
            text: str = answer.read().decode()
            return text
    except OSError:
        return ""
