"""Machines with addresses of their own on one wire, all inside this one; who reaches whom is up to the test."""

import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import eventually

_NET = 0x40000000  # CLONE_NEWNET of <linux/sched.h>
_NOBODY = "02:00:00:00:00:ff"  # a hardware address that no machine has


@dataclass(frozen=True)
class Machine:
    """A network namespace, there for as long as the process `pid` is; `inside` are words that run a program in it."""

    pid: int
    address: str

    @property
    def inside(self) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--"]

    def enter(self) -> None:
        """Go there with this thread; others stay where they are."""
        with Path(f"/proc/{self.pid}/ns/net").open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _NET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def ask(self, question: Callable[[], Any]) -> Any:
        """What is answered to a question that is asked from there."""
        answers: list[Any] = []

        def go() -> None:
            self.enter()
            answers.append(question())

        thread = threading.Thread(target=go)
        thread.start()
        thread.join()
        assert answers, "it has raised"
        return answers[0]

    def cut(self, other: "Machine") -> None:
        """Let nothing through between these two, and tell neither: what they send goes to a card that isn't there."""
        for here, there in ((self, other), (other, self)):
            here.ip("neigh", "replace", there.address, "lladdr", _NOBODY, "dev", "eth0", "nud", "permanent")

    def mend(self, other: "Machine") -> None:
        """Let everything through again."""
        for here, there in ((self, other), (other, self)):
            here.ip("neigh", "del", there.address, "dev", "eth0")

    def ip(self, *words: str) -> None:
        subprocess.run([*self.inside, "ip", *words], check=True, capture_output=True)


@contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """So many machines that reach each other. Nothing of them is left at the end, however it comes."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("machines in namespaces need root, and the program ip (on Debian: apt-get install iproute2)")
    with ExitStack() as list_accounts:
        wire = list_accounts.enter_context(_machine(""))
        wire.ip("link", "add", "wire", "type", "bridge")
        wire.ip("link", "set", "wire", "up")
        made = []
        for number in range(1, count + 1):
            machine = list_accounts.enter_context(_machine(f"10.0.0.{number}"))
            plug = f"plug{number}"
            wire.ip("link", "add", plug, "type", "veth", "peer", "name", "eth0", "netns", str(machine.pid))
            wire.ip("link", "set", plug, "master", "wire", "up")
            machine.ip("address", "add", f"{machine.address}/24", "dev", "eth0")
            machine.ip("link", "set", "eth0", "up")
            machine.ip("link", "set", "lo", "up")
            made.append(machine)
        yield made


@contextmanager
def _machine(address: str) -> Iterator[Machine]:
    # It ends when its input does, even if we are killed; with it and its programs, the kernel removes all of it.
    with subprocess.Popen(["unshare", "--net", "--", "cat"], stdin=subprocess.PIPE) as holder:
        ours, its = Path("/proc/self/ns/net").readlink(), Path(f"/proc/{holder.pid}/ns/net")
        if not eventually(lambda: holder.poll() is not None or its.readlink() != ours) or holder.poll() is not None:
            pytest.skip("no network namespace can be made here")
        yield Machine(holder.pid, address)
