"""polls: a web application for polls with live results."""

__version__ = "0.1.0"
