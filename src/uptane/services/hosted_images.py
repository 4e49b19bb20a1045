"""The images that a Director hosts, on the HTTP API for vehicles: to each vehicle its own."""

from collections.abc import Callable

from starlette.routing import Mount

from uptane.metadata.identifiers import VehicleIdentifier
from uptane.services.asgi import Application, Receive, Scope, Send
from uptane.services.identity import identity_of

HOSTED = "director/targets/"
"""Before the names of these images in paths."""


def hosted_image_routes(images: Callable[[VehicleIdentifier], Application]) -> list[Mount]:
    """`/director/targets/`: only the certificate says whose images they are, so no path leads to another vehicle's.

    Args:
        images: an application that serves a vehicle's images under HOSTED.
    """

    async def image(scope: Scope, receive: Receive, send: Send) -> None:
        await images(identity_of(scope).vehicle)(scope, receive, send)

    return [Mount("/director/targets", image)]
