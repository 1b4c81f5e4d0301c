"""`make dev` restarts after changes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.processes import eventually, free_port, processes_in

CHECKOUT = Path(__file__).parents[2]
FOLDERS = ("polls", "templates", "static", "sql", "config")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the code that uses this environment."""
    for folder in FOLDERS:
        shutil.copytree(CHECKOUT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("Makefile", "setup.py"):
        shutil.copy2(CHECKOUT / file, tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def change(file: Path, before: str, after: str) -> None:
    text = file.read_text("utf-8")
    assert before in text
    file.write_text(text.replace(before, after), "utf-8")


def test_changed_code_and_templates_are_served(checkout: Path) -> None:
    port = free_port()
    # The last command of `make dev`, without the set-up before it. Without the variables of a make that runs this test.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    commands = subprocess.check_output(
        ["make", "--no-print-directory", "-n", "dev", f"ARGS=--port {port}"], cwd=checkout, env=environ, text=True
    )
    with subprocess.Popen(
        commands.splitlines()[-1], shell=True, cwd=checkout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as development:

        def page() -> str:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5) as response:
                    return str(response.read().decode())
            except urllib.error.HTTPError as error:
                return str(error.read().decode())
            except OSError:
                return ""

        try:
            assert eventually(lambda: "Latest polls" in page())

            change(checkout / "templates/public/index.html", "Latest polls", "Newest polls")
            assert eventually(lambda: "Newest polls" in page())

            change(checkout / "polls/domain/poll_list.py", "PAGE_SIZE = 5", "PAGE_SIZE = 2")
            assert eventually(lambda: "Older polls" in page())

            change(
                checkout / "polls/web/public/index.py",
                "page_numbers(query.page, page)",
                "page_numbers(undefined, page)",
            )
            assert eventually(lambda: re.search(r"NameError: name .*undefined", page()))
        finally:
            development.send_signal(signal.SIGINT)
            development.communicate(timeout=20)

    assert processes_in(checkout) == processes_in(checkout / "var/postgres") == []
