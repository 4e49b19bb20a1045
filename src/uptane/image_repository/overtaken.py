"""Who is overtaken by another publisher begins again with what that one has published."""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from uptane.metadata.errors import OvertakenError

ATTEMPTS = 5
"""Of one call; each that fails is a publication of somebody else, and servers have one in some hours."""

Arguments = ParamSpec("Arguments")
ResultT = TypeVar("ResultT")


def again_if_overtaken(
    work: Callable[Arguments, Coroutine[Any, Any, ResultT]],
) -> Callable[Arguments, Coroutine[Any, Any, ResultT]]:
    """Something that reads what is published before it changes anything, done anew after an OvertakenError."""

    @wraps(work)
    async def tried(*arguments: Arguments.args, **named: Arguments.kwargs) -> ResultT:
        for _ in range(ATTEMPTS - 1):
            with suppress(OvertakenError):
                return await work(*arguments, **named)
        return await work(*arguments, **named)

    return tried
