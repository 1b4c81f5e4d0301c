"""Polls over HTTP: addresses, pages, errors, languages."""
