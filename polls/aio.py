"""Small asyncio helpers."""

import asyncio
from typing import Any


def is_cancelled() -> bool:
    """Return whether the current task is cancelled; aiopg raises CancelledError for a statement time-out, too."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def retrieve_exception(task: asyncio.Task[Any]) -> None:
    """Mark a finished task's exception as retrieved: asyncio logs it if all that awaited the task were cancelled."""
    if not task.cancelled():
        task.exception()
