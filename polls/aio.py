"""Small asyncio helpers."""

import asyncio


def is_cancelled() -> bool:
    """Whether a CancelledError is meant for this task; aiopg says a statement time-out in the same way."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def retrieve_exception(task: asyncio.Task[None]) -> None:
    """Look at how a task ended, so that nobody complains when all who waited for it have gone."""
    if not task.cancelled():
        task.exception()
