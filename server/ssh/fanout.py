"""The same question to several hosts at once; one that fails does not spoil the others."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from server.base.errors import SparkError

T = TypeVar("T")


async def fanout(
    names: Iterable[str], ask: Callable[[str], Awaitable[T]]
) -> dict[str, T | SparkError]:
    """What each host answered, or the error it failed with, in the order of `names`.

    Cancelling cancels all. An error that is not a SparkError is a bug: it ends the others and comes
    out in an ExceptionGroup.
    """

    async def one(name: str) -> T | SparkError:
        try:
            return await ask(name)
        except SparkError as error:
            return error

    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(one(name)) for name in dict.fromkeys(names)}
    return {name: task.result() for name, task in tasks.items()}
