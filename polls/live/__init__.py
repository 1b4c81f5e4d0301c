"""State kept between requests: queues, caches and broadcasts, with neither database nor HTTP."""
