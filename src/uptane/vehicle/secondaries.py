"""A Primary's side of its Secondaries: their keys, their latest reports, and what is ready for them."""

import threading
from collections.abc import Iterable
from contextlib import suppress

from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import (
    EndlessDataError,
    SecurityError,
    SpoofingError,
    UnknownEcuError,
    UnknownVehicleError,
    UnreachableError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.targets import Image, ImageFile
from uptane.metadata.version_report import EcuVersionReport, check_nonce
from uptane.vehicle.blocks import Backups, BlockReader
from uptane.vehicle.decryption import delivered
from uptane.vehicle.distribution import Handout, Offer
from uptane.vehicle.installation import slot_of
from uptane.vehicle.memory import EcuMemory
from uptane.vehicle.ports import ImageSlots
from uptane.vehicle.version_reports import LOST, described
from uptane.verification.check_manifest import KnownEcu, check_report
from uptane.verification.full_verification import VerifiedBundle, full_verification
from uptane.verification.held_files import HeldFiles
from uptane.verification.match_images import EcuFacts
from uptane.verification.steps import run

MAX_SECONDARIES = 255
"""Secondaries of one Primary; a vehicle has some 150 ECUs, and whoever can reach the door could add any number."""

MAX_REPORT_BYTES = 5_000
"""Bytes of one version report, which has some 700, or 3,000 with the longest attack description. Those of all
Secondaries together must fit into what the Director takes as one manifest."""

_NO_KEY = b""

_REFUSED_ALONE = "secondaries/refused"
"""Where it is kept that the last cycle refused some images alone."""


class Secondaries:
    """The Secondaries of one Primary. Its methods may be called from other threads than the update cycle.

    Args:
        memory: the Primary's memory, in which registrations and reports outlive a power cut.
        slots: the Primary's images.
    """

    def __init__(self, memory: EcuMemory, slots: ImageSlots) -> None:
        self._memory = memory
        self._slots = slots
        self._offer = Offer()
        self._transfers = threading.Lock()
        self._blocks = BlockReader(slots)
        self._backups = Backups(memory, slots, self._running)
        if memory.read("attestation") is not None:
            self._restore()

    def _restore(self) -> None:
        """After a restart, what was verified before is available again, unless it would not be verified any more.

        Where images were refused alone, nothing of that cycle was kept, and what was would be older than what some
        Secondaries have got since: it would look like an attack.
        """
        if self._memory.read(_REFUSED_ALONE) is not None:
            return
        memory, known = self._memory, self._memory.known_repositories(self._memory.state.time)
        procedure = full_verification(
            repository_map=memory.map,
            repositories=known,
            ecus={memory.ecu: memory.facts} | self.facts(),
            knows_whole_vehicle=True,
        )
        held = HeldFiles(known)
        with suppress(SecurityError, UnreachableError):
            self.publish(run(procedure, held, held))

    def register_new_secondary(self, ecu: EcuIdentifier, key: bytes | None = None) -> None:
        """Adds a Secondary; the first key wins.

        Args:
            ecu: its identifier.
            key: its public key in the vehicle's format; without one its reports cannot be accepted yet.

        Raises:
            SpoofingError: another key was registered for it, the key is that of another Secondary, it is the Primary,
                or it or its key was retired.
            UptaneError: there are MAX_SECONDARIES already.
            FormatError: not a key.
        """
        codec = self._memory.profile.format
        # Where no Secondary has a key to hand in, one that comes is a stranger's, and would silence the Secondary.
        keyless = key is None or self._memory.profile.unsafe_unverified_reports
        offered = _NO_KEY if key is None or keyless else codec.encode_key(codec.decode_key(key))
        with self._memory.lock:
            if ecu == self._memory.ecu:
                raise SpoofingError(f"ECU {ecu} is the Primary itself", ecu=ecu)
            self._refuse_retired(ecu, offered)
            self._require_own_key(ecu, offered)
            known = self._memory.read(_key_name(ecu))
            if known is None and len(self.known()) >= MAX_SECONDARIES:
                raise UptaneError(
                    f"this Primary has {MAX_SECONDARIES} Secondaries, and cannot take {ecu}",
                    next_step="Provision the Primary again if most of them are not real.",
                    ecu=ecu,
                )
            if known is None or (known == _NO_KEY and offered):
                self._memory.write({_key_name(ecu): offered})
            elif offered and offered != known:
                raise SpoofingError(
                    f"another key is registered for Secondary {ecu}",
                    next_step="Only the ECU that registered first may use this serial; choose another one.",
                    ecu=ecu,
                )

    def _require_own_key(self, ecu: EcuIdentifier, offered: bytes) -> None:
        for other in self.known():
            if self._memory.profile.unsafe_shared_keys:
                return
            if offered and other != ecu and self._memory.read(_key_name(other)) == offered:
                raise SpoofingError(
                    f"the key of ECU {ecu} is that of Secondary {other}",
                    next_step="Make a key for this ECU alone.",
                    ecu=ecu,
                    owner=other,
                )

    def retire_secondary(self, ecu: EcuIdentifier) -> None:
        """A workshop has taken a Secondary out: its key, report and nonce are forgotten, and it does not come back.

        Attacks that it reported and the Director has not got yet are told by the Primary. No door offers this; whoever
        takes its place registers as every Secondary does.

        Raises:
            UnknownEcuError: not ours.
        """
        with self._memory.lock:
            self._require(ecu)
            if not self._memory.profile.unsafe_unverified_reports:
                self._keep_attacks(ecu)
            gone: dict[str, bytes | None] = dict.fromkeys(self._memory.names(f"secondary/{ecu}/"))
            self._memory.write(gone | {_retired_name(ecu): self._memory.require(_key_name(ecu))})
            self._offer = self._offer.without(ecu)
        with self._transfers:
            self._blocks.forget(ecu)
            self._backups.forget(ecu)

    def _refuse_retired(self, ecu: EcuIdentifier, offered: bytes) -> None:
        for name in self._memory.names(_retired_name("")):
            same_key = offered and not self._memory.profile.unsafe_shared_keys and self._memory.read(name) == offered
            if same_key or name == _retired_name(ecu):
                retired = name.removeprefix(_retired_name(""))
                raise SpoofingError(
                    f"Secondary {retired} was taken out of this vehicle, and does not come back as {ecu}",
                    next_step="Give a part that is built in again a new identifier and a new key.",
                    ecu=ecu,
                    owner=retired,
                )

    def known(self) -> tuple[EcuIdentifier, ...]:
        """Every registered Secondary."""
        return tuple(
            EcuIdentifier(name.split("/")[1]) for name in self._memory.names("secondary/") if name.endswith("/key")
        )

    def register_ecu_manifest(self, vehicle: VehicleIdentifier, ecu: EcuIdentifier, nonce: int, report: bytes) -> None:
        """Verifies and stores a Secondary's version report, durably (STD-5.4.3.6-2).

        Attacks in an earlier report that the Director has not got yet are told by the Primary instead.

        Raises:
            UnknownVehicleError, UnknownEcuError: not ours.
            SpoofingError: the report is of another ECU, or its signed nonce is another one.
            BadSignatureError, ReplayedReportError, FormatError: see `check_report`.
        """
        if vehicle != self._memory.vehicle:
            raise UnknownVehicleError(
                f"this Primary is in vehicle {self._memory.vehicle}, not in {vehicle}",
                next_step="Give the Secondary the port of its own vehicle's Primary.",
                vehicle=vehicle,
            )
        self._require(ecu)
        if len(report) > MAX_REPORT_BYTES:
            raise EndlessDataError(
                f"the version report of {ecu} has {len(report)} bytes, more than the {MAX_REPORT_BYTES} allowed",
                ecu=ecu,
            )
        envelope = self._memory.profile.format.decode(EcuVersionReport, report)
        with self._memory.lock:
            fresh = self._is_new(envelope, ecu)
            if envelope.payload.nonce not in (nonce, None):
                raise SpoofingError(f"the nonce sent for {ecu} is not the one in its signed report", ecu=ecu)
            if fresh and not self._memory.profile.unsafe_unverified_reports:
                self._keep_attacks(ecu)
            changes = {_report_name(ecu): report} if fresh else {}
            self._memory.write(changes | {_nonce_name(ecu): str(check_nonce(nonce)).encode()})

    def _is_new(self, envelope: Envelope[EcuVersionReport], ecu: EcuIdentifier) -> bool:
        profile = self._memory.profile
        if profile.unsafe_unverified_reports:
            if envelope.payload.ecu != ecu:
                raise SpoofingError(f"a report of ECU {envelope.payload.ecu} was sent in the name of {ecu}", ecu=ecu)
            return True
        return check_report(envelope, ecu, self._known(ecu), profile=profile, may_repeat=True) is not None

    def _keep_attacks(self, ecu: EcuIdentifier) -> None:
        raw = self._memory.read(_report_name(ecu))
        last = None if raw is None else self._decode(raw).payload
        if last is not None and last.attacks_detected and raw != self._memory.read(_delivered_name(ecu)):
            self._memory.note_attack(described(f"{ecu} reported: {last.attacks_detected}"))

    def delivered(self, reports: Iterable[Envelope[EcuVersionReport]]) -> None:
        """The Director has accepted these reports: the attacks in them need not be told again."""
        told = {
            _delivered_name(report.payload.ecu): report.raw for report in reports if report.payload.attacks_detected
        }
        if told:
            self._memory.write(told)

    def _known(self, ecu: EcuIdentifier) -> KnownEcu:
        raw = self._memory.require(_key_name(ecu))
        if raw == _NO_KEY:
            raise UnknownEcuError(
                f"Secondary {ecu} has registered no key, so its reports cannot be verified",
                next_step="Register it again with its public key.",
                ecu=ecu,
            )
        key = self._memory.profile.format.decode_key(raw)
        last = self._memory.read(_report_name(ecu))
        counter = 0 if last is None else self._decode(last).payload.counter or 0
        return KnownEcu(key=key, is_primary=False, counter=counter, report=last)

    def _decode(self, raw: bytes) -> Envelope[EcuVersionReport]:
        return self._memory.profile.format.decode(EcuVersionReport, raw)

    def _require(self, ecu: EcuIdentifier) -> None:
        if self._memory.read(_key_name(ecu)) is None:
            raise UnknownEcuError(f"ECU {ecu} is not registered with this Primary", ecu=ecu)

    def reports(self) -> list[Envelope[EcuVersionReport]]:
        """The latest report of each Secondary that has made one."""
        found = (self._memory.read(_report_name(ecu)) for ecu in self.known())
        return [self._decode(raw) for raw in found if raw is not None]

    def nonces(self) -> list[int]:
        """The nonces that the Secondaries wait to see in a time attestation."""
        found = (self._memory.read(_nonce_name(ecu)) for ecu in self.known())
        return list(dict.fromkeys(int(raw) for raw in found if raw is not None))

    def facts(self) -> dict[EcuIdentifier, EcuFacts]:
        """What verification needs to know of each Secondary: what it runs, as its latest verified report says.

        Where reports are not verified (`unsafe_unverified_reports`), nobody knows that: a stranger who says that an
        image runs must not keep it away.
        """
        if self._memory.profile.unsafe_unverified_reports:
            return {ecu: EcuFacts() for ecu in self.known()}
        return {ecu: EcuFacts(installed=self._starts_from(ecu)) for ecu in self.known()}

    def publish(self, verified: VerifiedBundle) -> None:
        """Steps 5 to 7: what was verified becomes available to the Secondaries, all at once.

        A Secondary whose image was refused still gets what it could get before (`unsafe_refuse_single_images`).
        """
        handout, refusing = Handout.of(self._memory, verified), bool(verified.refused)
        if refusing != (self._memory.read(_REFUSED_ALONE) is not None):
            self._memory.write({_REFUSED_ALONE: b"1" if refusing else None})
        with self._memory.lock:
            offer = self._offer
            refused = {ecu: offer.of(ecu) for ecu in verified.refused}
            before = {ecu: image for ecu, image in offer.images.items() if ecu in refused}
            self._offer = Offer(handout, refused, {**verified.images, **before})

    def get_time_attestation_for_ecu(self, ecu: EcuIdentifier) -> bytes:
        """The last verified attestation, byte for byte; UnreachableError before the first.

        Where the Director's Root has named other keys of the Timeserver since, it is the last one that the Roots which
        this Secondary can get vouch for.
        """
        self._require(ecu)
        handout = self._offer.of(ecu)
        newest = handout is None or handout.timeserver_keys == self._memory.timeserver_keys
        raw = self._memory.read("attestation") if newest or handout is None else handout.attestation
        if raw is None:
            raise _not_yet("time attestation")
        return raw

    def get_metadata(self, ecu: EcuIdentifier) -> bytes:
        """What this Secondary needs of the last good cycle; UnreachableError before the first."""
        return self._verified(ecu).bundle(ecu)

    def get_partial_metadata(self, ecu: EcuIdentifier) -> bytes:
        """What partial verification needs of it (STD-5.4.2.6-3): the repositories have agreed on it here."""
        return self._verified(ecu).partial

    def _verified(self, ecu: EcuIdentifier) -> Handout:
        self._require(ecu)
        handout = self._offer.of(ecu)
        if handout is None:
            raise _not_yet("metadata")
        return handout

    def update_exists_for_ecu(self, ecu: EcuIdentifier) -> bool:
        """Whether a verified image is here for this Secondary."""
        self._require(ecu)
        image = self._delivered(ecu)
        return image is not None and self._slots.chunks(slot_of(image)) is not None

    def get_image(self, ecu: EcuIdentifier) -> tuple[str, bytes] | None:
        """Name and bytes of the image for this Secondary, or None; encrypted where the Director says so."""
        self._require(ecu)
        image = self._delivered(ecu)
        chunks = None if image is None else self._slots.chunks(slot_of(image))
        return None if image is None or chunks is None else (str(image.file.path), b"".join(chunks))

    def get_image_block(self, ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        """Some bytes of the image for this Secondary, which asks by its stored name; none at the end (STD-5.4.2.7-2).

        Raises:
            UnreachableError: the image for this Secondary is another one now, or none.
        """
        self._require(ecu)
        image = self._delivered(ecu)
        if image is None or slot_of(image) != name:
            raise UnreachableError(
                f"the Primary has another image for ECU {ecu} than {name}, or none", next_step="Run the cycle again."
            )
        with self._transfers:
            return self._blocks.block(ecu, name, offset)

    def back_up(self, ecu: EcuIdentifier, name: str, offset: int, block: bytes) -> bool:
        """See `Backups.take`."""
        self._require(ecu)
        with self._transfers:
            return self._backups.take(ecu, name, offset, block)

    def get_backup_block(self, ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        """See `Backups.block`."""
        self._require(ecu)
        with self._transfers:
            return self._backups.block(ecu, name, offset)

    def stored_names(self) -> frozenset[str]:
        """The stored images that Secondaries can ask for, or still need, whatever the Director directs."""
        return self._backups.names() | {slot_of(delivered(image, ecu)) for ecu, image in self._offer.images.items()}

    def _running(self, ecu: EcuIdentifier) -> ImageFile | None:
        raw = self._memory.read(_report_name(ecu))
        return None if raw is None else self._decode(raw).payload.installed

    def _starts_from(self, ecu: EcuIdentifier) -> ImageFile | None:
        raw = self._memory.read(_report_name(ecu))
        report = None if raw is None else self._decode(raw).payload
        return None if report is None or LOST in report.attacks_detected else report.installed

    def _delivered(self, ecu: EcuIdentifier) -> Image | None:
        image = self._offer.images.get(ecu)
        return None if image is None else delivered(image, ecu)


def _not_yet(what: str) -> UnreachableError:
    return UnreachableError(
        f"the Primary has no verified {what} yet", next_step="Run the Primary's update cycle first: dp.update_cycle()."
    )


def _key_name(ecu: EcuIdentifier) -> str:
    return f"secondary/{ecu}/key"


def _report_name(ecu: EcuIdentifier) -> str:
    return f"secondary/{ecu}/report"


def _nonce_name(ecu: EcuIdentifier) -> str:
    return f"secondary/{ecu}/nonce"


def _retired_name(ecu: str) -> str:
    return f"retired/{ecu}"


def _delivered_name(ecu: EcuIdentifier) -> str:
    return f"secondary/{ecu}/delivered"
