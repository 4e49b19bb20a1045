"""Commands for operators: what ECUs shall have, in plain or encrypted."""

from pathlib import Path
from typing import Annotated

from uptane.cli.operating import run, tell
from uptane.cli.options import AsJson, Optional, Servers


def assignment_set(
    vin: str,
    ecu: str,
    image: str,
    *,
    encrypted: Annotated[bool, Optional] = False,
    file: Annotated[Path | None, Optional] = None,
    servers: Servers = Path(),
    json_output: AsJson = False,
) -> None:
    """Give an ECU an image, which it learns in its next cycle.

    Args:
        vin: the vehicle's identifier.
        ecu: the ECU's.
        image: the image's name in metadata.
        encrypted: encrypt the image, for this ECU alone; its key must be on record (uptane vehicle encryption-key).
        file: the image in plain, to be encrypted; what the Image repository hosts where none is given.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.encrypted_images import set_encrypted_assignment
    from uptane.assembly.fleet import set_assignment
    from uptane.metadata.errors import FormatError

    if file is not None and not encrypted:
        raise FormatError(
            "a file is for images that are encrypted",
            next_step="Add --encrypted, or take --file away: ECUs load the image from the Image repository.",
            field="file",
        )
    if encrypted:
        said = run(servers, lambda systems: set_encrypted_assignment(systems, vin, ecu, image, file))
    else:
        said = run(servers, lambda systems: set_assignment(systems, vin, ecu, image))
    tell(said, f"{ecu} of {vin} shall have {image}{', encrypted' if encrypted else ''}.", json_output)


def encryption_key(vin: str, ecu: str, file: Path, *, servers: Servers = Path(), json_output: AsJson = False) -> None:
    """Put on record what images are encrypted for so that an ECU can read them.

    Args:
        vin: the vehicle's identifier.
        ecu: the ECU's, which is registered.
        file: its public key, keys/decryption.pub in the folder of the ECU.
        servers: the folder of `uptane init`.
        json_output: print one JSON object.
    """
    from uptane.assembly.encrypted_images import set_encryption_key

    said = run(servers, lambda systems: set_encryption_key(systems, vin, ecu, file))
    tell(said, f"Images can be encrypted for {ecu} of {vin}.", json_output)
