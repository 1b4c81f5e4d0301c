"""The wheel: its files, and polls installed from it."""

import gzip
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import brotli
import pytest

from polls import paths
from polls.app import create_app
from polls.config.settings import Config, Postgres
from polls.web.http.static import CACHE_FOR_A_YEAR, read_static_files, static_url
from tests.deploy.conftest import CHECKOUT
from tests.support.processes import serving


def test_the_wheel_contains_all_needed_files_and_no_others(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    expected = {
        str(Path("polls", "assets", folder.name, file.relative_to(folder)))
        for folder in (paths.TEMPLATES, paths.STATIC, paths.CONFIG, paths.SQL)
        for file in folder.rglob("*")
        if file.is_file() and file.parent.name != "__pycache__"
    } | {str(file.relative_to(CHECKOUT)) for file in (CHECKOUT / "polls").rglob("*") if file.suffix in {".py", ".po"}}
    generated = {name for name in inside - expected if name.startswith("polls/assets/static/")}
    assert inside - generated == expected
    joined = {f"css/{folder.name}.css" for folder in (paths.STATIC / "css").iterdir()}
    assert {name.removesuffix(".gz").removesuffix(".br") for name in generated} <= expected | {
        f"polls/assets/static/{name}" for name in {"addresses.conf", *joined}
    }


def test_static_files_are_precompressed(wheel: Path) -> None:
    inside = zipfile.ZipFile(wheel)

    for name, file in read_static_files().items():
        content = inside.read(f"polls/assets/static/{name}")
        assert content == file.contents[""]
        assert gzip.decompress(inside.read(f"polls/assets/static/{name}.gz")) == content
        assert brotli.decompress(inside.read(f"polls/assets/static/{name}.br")) == content


def test_addresses_conf_lists_the_static_urls_of_the_pages(wheel: Path) -> None:
    app = create_app(Config(postgres=Postgres()))
    lines = zipfile.ZipFile(wheel).read("polls/assets/static/addresses.conf").decode().splitlines()[1:]

    assert sorted(lines) == sorted(f'"{static_url(app, name)}" "{CACHE_FOR_A_YEAR}";' for name in read_static_files())


@pytest.mark.timeout(300)
def test_polls_runs_from_the_installed_wheel_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "environment"], check=True)
    python = tmp_path / "environment/bin/python"
    subprocess.run([python, "-m", "pip", "-q", "--disable-pip-version-check", "install", wheel], check=True)
    (tmp_path / "empty").mkdir()

    with serving(tmp_path / "empty", python=python, environ={"PYTHONPATH": ""}) as polls:
        with urllib.request.urlopen(polls.url, timeout=10) as response:
            assert "What&#39;s new?" in response.read().decode()
        with urllib.request.urlopen(f"{polls.url}/static/css/public.css", timeout=10) as response:
            assert response.status == 200
        request = urllib.request.Request(f"{polls.url}/static/css/public.css", headers={"Accept-Encoding": "gzip, br"})
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.headers["Content-Encoding"] == "br"
            assert brotli.decompress(response.read()) == read_static_files()["css/public.css"].contents[""]
        request = urllib.request.Request(polls.url, headers={"Accept-Language": "zh"})
        with urllib.request.urlopen(request, timeout=10) as response:
            assert "最新投票" in response.read().decode()
    assert (tmp_path / "empty/var/postgres/PG_VERSION").is_file()
