"""Whether the process lives, and whether it can answer requests: for whoever starts and watches it."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


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
