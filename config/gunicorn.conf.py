"""gunicorn with four workers of polls, behind nginx (nginx.conf) and over a PostgreSQL of its own.

    POLLS_CONFIG=config/production.yaml gunicorn polls.app:application -c config/gunicorn.conf.py

SIGHUP brings new workers with the configuration as it is then, SIGTERM ends in order. Check the configuration first:
gunicorn ends when its new workers can't use it. Where it is the database that can't be used, they say so and try again
each second.
"""

from typing import Any

from polls.server.gunicorn import configured
from polls.server.process import BACKLOG

# The sockets that nginx.conf knows. All workers take connections from all of them. Everybody on this machine may
# connect to them, and could take their names first: where other people use it, put them into a folder of polls' own (in
# nginx.conf, too), give polls and nginx a group in common, and say `umask = 0o007` here.
bind = [f"unix:/tmp/example_{number}.sock" for number in range(1, 5)]
workers = 4
worker_class = "aiohttp.GunicornWebWorker"  # or, with `pip install uvloop`, aiohttp.GunicornUVLoopWebWorker

# Seconds: a worker that stops ends requests in flight within 10, and ballots that wait within 5 more.
graceful_timeout = 20
timeout = 30
backlog = BACKLOG
control_socket_disable = True

# What gunicorn says goes the way of what polls says, below.
errorlog = None


def on_starting(server: Any) -> None:  # noqa: ANN401 - gunicorn has no types
    """Refuse a configuration that no worker can use, and log as it wants it."""
    configured()
    server.log.error_log.propagate = True


def post_worker_init(worker: Any) -> None:  # noqa: ANN401
    """Keep the queues long: aiohttp would have only 128 connections wait, and while workers change, many do."""
    for listener in worker.sockets:
        listener.listen = lambda _, socket=listener.sock: socket.listen(BACKLOG)
