"""The Director's door for ECUs: the XML-RPC methods of its front desk."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from uptane.director.director import Director
from uptane.formats.call_values import from_call
from uptane.formats.profile import Profile
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.services.arguments import flag, text

MAX_MANIFEST_BYTES = 2_000_000
"""Bytes of a request: a manifest of 1,000 ECUs."""


async def any_vehicle(vehicle: VehicleIdentifier) -> None:
    """Admits every vehicle."""


def director_methods(
    director: Director,
    profile: Profile,
    clock: Callable[[], datetime],
    *,
    answers: bool = True,
    admit: Callable[[VehicleIdentifier], Awaitable[None]] = any_vehicle,
) -> Mapping[str, Callable[..., Awaitable[object]]]:
    """The methods that ECUs call; what an intruder would like to call is not among them.

    Args:
        director: the front desk.
        profile: the format of keys and manifests.
        clock: the server's time, UTC.
        answers: a manifest is answered with new metadata where there is need for it (5.3.2.1); without, it is taken in
            and the operator publishes.
        admit: raises where a vehicle may not call, before anything else is looked at.
    """

    async def submit_vehicle_manifest(vin: object, primary_ecu_serial: object, manifest: object) -> None:
        """Hands in a vehicle version manifest."""
        vehicle, primary = VehicleIdentifier(text(vin, "VIN")), EcuIdentifier(text(primary_ecu_serial, "ECU serial"))
        await admit(vehicle)
        raw = from_call(manifest, "manifest", as_struct=profile.structs_in_calls)
        handle = director.answer_manifest if answers else director.receive_manifest
        await handle(vehicle, primary, raw, clock())

    async def register_ecu_serial(
        ecu_serial: object, ecu_public_key: object, vin: object, is_primary: object = False
    ) -> None:
        """Registers an ECU and its public key."""
        vehicle = VehicleIdentifier(text(vin, "VIN"))
        await admit(vehicle)
        await director.register_ecu(
            vehicle=vehicle,
            ecu=EcuIdentifier(text(ecu_serial, "ECU serial")),
            key=profile.format.decode_key(
                from_call(ecu_public_key, "public key", as_struct=profile.key_structs_in_calls)
            ),
            is_primary=flag(is_primary, "is_primary"),
        )

    return {"submit_vehicle_manifest": submit_vehicle_manifest, "register_ecu_serial": register_ecu_serial}
