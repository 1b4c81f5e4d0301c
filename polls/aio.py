"""Small asyncio helpers."""

import asyncio
from typing import Any


def is_cancelled() -> bool:
    """Return whether the current task is being cancelled: aiopg raises CancelledError for a statement time-out, too."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def retrieve_exception(task: asyncio.Task[Any]) -> None:
    """Mark a task's exception as retrieved: asyncio would log it if everything that awaited the task was cancelled."""
    if not task.cancelled():
        task.exception()
