"""Storage in PostgreSQL: all SQL is in this package."""
