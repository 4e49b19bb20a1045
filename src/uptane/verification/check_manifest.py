"""Whether a Director may believe a vehicle version manifest and the reports in it (5.3.2.1)."""

from collections.abc import Mapping

from msgspec import Struct, structs

from uptane.formats.profile import Profile
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import (
    BadSignatureError,
    FormatError,
    ReplayedReportError,
    SpoofingError,
    UnknownEcuError,
    WrongVehicleError,
)
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.metadata.manifest_diff import diff_of
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport
from uptane.verification.threshold import check_report_signature


class KnownEcu(Struct, frozen=True, kw_only=True, gc=False):
    """What is on record of an ECU.

    Args:
        key: verifies its reports.
        is_primary: whether it may sign for the vehicle.
        counter: of its last accepted report, 0 before the first.
        report: its last accepted report, byte for byte, if any.
        earlier: some accepted before that, newest first; needed only where reports carry no counter.
    """

    key: PublicKey
    is_primary: bool
    counter: int = 0
    report: bytes | None = None
    earlier: tuple[bytes, ...] = ()


class FreshReport(Struct, frozen=True, kw_only=True, gc=False):
    """A report that is new evidence.

    Args:
        envelope: the report.
        counter: its counter; counted here where it carries none.
    """

    envelope: Envelope[EcuVersionReport]
    counter: int


class CheckedManifest(Struct, frozen=True, kw_only=True, gc=False):
    """A manifest that passed.

    Args:
        manifest: the payload.
        fresh: reports that are new evidence.
        repeated: ECUs whose latest report came again, byte for byte: accepted, but no new evidence.
        missing: ECUs of the vehicle that the manifest says nothing of.
        strangers: ECUs that are not on record for the vehicle; their reports are set aside, not believed.
        refused: ECUs whose report was set aside, since its signature is bad or it is old, which their Primary could
            not know.
        counter: of the manifest; counted here where it carries none, and not counted on where nothing is new.
    """

    manifest: VehicleVersionManifest
    missing: tuple[EcuIdentifier, ...]
    counter: int
    fresh: tuple[FreshReport, ...] = ()
    repeated: tuple[EcuIdentifier, ...] = ()
    strangers: tuple[EcuIdentifier, ...] = ()
    refused: tuple[EcuIdentifier, ...] = ()


def check_manifest(
    envelope: Envelope[VehicleVersionManifest],
    *,
    profile: Profile,
    vehicle: VehicleIdentifier,
    primary: EcuIdentifier,
    known: Mapping[EcuIdentifier, KnownEcu],
    counter: int,
    last: bytes | None = None,
    may_repeat: bool = False,
) -> CheckedManifest:
    """Checks identity, signatures and freshness; one bad report drops the whole manifest (STD-5.3.2.1-4).

    A report of an ECU that is not on record for the vehicle is set aside instead: whoever can speak to a Primary
    could otherwise silence the whole vehicle by adding one.

    Args:
        envelope: the manifest as received; of a diff, with all that it stands for.
        profile: its format, and which of the rules do not hold there.
        vehicle, primary: who the sender says that it is.
        known: every ECU of that vehicle.
        counter: of the last accepted manifest, 0 before the first.
        last: the last accepted manifest that was no diff, byte for byte, if any; where manifests carry no counter, it
            may come again.
        may_repeat: the last accepted manifest may come again where they do, as its sender may not have heard that it
            was accepted: a whole one byte for byte, a diff as far as every report of it is on record. The counter
            stays, and fresh are only reports that were not believed then.

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
    check_report_signature(
        envelope, known[primary].key, profile=profile, signer=f"Primary {primary}", what="the vehicle manifest"
    )
    ecus = [report.payload.ecu for report in manifest.reports]
    missing = tuple(sorted(set(known) - set(ecus)))
    again = (
        may_repeat
        and manifest.counter == counter
        and (envelope.raw == last or _is_diff_on_record(manifest, known, counter))
    )
    number = counter if again else _manifest_counter(manifest, profile, counter)
    latest = dict(known)
    fresh: list[FreshReport] = []
    repeated: list[EcuIdentifier] = []
    strangers: list[EcuIdentifier] = []
    refused: list[EcuIdentifier] = []
    first_replay: ReplayedReportError | None = None
    for report in manifest.reports if profile.unsafe_several_reports else manifest.require_one_report_each():
        ecu = report.payload.ecu
        if ecu not in known:
            strangers.append(ecu)
            continue
        try:
            new = check_report(report, ecu, latest[ecu], profile=profile, may_repeat=ecu != primary or again)
        except (BadSignatureError, ReplayedReportError) as error:
            if not profile.unsafe_unverified_reports:
                raise
            refused.append(ecu)
            first_replay = first_replay or (error if isinstance(error, ReplayedReportError) else None)
            continue
        if new is None:
            repeated.append(ecu)
        else:
            fresh.append(FreshReport(envelope=report, counter=new))
            if profile.unsafe_several_reports:
                latest[ecu] = _with_report(latest[ecu], new, report.raw)
    if not fresh and first_replay is not None and not _says_the_same(profile, envelope, last):
        raise first_replay
    if profile.unsafe_no_report_counter and last is not None and not fresh:
        number = counter
    if primary in missing and not profile.unsafe_incomplete_manifests:
        raise FormatError(f"the manifest of vehicle {vehicle} lacks the Primary's own report", field="reports")
    return CheckedManifest(
        manifest=manifest,
        fresh=tuple(fresh),
        repeated=tuple(repeated),
        missing=missing,
        strangers=tuple(strangers),
        refused=tuple(refused),
        counter=number,
    )


def _with_report(known: KnownEcu, counter: int, report: bytes) -> KnownEcu:
    earlier = known.earlier if known.report is None else (known.report, *known.earlier)
    return structs.replace(known, counter=counter, report=report, earlier=earlier)


def _says_the_same(profile: Profile, envelope: Envelope[VehicleVersionManifest], last: bytes | None) -> bool:
    """Whether that is the last manifest, whatever signatures stand beside it, which anybody may add."""
    return last is not None and profile.format.decode(VehicleVersionManifest, last).message == envelope.message


def _is_diff_on_record(manifest: VehicleVersionManifest, known: Mapping[EcuIdentifier, KnownEcu], counter: int) -> bool:
    """Whether a diff with the last accepted counter tells nothing but what is on record.

    A diff was accepted last, as its whole manifest is older. The Primary's own report on record came with that one.
    """
    base = diff_of(manifest)
    if base is None or base >= counter:
        return False
    told = {report.payload.ecu: report.raw for report in manifest.reports}
    return all(known[ecu].report == raw for ecu, raw in told.items() if ecu in known)


def _manifest_counter(manifest: VehicleVersionManifest, profile: Profile, counter: int) -> int:
    if profile.unsafe_no_report_counter:
        return counter + 1
    if manifest.require_counter() <= counter:
        raise ReplayedReportError(
            f"the manifest of vehicle {manifest.vehicle} has counter {manifest.counter}; {counter} was accepted before",
            expected=counter + 1,
            offered=manifest.counter,
        )
    return manifest.require_counter()


def check_report(
    report: Envelope[EcuVersionReport], ecu: EcuIdentifier, known: KnownEcu, *, profile: Profile, may_repeat: bool
) -> int | None:
    """Checks one version report; its counter when it is new evidence, None when it is the latest one again.

    Raises:
        SpoofingError: it is the report of another ECU.
        BadSignatureError: not signed by the ECU's key.
        ReplayedReportError: a counter that was used before, with other bytes or where a repetition is not allowed;
            where reports carry none, a time before that of the last report.
    """
    if report.payload.ecu != ecu:
        raise SpoofingError(
            f"a report of ECU {report.payload.ecu} was sent in the name of {ecu}",
            expected=ecu,
            offered=report.payload.ecu,
        )
    check_report_signature(report, known.key, profile=profile, signer=f"ECU {ecu}", what=f"the version report of {ecu}")
    if not profile.unsafe_newlines_in_attacks:
        report.payload.require_one_line()
    if profile.unsafe_no_report_counter:
        return _check_report_time(report, ecu, known, profile)
    counter, _ = report.payload.require_freshness()
    if counter > known.counter:
        return counter
    if may_repeat and counter == known.counter and report.raw == known.report:
        return None
    raise ReplayedReportError(
        f"the version report of {ecu} has counter {counter}; {known.counter} was accepted before",
        ecu=ecu,
        expected=known.counter + 1,
        offered=counter,
    )


def _check_report_time(
    report: Envelope[EcuVersionReport], ecu: EcuIdentifier, known: KnownEcu, profile: Profile
) -> int | None:
    """Without a counter the time alone tells a report that was used before, and its content one of the same second."""
    if known.report is not None:
        newest = profile.format.decode(EcuVersionReport, known.report)
        last = newest.payload.time
        if report.message == newest.message:
            return None
        if report.payload.time == last and any(
            report.message == profile.format.decode(EcuVersionReport, raw).message for raw in known.earlier
        ):
            return None
        if report.payload.time < last:
            raise ReplayedReportError(
                f"the version report of {ecu} is of {report.payload.time:%Y-%m-%dT%H:%M:%SZ}; one of "
                f"{last:%Y-%m-%dT%H:%M:%SZ} was accepted before",
                ecu=ecu,
                expected=last,
                offered=report.payload.time,
            )
    return known.counter + 1
