"""Takes in a vehicle version manifest: checked and stored in one transaction, or dropped as a whole."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct, structs

from uptane.director.alerts import tell, tell_dropped
from uptane.director.installed import confirmations
from uptane.director.manifest_policy import DEFAULT_POLICY, ManifestPolicy
from uptane.director.ports import (
    Alert,
    Changes,
    Directed,
    EcuRecord,
    InventoryDatabase,
    InventoryTransaction,
    StoredReport,
    VehicleRecord,
)
from uptane.director.registration import refuse_retired
from uptane.formats.profile import Profile
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import SecurityError, UnknownVehicleError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.manifest_diff import applied, diff_of
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.verification.check_manifest import CheckedManifest, FreshReport, KnownEcu, check_manifest

EARLIER_REPORTS = 32
"""Reports of an ECU that one of the same second is compared with where they carry no counter."""


async def read_manifest(
    inventory: InventoryDatabase, profile: Profile, *, vehicle: VehicleIdentifier, raw: bytes, now: datetime
) -> Envelope[VehicleVersionManifest]:
    """Reads a manifest, once for all that is done about it: it can be large.

    Args:
        inventory: for an alert, as for any manifest that is dropped.
        profile, vehicle, now: see `take_in_manifest`.
        raw: the manifest as received.

    Raises:
        FormatError: it is none.
    """
    try:
        return profile.format.decode(VehicleVersionManifest, raw)
    except SecurityError as error:
        await tell_dropped(inventory, vehicle, error, now)
        raise


async def take_in_manifest(
    inventory: InventoryDatabase,
    profile: Profile,
    *,
    vehicle: VehicleIdentifier,
    primary: EcuIdentifier | None,
    envelope: Envelope[VehicleVersionManifest],
    now: datetime,
    policy: ManifestPolicy = DEFAULT_POLICY,
) -> CheckedManifest:
    """Stores a manifest and its new reports (STD-5.3.2.1-1 to -11).

    A diff is taken for the whole manifest that it and the last whole one stand for; that one stays on record. Where
    manifests carry no counter, one that holds nothing new is checked and changes nothing. So is the last one again
    where its sender has proved to be that vehicle: it may not have heard that it was accepted. Only a whole one is kept
    byte for byte; a diff is known by its counter and by its reports, each of which has to be the latest on record.

    Args:
        vehicle, primary: who the sender says that it is; no Primary where it has proved to be that vehicle, and the
            manifest says which one signed.
        envelope: the manifest, as `read_manifest` gives it.
        now: UTC.
        policy: what follows from missing ECUs and wrong times.

    Raises:
        UnknownVehicleError: no such vehicle.
        UnknownBaseError: a diff of another manifest; the vehicle sends the whole one then (STD-5.4.2.1-4).
        SecurityError: a check failed; see `check_manifest` and `ManifestPolicy`; or the sender was taken out of its
            vehicle. Nothing was stored but an alert.
    """
    try:
        return await _take_in(inventory, profile, vehicle, primary, envelope, now, policy)
    except SecurityError as error:
        await tell_dropped(inventory, vehicle, error, now)
        raise


async def _take_in(
    inventory: InventoryDatabase,
    profile: Profile,
    vehicle: VehicleIdentifier,
    primary: EcuIdentifier | None,
    envelope: Envelope[VehicleVersionManifest],
    now: datetime,
    policy: ManifestPolicy,
) -> CheckedManifest:
    signer = envelope.payload.primary if primary is None else primary
    async with inventory.transaction() as transaction:
        record = await transaction.vehicle(vehicle)
        if record is None:
            raise UnknownVehicleError(f"vehicle {vehicle} is not known to the Director", vehicle=vehicle)
        ecus = {ecu.ecu: ecu for ecu in await transaction.ecus(vehicle)}
        if signer not in ecus and (stranger := await transaction.ecu(signer)) is not None:
            refuse_retired(stranger)
        known = {name: await _known(transaction, ecu, profile) for name, ecu in ecus.items()}
        taken = judge_manifest(
            envelope,
            profile,
            record=record,
            ecus=ecus,
            known=known,
            directed=await transaction.directed(vehicle),
            primary=primary,
            now=now,
            policy=policy,
        )
        changes = taken.changes
        if changes.record is not None:
            await transaction.update_vehicle(changes.record)
            for latest, stored in changes.reports:
                await transaction.add_report(latest, stored)
            for ecu, after in changes.directed.items():
                await transaction.set_directed(vehicle, ecu, after)
        await tell(transaction, vehicle, taken.alerts)
        return taken.manifest


class Taken(Struct, frozen=True, kw_only=True, gc=False):
    """A manifest that is believed.

    Args:
        manifest: without the reports that are not believed.
        changes: what it changes; nothing where it holds nothing new.
        alerts: what an operator should know of it.
    """

    manifest: CheckedManifest
    changes: Changes
    alerts: tuple[Alert, ...] = ()


def judge_manifest(
    envelope: Envelope[VehicleVersionManifest],
    profile: Profile,
    *,
    record: VehicleRecord,
    ecus: Mapping[EcuIdentifier, EcuRecord],
    known: Mapping[EcuIdentifier, KnownEcu],
    directed: Sequence[Directed],
    primary: EcuIdentifier | None,
    now: datetime,
    policy: ManifestPolicy,
) -> Taken:
    """Whether a manifest may be believed, and what follows for the records; see `take_in_manifest`.

    Args:
        envelope: the manifest.
        profile: its format.
        record: the vehicle.
        ecus, known: its ECUs as they are on record, and what their reports are compared with.
        directed: what they may have of what they were directed.
        primary, now, policy: see `take_in_manifest`.

    Raises:
        UnknownBaseError, SecurityError: as `take_in_manifest`.
    """
    whole = _whole(envelope, record.manifest, profile)
    checked = check_manifest(
        whole,
        profile=profile,
        vehicle=record.vehicle,
        primary=whole.payload.primary if primary is None else primary,
        known=known,
        counter=record.manifest_counter,
        last=record.manifest,
        may_repeat=primary is None,
    )
    repeated = [report for report in whole.payload.reports if report.payload.ecu in checked.repeated]
    judged = policy.under(profile).judge(checked, repeated, now)
    checked = judged.manifest
    if checked.counter == record.manifest_counter:
        unbelieved = [fresh.envelope.payload.ecu for fresh in checked.fresh]
        same = structs.replace(checked, fresh=(), refused=(*checked.refused, *unbelieved))
        return Taken(manifest=same, changes=Changes(), alerts=judged.alerts)
    return Taken(
        manifest=checked,
        changes=Changes(
            record=structs.replace(
                record,
                manifest_counter=checked.counter,
                manifest=envelope.raw if whole is envelope else record.manifest,
                manifest_received=now,
            ),
            reports=[_stored(fresh, ecus, now) for fresh in checked.fresh],
            directed=confirmations(record.vehicle, [fresh.envelope.payload for fresh in checked.fresh], directed),
        ),
        alerts=judged.alerts,
    )


def known_ecu(ecu: EcuRecord, earlier: Sequence[StoredReport] = ()) -> KnownEcu:
    """What the reports of an ECU are compared with."""
    return KnownEcu(
        key=ecu.key,
        is_primary=ecu.is_primary,
        counter=ecu.report_counter,
        report=ecu.report,
        earlier=tuple([each.report for each in earlier]),
    )


def _stored(
    fresh: FreshReport, ecus: Mapping[EcuIdentifier, EcuRecord], now: datetime
) -> tuple[EcuRecord, StoredReport]:
    payload, report = fresh.envelope.payload, fresh.envelope.raw
    stored = StoredReport(counter=fresh.counter, report=report, received=now, attacks_detected=payload.attacks_detected)
    return structs.replace(ecus[payload.ecu], report_counter=fresh.counter, report=report, report_received=now), stored


def _whole(
    envelope: Envelope[VehicleVersionManifest], last: bytes | None, profile: Profile
) -> Envelope[VehicleVersionManifest]:
    """The manifest, or what a diff stands for: the signature is over the diff, the checks are of the whole."""
    if diff_of(envelope.payload) is None:
        return envelope
    base = None if last is None else profile.format.decode(VehicleVersionManifest, last).payload
    return structs.replace(envelope, payload=applied(envelope.payload, base))


async def _known(transaction: InventoryTransaction, ecu: EcuRecord, profile: Profile) -> KnownEcu:
    if profile.unsafe_no_report_counter and ecu.report is not None:
        return known_ecu(ecu, await transaction.reports(ecu.vehicle, ecu.ecu, EARLIER_REPORTS))
    return known_ecu(ecu)
