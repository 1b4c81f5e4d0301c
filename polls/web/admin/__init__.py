"""The admin: pages for those who look after polls, and after each other."""
