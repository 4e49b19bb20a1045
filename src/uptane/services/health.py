"""Whether the process lives, and whether it can answer requests: for whoever starts and watches it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

REMEMBERED_SECONDS = 1.0
"""So long an answer of the stores is given again: whoever asks without a certificate makes no work for them."""


class Remembered:
    """An answer that is asked for once a second at most, however many want it at the same time.

    Args:
        ask: for the answer.
        clock: seconds that never go back.
    """

    def __init__(self, ask: Callable[[], Awaitable[bool]], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = asyncio.Lock()
        self._answer: tuple[float, bool] | None = None

    async def __call__(self) -> bool:
        """The answer, not older than REMEMBERED_SECONDS."""
        async with self._lock:
            if self._answer is None or self._clock() >= self._answer[0] + REMEMBERED_SECONDS:
                said = await self._ask()
                self._answer = self._clock(), said
            return self._answer[1]


def health_routes(is_ready: Callable[[], Awaitable[bool]]) -> list[Route]:
    """`/healthz` and `/readyz`, which need no certificate.

    Args:
        is_ready: whether the stores answer, and the process is not about to end.
    """

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(request: Request) -> Response:
        if await is_ready():
            return PlainTextResponse("ready\n")
        return PlainTextResponse("not ready\n", HTTPStatus.SERVICE_UNAVAILABLE)

    return [Route("/healthz", healthz, methods=["GET"]), Route("/readyz", readyz, methods=["GET"])]
