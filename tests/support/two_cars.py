"""Two cars at one Director, and whatever an attacker makes of their manifests."""

import pytest
from fleet import Fleet, Vehicle
from links import wait
from signed import signed_manifest, signed_report
from world import PRIMARY, TCU, VIN

from uptane.director.ports import EcuRecord, StoredReport, VehicleRecord
from uptane.formats.profile import Profile
from uptane.metadata.errors import SecurityError, UptaneError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.verification.check_manifest import CheckedManifest

OTHER, OTHER_PRIMARY, OTHER_TCU = VehicleIdentifier("112"), EcuIdentifier("P112"), EcuIdentifier("S112")
Stored = tuple[VehicleRecord, list[EcuRecord], list[list[StoredReport]]]


class TwoCars:
    """Two cars at one Director, and whatever an attacker makes of their manifests."""

    def __init__(self, profile: Profile) -> None:
        self.fleet = Fleet(profile)
        self.car = Vehicle(self.fleet)
        self.other = Vehicle(self.fleet, OTHER, OTHER_PRIMARY, OTHER_TCU)
        for car in (self.car, self.other):
            car.cycle()
            car.primary.update_cycle()
        self.profile = profile

    @property
    def manifest_counter(self) -> int:
        """Of the newest accepted manifest."""
        return wait(self.fleet.director.vehicle(VIN)).manifest_counter

    def counter(self, ecu: EcuIdentifier) -> int:
        """Of the newest accepted report."""
        return wait(self.fleet.director.ecu(ecu)).report_counter

    def last(self, ecu: EcuIdentifier) -> bytes:
        """The newest accepted report."""
        raw = wait(self.fleet.director.ecu(ecu)).report
        assert raw is not None
        return raw

    def signer(self, ecu: EcuIdentifier) -> object:
        """The key of an ECU of either car."""
        return {
            PRIMARY: self.car.device.signer,
            TCU: self.car.tcu.device.signer,
            OTHER_PRIMARY: self.other.device.signer,
            OTHER_TCU: self.other.tcu.device.signer,
        }[ecu]

    def report(self, ecu: EcuIdentifier, **changes: object) -> bytes:
        """The next report of an ECU, but for what is changed."""
        facts = {"signer": self.signer(ecu), "counter": self.counter(ecu) + 1} | changes
        return signed_report(self.profile, ecu=ecu, **facts)  # type: ignore[arg-type]

    def manifest(self, *reports: bytes, **changes: object) -> bytes:
        """The car's next manifest, but for what is changed."""
        facts = {"signer": self.car.device.signer, "counter": self.manifest_counter + 1} | changes
        signer = facts.pop("signer")
        return signed_manifest(self.profile, signer, *reports, **facts)  # type: ignore[arg-type]

    def send(
        self, raw: bytes, vin: VehicleIdentifier = VIN, primary: EcuIdentifier | None = PRIMARY
    ) -> CheckedManifest:
        """Hands a manifest in; without a Primary, in the name of a vehicle that has proved who it is."""
        return wait(self.fleet.director.receive_manifest(vin, primary, raw, self.fleet.now))

    def stored(self) -> list[Stored]:
        """Everything that the Director keeps of both cars."""
        return [
            (
                wait(self.fleet.director.vehicle(vin)),
                [wait(self.fleet.director.ecu(ecu)) for ecu in ecus],
                [self.fleet.reports(ecu) for ecu in ecus],
            )
            for vin, ecus in ((VIN, (PRIMARY, TCU)), (OTHER, (OTHER_PRIMARY, OTHER_TCU)))
        ]

    def refuses(
        self,
        error: type[UptaneError],
        raw: bytes,
        vin: VehicleIdentifier = VIN,
        primary: EcuIdentifier | None = PRIMARY,
    ) -> UptaneError:
        """The manifest is refused with exactly that error, nothing is stored, and the car's next one is accepted.

        The operator is told, where it claims to be of a vehicle that there is.
        """
        before, now = self.stored(), self.fleet.now
        with pytest.raises(UptaneError) as caught:
            self.send(raw, vin, primary)
        assert type(caught.value) is error, repr(caught.value)
        assert self.stored() == before
        if isinstance(caught.value, SecurityError):
            told = [(alert.code, alert.time) for alert in wait(self.fleet.director.alerts(vin))]
            assert (caught.value.code, now) in told
        self.car.cycle()
        assert self.stored() != before
        return caught.value
