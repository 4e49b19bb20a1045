"""A Primary's door for its Secondaries."""

from collections.abc import Callable, Mapping

from uptane.formats.call_values import from_call, to_call
from uptane.formats.profile import Profile
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.services.arguments import flag, integer, text
from uptane.vehicle.secondaries import Secondaries

MAX_REQUEST_BYTES = 100_000
"""Bytes of a request: a version report has some 700, and a block of an image that is backed up 64 KiB."""


def primary_methods(secondaries: Secondaries, profile: Profile) -> Mapping[str, Callable[..., object]]:
    """The methods that Secondaries call; they run in worker threads beside the update cycle.

    Args:
        secondaries: what is known of them, and ready for them.
        profile: how reports, keys and attestations travel.
    """

    def submit_ecu_manifest(vin: object, ecu_serial: object, nonce: object, manifest: object) -> None:
        """Hands in a signed version report."""
        secondaries.register_ecu_manifest(
            VehicleIdentifier(text(vin, "VIN")),
            EcuIdentifier(text(ecu_serial, "ECU serial")),
            integer(nonce, "nonce"),
            from_call(manifest, "manifest", as_struct=profile.structs_in_calls),
        )

    def register_new_secondary(ecu_serial: object, public_key: object = None) -> None:
        """Makes a Secondary known, with its public key."""
        ecu = EcuIdentifier(text(ecu_serial, "ECU serial"))
        if public_key is None:
            secondaries.register_new_secondary(ecu)
        else:
            key = from_call(public_key, "public key", as_struct=profile.key_structs_in_calls)
            secondaries.register_new_secondary(ecu, key)

    def get_time_attestation_for_ecu(ecu_serial: object) -> object:
        """The last verified time attestation."""
        raw = secondaries.get_time_attestation_for_ecu(EcuIdentifier(text(ecu_serial, "ECU serial")))
        return to_call(raw, as_struct=profile.structs_in_calls)

    def get_metadata(ecu_serial: object, force_partial_verification: object = False) -> bytes:
        """The bundle for full verification, or the smaller one for partial verification."""
        partial = flag(force_partial_verification, "force_partial_verification")
        ecu = EcuIdentifier(text(ecu_serial, "ECU serial"))
        return secondaries.get_partial_metadata(ecu) if partial else secondaries.get_metadata(ecu)

    def update_exists_for_ecu(ecu_serial: object) -> bool:
        """Whether a verified image is here."""
        return secondaries.update_exists_for_ecu(EcuIdentifier(text(ecu_serial, "ECU serial")))

    def get_image(ecu_serial: object) -> list[object]:
        """Name and bytes of the image, or two nils."""
        found = secondaries.get_image(EcuIdentifier(text(ecu_serial, "ECU serial")))
        return [None, None] if found is None else [found[0], found[1]]

    def get_image_block(ecu_serial: object, name: object, offset: object) -> bytes:
        """Some bytes of the image from an offset on; none at its end."""
        return secondaries.get_image_block(*_place(ecu_serial, name, offset))

    def back_up_image(ecu_serial: object, name: object, offset: object, block: object) -> bool:
        """Takes some bytes of the image that runs; whether all of it is here, verified."""
        return secondaries.back_up(*_place(ecu_serial, name, offset), from_call(block, "block", as_struct=False))

    def get_backup_block(ecu_serial: object, name: object, offset: object) -> bytes:
        """Some bytes of what was backed up from an offset on; none at its end."""
        return secondaries.get_backup_block(*_place(ecu_serial, name, offset))

    methods: list[Callable[..., object]] = [
        submit_ecu_manifest,
        register_new_secondary,
        get_time_attestation_for_ecu,
        get_metadata,
        update_exists_for_ecu,
        get_image,
        get_image_block,
        back_up_image,
        get_backup_block,
    ]
    return {method.__name__: method for method in methods}


def _place(ecu_serial: object, name: object, offset: object) -> tuple[EcuIdentifier, str, int]:
    """Whose image, which one, and where in it."""
    if (at := integer(offset, "offset")) < 0:
        raise FormatError("offset must not be negative", field="offset")
    return EcuIdentifier(text(ecu_serial, "ECU serial")), text(name, "name"), at
