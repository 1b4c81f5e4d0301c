"""The entry point of `python -m polls`."""

import sys

from polls.cli import main

if __name__ == "__main__":
    sys.exit(main())
