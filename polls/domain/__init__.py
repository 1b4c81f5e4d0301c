"""The rules of polls: standard library only."""
