"""Pages for the owner of a poll: the form that adds and edits polls."""
