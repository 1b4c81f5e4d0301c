"""What moves between requests: queues and tasks, with neither database nor HTTP."""
