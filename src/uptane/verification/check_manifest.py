"""Whether a Director may believe a vehicle version manifest and the reports in it (5.3.2.1)."""

from collections.abc import Mapping
from dataclasses import dataclass

from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import FormatError, ReplayedReportError, SpoofingError, UnknownEcuError, WrongVehicleError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport
from uptane.verification.threshold import check_report_signature


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEcu:
    """What is on record of an ECU.

    Args:
        key: verifies its reports.
        is_primary: whether it may sign for the vehicle.
        counter: of its last accepted report, 0 before the first.
        report: its last accepted report, byte for byte, if any.
    """

    key: PublicKey
    is_primary: bool
    counter: int = 0
    report: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedManifest:
    """A manifest that passed.

    Args:
        manifest: the payload.
        fresh: reports that are new evidence.
        repeated: ECUs whose latest report came again, byte for byte: accepted, but no new evidence.
        missing: ECUs of the vehicle that the manifest says nothing of.
        strangers: ECUs that are not on record for the vehicle; their reports are set aside, not believed.
    """

    manifest: VehicleVersionManifest
    fresh: tuple[Envelope[EcuVersionReport], ...]
    repeated: tuple[EcuIdentifier, ...]
    missing: tuple[EcuIdentifier, ...]
    strangers: tuple[EcuIdentifier, ...]


def check_manifest(
    envelope: Envelope[VehicleVersionManifest],
    *,
    vehicle: VehicleIdentifier,
    primary: EcuIdentifier,
    known: Mapping[EcuIdentifier, KnownEcu],
    counter: int,
) -> CheckedManifest:
    """Checks identity, signatures and freshness; one bad report drops the whole manifest (STD-5.3.2.1-4).

    A report of an ECU that is not on record for the vehicle is set aside instead: whoever can speak to a Primary
    could otherwise silence the whole vehicle by adding one.

    Args:
        envelope: the manifest as received.
        vehicle, primary: who the sender says that it is.
        known: every ECU of that vehicle.
        counter: of the last accepted manifest, 0 before the first.

    Raises:
        WrongVehicleError: the signed vehicle is another one.
        SpoofingError: the signed Primary is another one, or is not the vehicle's Primary.
        UnknownEcuError: the Primary is not on record for this vehicle.
        FormatError: the Primary's own report is missing (STD-5.4.2.1.1-9).
        BadSignatureError: not signed by the key on record.
        ReplayedReportError: the manifest, the Primary's own report or another report was used before.
    """
    manifest = envelope.payload
    if manifest.vehicle != vehicle:
        raise WrongVehicleError(
            f"a manifest of vehicle {manifest.vehicle} was sent in the name of {vehicle}",
            expected=vehicle,
            offered=manifest.vehicle,
        )
    if manifest.primary != primary:
        raise SpoofingError(
            f"a manifest of Primary {manifest.primary} was sent in the name of {primary}",
            expected=primary,
            offered=manifest.primary,
        )
    if primary not in known:
        raise UnknownEcuError(f"ECU {primary} is not registered for vehicle {vehicle}", ecu=primary, vehicle=vehicle)
    if not known[primary].is_primary:
        raise SpoofingError(f"ECU {primary} is not the Primary of vehicle {vehicle}", ecu=primary, vehicle=vehicle)
    check_report_signature(envelope, known[primary].key, signer=f"Primary {primary}", what="the vehicle manifest")
    if manifest.counter <= counter:
        raise ReplayedReportError(
            f"the manifest of vehicle {vehicle} has counter {manifest.counter}; {counter} was accepted before",
            expected=counter + 1,
            offered=manifest.counter,
        )
    fresh: list[Envelope[EcuVersionReport]] = []
    repeated: list[EcuIdentifier] = []
    strangers: list[EcuIdentifier] = []
    for report in manifest.reports:
        ecu = report.payload.ecu
        if ecu not in known:
            strangers.append(ecu)
        elif check_report(report, ecu, known[ecu], may_repeat=ecu != primary):
            fresh.append(report)
        else:
            repeated.append(ecu)
    missing = tuple(sorted(set(known) - {report.payload.ecu for report in manifest.reports}))
    if primary in missing:
        raise FormatError(f"the manifest of vehicle {vehicle} lacks the Primary's own report", field="reports")
    return CheckedManifest(
        manifest=manifest,
        fresh=tuple(fresh),
        repeated=tuple(repeated),
        missing=missing,
        strangers=tuple(strangers),
    )


def check_report(report: Envelope[EcuVersionReport], ecu: EcuIdentifier, known: KnownEcu, *, may_repeat: bool) -> bool:
    """Checks one version report; True when it is new evidence, False when it is the latest one again.

    Raises:
        SpoofingError: it is the report of another ECU.
        BadSignatureError: not signed by the ECU's key.
        ReplayedReportError: a counter that was used before, with other bytes or where a repetition is not allowed.
    """
    if report.payload.ecu != ecu:
        raise SpoofingError(
            f"a report of ECU {report.payload.ecu} was sent in the name of {ecu}",
            expected=ecu,
            offered=report.payload.ecu,
        )
    check_report_signature(report, known.key, signer=f"ECU {ecu}", what=f"the version report of {ecu}")
    if report.payload.counter > known.counter:
        return True
    if may_repeat and report.payload.counter == known.counter and report.raw == known.report:
        return False
    raise ReplayedReportError(
        f"the version report of {ecu} has counter {report.payload.counter}; {known.counter} was accepted before",
        ecu=ecu,
        expected=known.counter + 1,
        offered=report.payload.counter,
    )
