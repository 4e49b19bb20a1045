"""Commands for operators on the servers' own machine: vehicles, images, assignments."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from uptane.assembly.production import Systems

Servers = Annotated[Path, Parameter(name="--servers", env_var="UPTANE_SERVERS")]
AsJson = Annotated[bool, Parameter(name="--json", negative=())]


def vehicle_add(
    vin: str,
    *,
    package: Path,
    ecu: str = "",
    hardware: str = "",
    server: str = "",
    servers: Servers = Path(),
    json_output: AsJson = False,
) -> None:
    """Register a vehicle, and make the folder that its Primary is made from.

    The folder holds a token for its first contact, which is good once and for a day.

    Example: uptane vehicle add VIN123 --package car

    Args:
        vin: the vehicle's identifier.
        package: the folder to make.
        ecu: the Primary's identifier; VIN-primary where none is given.
        hardware: the Primary's hardware identifier.
        server: the URL by which it reaches the servers; that of the settings where none is given.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.fleet import add_vehicle

    said = _run(servers, lambda systems: add_vehicle(systems, vin, package, ecu or f"{vin}-primary", hardware, server))
    _tell(said, f"Vehicle {vin} is registered. Next: uptane vehicle run {package}", json_output)


def image_add(
    file: Path,
    *,
    name: str = "",
    release: int | None = None,
    hardware: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    servers: Servers = Path(),
    json_output: AsJson = False,
) -> None:
    """Add an image to the Image repository, sign for it and publish.

    Example: uptane image add firmware.img --release 2

    Args:
        file: the image.
        name: its name in metadata, with folders; the file's name where none is given.
        release: its release counter, which never falls.
        hardware: the hardware it is for; any where none is given.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.fleet import add_image

    said = _run(servers, lambda systems: add_image(systems, file, name or file.name, release, hardware))
    _tell(said, f"{said['name']} is published: {said['length']} bytes, sha256 {said['sha256']}.", json_output)


def assignment_set(vin: str, ecu: str, image: str, *, servers: Servers = Path(), json_output: AsJson = False) -> None:
    """Give an ECU an image, which it learns in its next cycle.

    Example: uptane assignment set VIN123 VIN123-primary firmware.img

    Args:
        vin: the vehicle's identifier.
        ecu: the ECU's.
        image: the image's name in metadata.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.fleet import set_assignment

    said = _run(servers, lambda systems: set_assignment(systems, vin, ecu, image))
    _tell(said, f"{ecu} of {vin} shall have {image}.", json_output)


def _run(servers: Path, work: "Callable[[Systems], Coroutine[Any, Any, dict[str, Any]]]") -> dict[str, Any]:
    import asyncio

    from uptane.assembly.production import open_systems
    from uptane.assembly.settings import load_settings

    async def run() -> dict[str, Any]:
        async with open_systems(load_settings(servers)) as systems:
            return await work(systems)

    return asyncio.run(run())


def _tell(said: dict[str, Any], text: str, json_output: bool) -> None:
    if json_output:
        import json

        print(json.dumps(said))
    else:
        print(text)
