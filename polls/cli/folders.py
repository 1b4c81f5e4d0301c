"""The command that prints where polls' folders are."""

from polls.paths import FOLDERS


def paths(name: str | None = None) -> int:
    """Print where the folder called `name` is, or a line for each."""
    if name:
        print(FOLDERS[name])
    else:
        print("\n".join(f"{name:10} {folder}" for name, folder in FOLDERS.items()))
    return 0
