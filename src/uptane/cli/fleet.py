"""Commands for operators on the servers' own machine: vehicles, images, assignments."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from uptane.cli.operating import run, tell
from uptane.cli.options import AsJson, Optional, Servers

Text = Annotated[str, Optional]


def vehicle_add(
    vin: str,
    *,
    package: Path,
    ecu: Text = "",
    hardware: Text = "",
    secondary: Annotated[tuple[str, ...], Optional] = (),
    ecu_key: Annotated[tuple[str, ...], Optional] = (),
    encrypted_images: Annotated[tuple[str, ...], Optional] = (),
    door_port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))] = 8444,
    server: Text = "",
    skip: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    servers: Servers = Path(),
    json_output: AsJson = False,
) -> None:
    """Register a vehicle, and make the folder that its Primary is made from.

    Args:
        vin: the vehicle's identifier.
        package: the folder to make; each Secondary gets one in secondaries/ of it.
        ecu: the Primary's identifier; VIN-primary where none is given.
        hardware: the Primary's hardware identifier.
        secondary: a Secondary as ECU, ECU:HARDWARE, or ECU:HARDWARE:partial for one that verifies partially; can be
            given several times.
        ecu_key: the public key of an ECU that is known already, as ECU=FILE: it is registered at once, and no other
            key in its place; can be given several times.
        encrypted_images: an ECU that shall get encrypted images: it makes a key to decrypt them with at its first
            start; can be given several times.
        door_port: where the Primary lets its Secondaries in, on its own machine.
        server: the URL by which the Primary reaches the servers; that of the settings where none is given.
        skip: how many versions of metadata are left out, for a vehicle that is newer than a backup that was restored.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.fleet import add_vehicle
    from uptane.assembly.new_vehicles import NewSecondary

    others = tuple(map(NewSecondary.of, secondary))
    keys = {name: Path(file or name) for name, _, file in (each.partition("=") for each in ecu_key)}
    said = run(
        servers,
        lambda systems: add_vehicle(
            systems,
            vin,
            package,
            ecu or f"{vin}-primary",
            hardware,
            server,
            secondaries=others,
            keys=keys,
            door_port=door_port,
            encrypted_images=encrypted_images,
            skipped=skip,
        ),
    )
    next_steps = [f"uptane vehicle run {package}"]
    next_steps += [f"uptane vehicle secondary run {package}/secondaries/{each.ecu}" for each in others]
    for name in encrypted_images:
        folder = said["secondaries"].get(name, package)
        next_steps.append(f"uptane vehicle encryption-key {vin} {name} {folder}/keys/decryption.pub")
    tell(said, "\n  ".join([f"Vehicle {vin} is registered. Next:", *next_steps]), json_output)


def image_add(
    *files: Path,
    name: Annotated[tuple[str, ...], Optional] = (),
    release: int | None = None,
    hardware: Annotated[tuple[str, ...], Optional] = (),
    list_only: Annotated[bool, Optional] = False,
    servers: Servers = Path(),
    json_output: AsJson = False,
) -> None:
    """Add images to the Image repository, sign for them and publish them as one release.

    Vehicles see all of them or none. After a failure the same command again goes on.

    Args:
        files: the images.
        name: the name of each in metadata, with folders, in the order of the files; the files' names where none is
            given.
        release: their release counter, which never falls.
        hardware: the hardware they are for; any where none is given.
        list_only: do not store the images, so that nobody can download them in plain: for `uptane assignment set
            --encrypted --file`.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.fleet import add_images
    from uptane.cli.progress import progress
    from uptane.metadata.errors import FormatError

    names = name or tuple(file.name for file in files)
    if not files or len(names) != len(files) or len(set(names)) != len(names):
        raise FormatError(
            f"{len(files)} files and {len(set(names))} names do not belong together",
            next_step="Name at least one file, and give each another --name, in the same order.",
            field="name",
        )
    chosen = dict(zip(names, files, strict=True))
    with progress(f"Storing {len(files)} images", sum(file.stat().st_size for file in files)) as done:
        said = run(servers, lambda systems: add_images(systems, chosen, release, hardware, done, list_only=list_only))
    how = "is listed, and not stored" if list_only else "is published"
    lines = [f"{each['name']} {how}: {each['length']} bytes, sha256 {each['sha256']}." for each in said["images"]]
    tell(said, "\n".join(lines), json_output)


def vehicle_token(vin: str, *, servers: Servers = Path(), json_output: AsJson = False) -> None:
    """Make a token for a vehicle's next first contact, such as after its certificate was revoked.

    Args:
        vin: the vehicle's identifier.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.fleet import new_token

    said = run(servers, lambda systems: new_token(systems, vin))
    tell(said, f"{said['token']}", json_output)


def vehicle_revoke(vin: str, *, servers: Servers = Path(), json_output: AsJson = False) -> None:
    """Revoke the certificates of a vehicle; servers learn it within seconds.

    Args:
        vin: the vehicle's identifier.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.fleet import revoke_vehicle

    said = run(servers, lambda systems: revoke_vehicle(systems, vin))
    tell(said, f"{said['revoked']} certificates of {vin} are revoked.", json_output)


def vehicle_retire(vin: str, *, servers: Servers = Path(), json_output: AsJson = False) -> None:
    """Take a vehicle out of service, for good.

    Args:
        vin: the vehicle's identifier.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.fleet import retire_vehicle

    said = run(servers, lambda systems: retire_vehicle(systems, vin))
    tell(said, f"{vin} is out of service; {said['revoked']} certificates are revoked.", json_output)


def vehicle_list(*, servers: Servers = Path(), json_output: AsJson = False) -> None:
    """List every vehicle.

    Args:
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.fleet import list_vehicles

    said = run(servers, list_vehicles)
    lines = [f"{vin} (retired)" if vin in said["retired"] else vin for vin in said["vehicles"]]
    tell(said, "\n".join(lines) or "There is no vehicle.", json_output)


def vehicle_show(vin: str, *, servers: Servers = Path(), json_output: AsJson = False) -> None:
    """Show a vehicle: its ECUs, what they run and shall have, and the newest alerts.

    Args:
        vin: the vehicle's identifier.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.fleet import show_vehicle

    said = run(servers, lambda systems: show_vehicle(systems, vin))
    lines = [f"{said['vehicle']}, last manifest {said['last_manifest'] or 'never'}"]
    lines += [f"  retired {said['retired']}"] if said["retired"] else []
    for ecu in said["ecus"]:
        kind = "Primary" if ecu["primary"] else "Secondary"
        lines.append(
            f"  {ecu['ecu']} ({kind}) runs {ecu['runs'] or '?'}, shall have {ecu['shall_have'] or 'nothing new'}"
        )
    tell(said, "\n".join([*lines, *(f"  ! {alert}" for alert in said["alerts"])]), json_output)


def image_list(*, servers: Servers = Path(), json_output: AsJson = False) -> None:
    """List every image of the Image repository.

    Args:
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.fleet import list_images

    said = run(servers, list_images)
    lines = [
        f"{image['name']} ({image['length']} bytes, release {image['release']}, by {image['role']})"
        for image in said["images"]
    ]
    tell(said, "\n".join(lines) or "There is no image.", json_output)


def assignment_clear(vin: str, *, servers: Servers = Path(), json_output: AsJson = False) -> None:
    """Take back what a vehicle's ECUs were assigned.

    Args:
        vin: the vehicle's identifier.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.fleet import clear_assignments

    said = run(servers, lambda systems: clear_assignments(systems, vin))
    tell(said, f"No ECU of {vin} shall have anything new.", json_output)
