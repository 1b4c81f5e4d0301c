"""A database that refuses all ballots, as one with a full disk does."""

from collections.abc import Iterator
from contextlib import contextmanager

from polls.storage.postgres.connect import Connection

REFUSE = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE disk_full USING MESSAGE = 'no space left';
    END
    $$;
    CREATE TRIGGER refuse BEFORE INSERT ON ballot FOR EACH ROW EXECUTE FUNCTION refuse()
"""
ACCEPT = "DROP FUNCTION refuse CASCADE"


@contextmanager
def refusing_ballots(connection: Connection) -> Iterator[None]:
    """Refuse ballots until the end of the `with`; `connection` is in autocommit."""
    with connection.cursor() as cursor:
        cursor.execute(REFUSE)
        try:
            yield
        finally:
            cursor.execute(ACCEPT)
