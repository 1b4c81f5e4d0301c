"""Hosts as network namespaces on one bridge, whose connections a test can cut."""

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

_CLONE_NEWNET = 0x40000000  # of <linux/sched.h>
_UNUSED_MAC = "02:00:00:00:00:ff"  # a hardware address that no machine has


@dataclass(frozen=True)
class Machine:
    """A network namespace, held open by the process `pid`; `inside` is the command prefix to run a program in it."""

    pid: int
    address: str

    @property
    def inside(self) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--"]

    def enter(self) -> None:
        """Move the calling thread into the namespace; other threads stay where they are."""
        with Path(f"/proc/{self.pid}/ns/net").open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def call(self, function: Callable[[], Any]) -> Any:
        """Return the result of `function`, called in a thread inside the namespace."""
        results: list[Any] = []

        def run() -> None:
            self.enter()
            results.append(function())

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert results, "the function has raised"
        return results[0]

    def disconnect(self, other: "Machine") -> None:
        """Drop all packets between the two silently: they are sent to a hardware address that doesn't exist."""
        for source, target in ((self, other), (other, self)):
            source.ip("neigh", "replace", target.address, "lladdr", _UNUSED_MAC, "dev", "eth0", "nud", "permanent")

    def reconnect(self, other: "Machine") -> None:
        """Let packets through again."""
        for source, target in ((self, other), (other, self)):
            source.ip("neigh", "del", target.address, "dev", "eth0")

    def ip(self, *arguments: str) -> None:
        subprocess.run([*self.inside, "ip", *arguments], check=True, capture_output=True)


@contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """Create `count` machines that reach each other; the kernel removes them at the end, even after a kill."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("machines in namespaces need root, and the program ip (on Debian: apt-get install iproute2)")
    with ExitStack() as stack:
        bridge = stack.enter_context(_machine(""))
        bridge.ip("link", "add", "br0", "type", "bridge")
        bridge.ip("link", "set", "br0", "up")
        created = []
        for number in range(1, count + 1):
            machine = stack.enter_context(_machine(f"10.0.0.{number}"))
            port = f"port{number}"
            bridge.ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(machine.pid))
            bridge.ip("link", "set", port, "master", "br0", "up")
            machine.ip("address", "add", f"{machine.address}/24", "dev", "eth0")
            machine.ip("link", "set", "eth0", "up")
            machine.ip("link", "set", "lo", "up")
            created.append(machine)
        yield created


@contextmanager
def _machine(address: str) -> Iterator[Machine]:
    # cat ends with its input, even if we are killed; then the kernel removes the namespace.
    with subprocess.Popen(["unshare", "--net", "--", "cat"], stdin=subprocess.PIPE) as holder:
        own, new = Path("/proc/self/ns/net").readlink(), Path(f"/proc/{holder.pid}/ns/net")
        if not eventually(lambda: holder.poll() is not None or new.readlink() != own) or holder.poll() is not None:
            pytest.skip("no network namespace can be made here")
        yield Machine(holder.pid, address)
