"""The page `/metrics` for Prometheus, and the names of routes that its labels are made of."""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from uptane.metadata.root import Role
from uptane.services.metrics import EXPIRY, MULTIPROCESS, OTHER, ROOT_EXPIRY

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Expiries = Callable[[], Awaitable[Mapping[tuple[Role, str], datetime]]]

GAUGES = {Role.ROOT: ROOT_EXPIRY, Role.TIMESTAMP: EXPIRY}


class RouteNames:
    """From the path of a request to its route, as the application has it.

    Args:
        routes: of the application.
    """

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        paths = [route.path for route in routes if isinstance(route, Route | Mount)]
        self._exact = {path: path for path in paths if "{" not in path}
        self._prefixes = [(path.partition("{")[0], path) for path in paths if "{" in path]
        self._prefixes += [(f"{route.path}/", route.path) for route in routes if isinstance(route, Mount)]
        self._prefixes.sort(key=lambda pair: -len(pair[0]))

    def name(self, path: str) -> str:
        """The route's path, with its parameters in braces; `other` where there is none."""
        found = self._exact.get(path)
        if found is not None:
            return found
        return next((name for prefix, name in self._prefixes if path.startswith(prefix)), OTHER)


def metrics_routes(expiries: Expiries) -> list[Route]:
    """`/metrics`, for Prometheus.

    Args:
        expiries: when the published roles in GAUGES of each repository expire; asked whenever Prometheus asks.
    """

    async def metrics(request: Request) -> Response:
        for (role, repository), moment in (await expiries()).items():
            GAUGES[role].labels(repository).set(moment.timestamp())
        return Response(exposition(), headers={"content-type": CONTENT_TYPE})

    return [Route("/metrics", metrics, methods=["GET"])]


def exposition() -> bytes:
    """All figures as text, those of all worker processes together."""
    registry = REGISTRY
    if os.environ.get(MULTIPROCESS):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
