"""Statements of SQLAlchemy as SQL."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2


def compiled(statement: sa.sql.ClauseElement) -> str:
    """Return the SQL of a statement whose values are bind parameters; aiopg would compile it at every call."""
    return str(statement.compile(dialect=PGDialect_psycopg2()))
