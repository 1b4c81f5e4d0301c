"""A server process: sockets, event loop, connection limit, logging, metrics, and gunicorn's workers."""
