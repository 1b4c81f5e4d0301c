"""polls with a WebSocket heartbeat of 4 seconds, so that tests can wait for its time-out."""

import sys

from polls.cli import main
from polls.web.public import watch

if __name__ == "__main__":
    watch.HEARTBEAT = 4
    sys.exit(main())
