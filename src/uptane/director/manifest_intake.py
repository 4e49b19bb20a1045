"""Takes in a vehicle version manifest: checked and stored in one transaction, or dropped as a whole."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from uptane.director.alerts import tell, tell_dropped
from uptane.director.installed import confirm
from uptane.director.manifest_policy import DEFAULT_POLICY, ManifestPolicy
from uptane.director.ports import EcuRecord, InventoryDatabase, InventoryTransaction, StoredReport
from uptane.director.registration import refuse_retired
from uptane.formats.profile import Profile
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import SecurityError, UnknownVehicleError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.manifest_diff import applied, diff_of
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.verification.check_manifest import CheckedManifest, KnownEcu, check_manifest

EARLIER_REPORTS = 32
"""Reports of an ECU that one of the same second is compared with where they carry no counter."""


async def take_in_manifest(
    inventory: InventoryDatabase,
    profile: Profile,
    *,
    vehicle: VehicleIdentifier,
    primary: EcuIdentifier,
    raw: bytes,
    now: datetime,
    policy: ManifestPolicy = DEFAULT_POLICY,
) -> CheckedManifest:
    """Stores a manifest and its new reports (STD-5.3.2.1-1 to -11).

    A diff is taken for the whole manifest that it and the last whole one stand for; that one stays on record. Where
    manifests carry no counter, one that holds nothing new is checked and changes nothing.

    Args:
        vehicle, primary: who the sender says that it is.
        raw: the manifest as received.
        now: UTC.
        policy: what follows from missing ECUs and wrong times.

    Raises:
        UnknownVehicleError: no such vehicle.
        UnknownBaseError: a diff of another manifest; the vehicle sends the whole one then (STD-5.4.2.1-4).
        SecurityError: a check failed; see `check_manifest` and `ManifestPolicy`; or the sender was taken out of its
            vehicle. Nothing was stored but an alert.
    """
    try:
        return await _take_in(inventory, profile, vehicle, primary, raw, now, policy)
    except SecurityError as error:
        await tell_dropped(inventory, vehicle, error, now)
        raise


async def _take_in(
    inventory: InventoryDatabase,
    profile: Profile,
    vehicle: VehicleIdentifier,
    primary: EcuIdentifier,
    raw: bytes,
    now: datetime,
    policy: ManifestPolicy,
) -> CheckedManifest:
    envelope = profile.format.decode(VehicleVersionManifest, raw)
    async with inventory.transaction() as transaction:
        record = await transaction.vehicle(vehicle)
        if record is None:
            raise UnknownVehicleError(f"vehicle {vehicle} is not known to the Director", vehicle=vehicle)
        whole = _whole(envelope, record.manifest, profile)
        ecus = {ecu.ecu: ecu for ecu in await transaction.ecus(vehicle)}
        if primary not in ecus and (stranger := await transaction.ecu(primary)) is not None:
            refuse_retired(stranger)
        checked = check_manifest(
            whole,
            profile=profile,
            vehicle=vehicle,
            primary=primary,
            known={name: await _known(transaction, ecu, profile) for name, ecu in ecus.items()},
            counter=record.manifest_counter,
            last=record.manifest,
        )
        repeated = [report for report in whole.payload.reports if report.payload.ecu in checked.repeated]
        judged = policy.under(profile).judge(checked, repeated, now)
        checked = judged.manifest
        if checked.counter == record.manifest_counter:
            return checked
        await transaction.update_vehicle(
            replace(
                record,
                manifest_counter=checked.counter,
                manifest=raw if whole is envelope else record.manifest,
                manifest_received=now,
            )
        )
        for fresh in checked.fresh:
            payload, report = fresh.envelope.payload, fresh.envelope.raw
            stored = StoredReport(
                counter=fresh.counter, report=report, received=now, attacks_detected=payload.attacks_detected
            )
            latest = replace(ecus[payload.ecu], report_counter=fresh.counter, report=report, report_received=now)
            await transaction.add_report(latest, stored)
        await confirm(transaction, vehicle, [fresh.envelope.payload for fresh in checked.fresh])
        await tell(transaction, vehicle, judged.alerts)
        return checked


def _whole(
    envelope: Envelope[VehicleVersionManifest], last: bytes | None, profile: Profile
) -> Envelope[VehicleVersionManifest]:
    """The manifest, or what a diff stands for: the signature is over the diff, the checks are of the whole."""
    if diff_of(envelope.payload) is None:
        return envelope
    base = None if last is None else profile.format.decode(VehicleVersionManifest, last).payload
    return replace(envelope, payload=applied(envelope.payload, base))


async def _known(transaction: InventoryTransaction, ecu: EcuRecord, profile: Profile) -> KnownEcu:
    stored: Sequence[StoredReport] = ()
    if profile.unsafe_no_report_counter and ecu.report is not None:
        stored = await transaction.reports(ecu.vehicle, ecu.ecu, EARLIER_REPORTS)
    return KnownEcu(
        key=ecu.key,
        is_primary=ecu.is_primary,
        counter=ecu.report_counter,
        report=ecu.report,
        earlier=tuple(each.report for each in stored),
    )
