"""Commands that can't be carried out."""


class Refused(Exception):
    """What was asked for can't be done; the message tells why, and what to do, in one line."""
