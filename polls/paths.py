"""The folders of files that are not Python: beside the package in a checkout, inside it in a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def asset(name: str) -> Path:
    """Return the folder `name`: `templates`, `static`, `config` or `sql`."""
    installed = _PACKAGE / "assets" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


TEMPLATES = asset("templates")
STATIC = asset("static")
CONFIG = asset("config")
SQL = asset("sql")
LOCALE = _PACKAGE / "locale"

FOLDERS = {"config": CONFIG, "sql": SQL, "static": STATIC, "templates": TEMPLATES}  # by name
