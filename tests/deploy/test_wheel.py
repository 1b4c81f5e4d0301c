"""The wheel, installed in an empty environment, run from an empty folder."""

import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

from polls import paths
from tests.processes import serving

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, tracked.stdout.split("\0")):
        if (CHECKOUT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((CHECKOUT / name).read_bytes())
    # What an earlier build left behind must not come back.
    stale = source / "build/lib/polls/assets/templates/deleted.html"
    stale.parent.mkdir(parents=True)
    stale.touch()
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "-q",
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            f"--wheel-dir={folder}",
            source,
        ],
        check=True,
    )
    (wheel,) = folder.glob("polls-*.whl")
    return wheel


def test_everything_that_it_needs_is_inside_and_nothing_else(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    wanted = {
        str(Path("polls", "assets", folder.name, file.relative_to(folder)))
        for folder in (paths.TEMPLATES, paths.STATIC, paths.CONFIG, paths.SQL)
        for file in folder.rglob("*")
        if file.is_file()
    } | {str(file.relative_to(CHECKOUT)) for file in (CHECKOUT / "polls").rglob("*") if file.suffix in {".py", ".po"}}
    assert inside == wanted


@pytest.mark.timeout(300)
def test_installed_in_an_empty_environment_it_runs_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "environment"], check=True)
    python = tmp_path / "environment/bin/python"
    subprocess.run([python, "-m", "pip", "-q", "--disable-pip-version-check", "install", wheel], check=True)
    (tmp_path / "empty").mkdir()

    with serving(tmp_path / "empty", python=python, environ={"PYTHONPATH": ""}) as polls:
        with urllib.request.urlopen(polls.url, timeout=10) as response:
            assert "What&#39;s new?" in response.read().decode()
        with urllib.request.urlopen(f"{polls.url}/static/css/base.css", timeout=10) as response:
            assert response.status == 200
        request = urllib.request.Request(polls.url, headers={"Accept-Language": "zh"})
        with urllib.request.urlopen(request, timeout=10) as response:
            assert "最新投票" in response.read().decode()
    assert (tmp_path / "empty/var/postgres/PG_VERSION").is_file()
