"""What the Director knows of vehicles and ECUs, and the checks of what it is told over XML-RPC."""

from typing import Any

from archived.der import VEHICLE, Signable
from archived.errors import BadSignatureError, Spoofing, UnknownECU, UnknownVehicle
from archived.signatures import Key
from archived.wire_format import WireFormat


class DirectorInventory:
    """Kept in memory only.

    Args:
        wire: the format of manifests.
    """

    def __init__(self, wire: WireFormat) -> None:
        self._wire = wire
        self._keys: dict[str, Key] = {}
        self._primaries: dict[str, str | None] = {}
        self.vehicle_manifests: dict[str, list[Signable]] = {}
        self.ecu_manifests: dict[str, list[Signable]] = {}
        self.dropped: list[str] = []

    def register_vehicle(self, vin: str) -> None:
        """A vehicle without ECUs."""
        self._primaries[vin] = None
        self.vehicle_manifests[vin] = []

    def register_ecu_serial(
        self,
        ecu_serial: str,
        ecu_public_key: dict[str, Any],
        vin: str,
        is_primary: bool = False,
    ) -> None:
        """Stores an ECU's key; nothing proves that the caller owns it.

        Raises:
            UnknownVehicle: the VIN is not known.
            Spoofing: the serial has a key, or the vehicle has a Primary already.
        """
        if vin not in self._primaries:
            raise UnknownVehicle(f"VIN {vin!r} is not known")
        if ecu_serial in self._keys:
            raise Spoofing(f"ECU {ecu_serial!r} has a key already")
        if is_primary and self._primaries[vin] is not None:
            raise Spoofing(f"vehicle {vin!r} has a Primary already")
        self._keys[ecu_serial] = Key.from_struct(ecu_public_key)
        if is_primary:
            self._primaries[vin] = ecu_serial

    def register_vehicle_manifest(self, vin: str, primary_ecu_serial: str, signed_vehicle_manifest: Any) -> None:
        """Checks a vehicle manifest and keeps it, then each good ECU manifest in it.

        Raises:
            UnknownVehicle: the VIN is not known.
            Spoofing: it names another Primary.
            UnknownECU: the Primary is not registered.
            BadSignatureError: it is not the Primary's.
        """
        manifest = self._wire.from_call(signed_vehicle_manifest, VEHICLE)
        signed = manifest["signed"]
        if vin not in self._primaries:
            raise UnknownVehicle(f"VIN {vin!r} is not known")
        self._check(primary_ecu_serial, signed["primary_ecu_serial"], manifest)
        self.vehicle_manifests[vin].append(manifest)
        for ecu_serial, ecu_manifests in signed["ecu_version_manifests"].items():
            for ecu_manifest in ecu_manifests:
                try:
                    self._check(ecu_serial, ecu_manifest["signed"]["ecu_serial"], ecu_manifest)
                except (Spoofing, UnknownECU, BadSignatureError) as error:
                    self.dropped.append(f"{ecu_serial}: {type(error).__name__}: {error}")
                else:
                    self.ecu_manifests.setdefault(ecu_serial, []).append(ecu_manifest)

    def _check(self, claimed: str, signed: str, manifest: Signable) -> None:
        if claimed != signed:
            raise Spoofing(f"{claimed!r} submits what {signed!r} signed")
        if claimed not in self._keys:
            raise UnknownECU(f"ECU {claimed!r} is not registered")
        self._wire.check_signature(manifest, self._keys[claimed])
