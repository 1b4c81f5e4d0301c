"""Connecting to PostgreSQL: pool, primary, private server, migrations and backups."""
