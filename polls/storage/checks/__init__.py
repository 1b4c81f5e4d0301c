"""Checks whether a database is fit to serve polls: for /readyz, `polls doctor`, the start and backups."""
