"""gunicorn with four workers of polls, behind nginx (nginx.conf) and with a PostgreSQL server of its own.

    POLLS_CONFIG=config/production.yaml gunicorn polls.app:application -c config/gunicorn.conf.py

SIGHUP starts new workers with the current configuration and stops the old ones; SIGTERM shuts down gracefully. Run
`polls check` before SIGHUP: gunicorn exits if its new workers can't use the configuration. If the database can't be
used, the workers log the reason and are restarted each second.
"""

from typing import Any

from polls.server.gunicorn import load_config
from polls.server.process import BACKLOG

# The sockets that nginx.conf names; all workers accept connections from all of them. Any user of this machine can
# connect to them, and can create files with their names first. On a shared machine, put them into a folder that only
# polls can write to (in nginx.conf, too), give polls and nginx a common group, and set `umask = 0o007` here.
bind = [f"unix:/tmp/example_{number}.sock" for number in range(1, 5)]
workers = 4
worker_class = "aiohttp.GunicornWebWorker"  # or, with `pip install uvloop`, aiohttp.GunicornUVLoopWebWorker

# Seconds: a worker that stops finishes requests in flight within 10, and stores queued ballots within 5 more.
graceful_timeout = 20
timeout = 30
backlog = BACKLOG
control_socket_disable = True

# on_starting sends gunicorn's own messages to the log of polls.
errorlog = None


def on_starting(server: Any) -> None:  # noqa: ANN401 - gunicorn has no types
    """Load the configuration, to exit if it is invalid, and configure logging."""
    load_config()
    server.log.error_log.propagate = True


def post_worker_init(worker: Any) -> None:  # noqa: ANN401
    """Keep the backlog: aiohttp would reduce it to 128, too few while workers are replaced."""
    for listener in worker.sockets:
        listener.listen = lambda _, socket=listener.sock: socket.listen(BACKLOG)
