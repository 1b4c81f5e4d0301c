"""The systemd unit in config/."""

import configparser
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from polls import paths
from tests.support.processes import TIMEOUT, write
from tests.support.servers import running

UNIT = paths.CONFIG / "polls.service"


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    shutil.copy(UNIT, tmp_path / "polls@.service")

    result = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "polls@1.service"], capture_output=True, text=True, check=False
    )

    # polls is not installed in /srv on this machine; there are no other complaints.
    lines = [line for line in result.stderr.splitlines() if "polls" in line]
    assert lines == ["polls@1.service: Command /srv/polls/.venv/bin/polls is not executable: No such file or directory"]


def test_systemd_accepts_the_unit_of_patroni(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    shutil.copy(paths.CONFIG / "patroni.service", tmp_path)

    result = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "patroni.service"], capture_output=True, text=True, check=False
    )

    # Patroni is not installed in /srv on this machine; there are no other complaints.
    lines = [line for line in result.stderr.splitlines() if line.startswith("patroni")]
    assert lines == ["patroni.service: Command /srv/patroni/bin/patroni is not executable: No such file or directory"]


def test_nginx_conf_names_the_group_that_may_connect() -> None:
    unit = UNIT.read_text()

    assert "\nGroup=www-data\n" in unit
    assert "\nUMask=0007\n" in unit
    assert "\n# user www-data;\n" in (paths.CONFIG / "nginx.conf").read_text()


def test_polls_notifies_systemd_when_it_is_ready_and_when_it_stops(tmp_path: Path) -> None:
    unit = configparser.RawConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(UNIT)
    service = unit["Service"]
    assert service["Type"] == "notify"
    program, *options = service["ExecStart"].replace("%i", "9").split()
    assert program == "/srv/polls/.venv/bin/polls"
    assert options == ["--config=config/production.yaml", "--path=/tmp/example_9.sock"]
    with (
        running(tmp_path, {"fsync": "off"}) as server,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
    ):
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(TIMEOUT)
        file, path = write(tmp_path, {"postgres": server.address}), tmp_path / "example_9.sock"
        with subprocess.Popen(
            [sys.executable, "-m", "polls", f"--config={file}", f"--path={path}"],
            env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert systemd.recv(100) == b"READY=1"
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                client.sendall(b"GET / HTTP/1.1\r\nHost: polls\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.1 200 ")
            process.terminate()
            assert systemd.recv(100) == b"STOPPING=1"
            assert process.wait(TIMEOUT) == 0
