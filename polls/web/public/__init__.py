"""Public pages: the list of polls, a poll, its results, voting, watching and the presenter's page."""
