"""What polls keeps, in PostgreSQL: the only place with SQL."""
