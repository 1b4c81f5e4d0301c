"""The command `paths`."""

from polls.paths import FOLDERS


def print_paths(name: str | None = None) -> int:
    """Print the path of the folder `name`, or a line for each folder."""
    if name:
        print(FOLDERS[name])
    else:
        print("\n".join(f"{name:10} {folder}" for name, folder in FOLDERS.items()))
    return 0
