#!/usr/bin/python3
"""A stand-in for systemctl on a machine without systemd: starts and stops the programs of unit files."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

FOLDERS = (Path("/etc/systemd/system"), Path("/lib/systemd/system"))
PIDS = Path("/run")


def main(command: str, *arguments: str) -> None:
    """Run `start`, `enable --now`, `restart` or `stop` of units; ignore other commands."""
    for unit in (argument for argument in arguments if not argument.startswith("-")):
        if command in {"stop", "restart"}:
            stop(unit)
        if command in {"start", "restart"} or (command == "enable" and "--now" in arguments):
            start(unit)


def start(unit: str) -> None:
    file = next(folder / f"{unit}.service" for folder in FOLDERS if (folder / f"{unit}.service").exists())
    text = file.read_text().replace("%p", unit).replace("%H", os.uname().nodename)
    environ = dict(re.findall(r"^Environment=(\w+)=(.*)$", text, re.MULTILINE))
    for name in re.findall(r"^EnvironmentFile=-?(.*)$", text, re.MULTILINE):
        environ |= dict(re.findall(r"^(\w+)=(.*)$", Path(name).read_text(), re.MULTILINE))
    (user,) = re.findall(r"^User=(.*)$", text, re.MULTILINE)
    (program,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    words = shlex.split(re.sub(r"\$(\w+)", lambda found: environ.get(found[1], ""), program))
    prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
    with Path(f"/var/log/{unit}.log").open("ab") as log:
        process = subprocess.Popen(
            [*prefix, *words],
            cwd="/",
            env={"PATH": os.environ["PATH"], **environ},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (PIDS / f"{unit}.pid").write_text(str(process.pid))


def stop(unit: str) -> None:
    file = PIDS / f"{unit}.pid"
    if file.exists():
        os.kill(int(file.read_text()), signal.SIGTERM)
        file.unlink()


if __name__ == "__main__":
    main(*sys.argv[1:])
