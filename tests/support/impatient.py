"""polls with a heartbeat of seconds, so that a test sees who is dropped: `python impatient.py serve ...`."""

import sys

from polls.__main__ import main
from polls.web.public import watch

if __name__ == "__main__":
    watch.HEARTBEAT = 4
    sys.exit(main())
