"""Pages for admins: sign-in, the list of polls, users, their own account, history."""
