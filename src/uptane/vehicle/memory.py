"""What an ECU remembers across power cuts: identity, trusted metadata, time, counters, attacks seen."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from uptane.encryption.keys import DecryptionKey
from uptane.formats.canonical_json import decode_strict
from uptane.formats.json_fields import Fields, read_time
from uptane.formats.profile import Profile
from uptane.formats.timeserver_keys import read_timeserver_keys, timeserver_keys_of, write_timeserver_keys
from uptane.metadata.errors import BadTimeAttestationError, ProvisioningError
from uptane.metadata.identifiers import (
    EcuIdentifier,
    HardwareIdentifier,
    PathPattern,
    RepositoryName,
    VehicleIdentifier,
)
from uptane.metadata.keys import PublicKey
from uptane.metadata.repository_map import RepositoryKind, RepositoryMap
from uptane.metadata.root import Role, Root
from uptane.metadata.version_report import MAX_ATTACKS_BYTES
from uptane.vehicle.ecu_state import EcuState
from uptane.vehicle.ports import EcuStore
from uptane.verification.match_images import EcuFacts
from uptane.verification.steps import Commit, Keep
from uptane.verification.trusted import Context, Held

NOTHING: Mapping[str, bytes | None] = {}

SEPARATOR = "; "
"""Between attack descriptions in a report."""

CYCLES_WITHOUT_TIME = 100
"""Update cycles after which an ECU without a newly attested time takes no new metadata, unless it was made with another
number: the Standard says "sufficiently recent" and no more (STD-5.4-2, AMB-5)."""

LONGEST_LEAP_DAYS = 30
"""Days by which an attestation may lead beyond the last good cycle without metadata that vouches for it, unless the ECU
was made with another number: longer than a car is parked as a rule, and the most that a stolen key can deny (TH-24)."""

UNSAFE_CLOCK = "unsafe system clock"
"""The source of a time that nobody attested."""

TIMESERVER_KEYS = "keys/timeserver"
"""Where the keys are kept that Root has named; before the first, the one that the ECU was made with counts."""


DECRYPTION_KEY = "key/decryption"
"""Where the secret is kept with which an ECU decrypts its images."""


class VerificationKind(StrEnum):
    """How an ECU verifies metadata; it is made for one way, and a Primary always for the first (STD-5.4-9, -10)."""

    FULL = "full"
    PARTIAL = "partial"
    """The Director's Root and Targets."""
    PARTIAL_PINNED = "partial with pinned keys"
    """The Director's Targets, under the keys of the Root that the ECU was made with, for good (AMB-17)."""


class EcuMemory:
    """The durable memory of one provisioned ECU; also the `Keeper` of its verification procedures.

    A Primary's door and its cycle run in different threads, so every change happens under one lock.

    Args:
        store: where everything is kept.
        profile: the format of what is kept.

    Raises:
        ProvisioningError: something that every ECU must have is missing.
    """

    def __init__(self, store: EcuStore, profile: Profile) -> None:
        self.profile = profile
        self._store = store
        self._last_state: tuple[bytes, EcuState] | None = None
        self.lock = threading.RLock()
        identity = Fields(decode_strict(self.require("identity")), "identity")
        self.vehicle = VehicleIdentifier(identity.take("vehicle", str))
        self.ecu = EcuIdentifier(identity.take("ecu", str))
        hardware = identity.optional("hardware_id", str)
        self.hardware_id = None if hardware is None else HardwareIdentifier(hardware)
        self.image_patterns = _patterns(identity)
        self.storage_limited = identity.optional("storage_limited", bool) or False
        self.cycles_without_time = identity.optional("cycles_without_time", int) or CYCLES_WITHOUT_TIME  # never 0
        days = identity.optional("longest_leap_days", int)
        self.longest_leap = timedelta(days=LONGEST_LEAP_DAYS if days is None else days)
        made_at = identity.optional("made_at", str)
        self.made_at = datetime.min.replace(tzinfo=UTC) if made_at is None else read_time(made_at, "made_at")
        self.judges_by_leap = False
        self.verification = _kind(identity.optional("verification", str))
        self.map: RepositoryMap = profile.format.decode_map(self.require("map"))
        require_basic(self.map, self.ecu)
        self.director = self.map.of_kind(RepositoryKind.DIRECTOR).name
        self.image_repository = self.map.of_kind(RepositoryKind.IMAGE).name
        self._first_timeserver_key = profile.format.decode_key(self.require("key/timeserver"))
        decryption_key = store.read(DECRYPTION_KEY)
        self.decryption_key = None if decryption_key is None else DecryptionKey.decode(decryption_key)
        for repository in self.repositories:
            # Other roles may be gone for good reason: a new Root makes the ECU forget those whose keys have changed.
            self.require(role_name(repository, Role.ROOT))

    @property
    def repositories(self) -> tuple[RepositoryName, ...]:
        """Those whose metadata it verifies: a partial Secondary asks the Director only."""
        full = self.verification is VerificationKind.FULL
        return (self.director, self.image_repository) if full else (self.director,)

    @property
    def timeserver_keys(self) -> tuple[PublicKey, ...]:
        """The keys that attest times: those that the Director's Root named last, or the one the ECU was made with."""
        raw = self.read(TIMESERVER_KEYS)
        return (self._first_timeserver_key,) if raw is None else read_timeserver_keys(raw)

    def require_full_verification(self) -> None:
        """Raises ProvisioningError where the ECU is made for less: a Primary never is (STD-3.2.2.1-1)."""
        if self.verification is not VerificationKind.FULL:
            raise ProvisioningError(
                f"ECU {self.ecu} was provisioned for {self.verification} verification, and a Primary verifies it all",
                next_step="Provision it with the metadata of both repositories.",
                ecu=self.ecu,
            )

    def require_separate_keys(self, signing_key: PublicKey) -> None:
        """Raises SpoofingError where the ECU was made to decrypt with the key with which it signs (STD-5.4.1-8)."""
        if self.decryption_key is not None:
            self.decryption_key.encryption_key.require_separate(signing_key, self.ecu)

    def require(self, name: str) -> bytes:
        """A value that must be there; ProvisioningError otherwise."""
        raw = self._store.read(name)
        if raw is None:
            raise ProvisioningError(f"the ECU was not provisioned with {name}", name=name)
        return raw

    def read(self, name: str) -> bytes | None:
        """A value, or None."""
        return self._store.read(name)

    def names(self, prefix: str) -> tuple[str, ...]:
        """The names under a prefix, sorted."""
        return self._store.names(prefix)

    def write(self, changes: Mapping[str, bytes | None]) -> None:
        """Changes values, all or none."""
        with self.lock:
            self._store.write(changes)

    @property
    def state(self) -> EcuState:
        """The small values, as last written."""
        raw, last = self.require("state"), self._last_state
        if last is None or last[0] != raw:
            last = self._last_state = raw, EcuState.decode(raw)
        return last[1]

    def change(self, values: Mapping[str, bytes | None] = NOTHING, /, **changes: object) -> EcuState:
        """Replaces fields of the state, and `values` together with them, durably, before it returns."""
        with self.lock:
            state = replace(self.state, **changes)  # type: ignore[arg-type]
            self._store.write({**values, "state": state.encode()})
            return state

    @property
    def facts(self) -> EcuFacts:
        """What verification needs to know of this ECU."""
        return EcuFacts(
            hardware_id=self.hardware_id,
            release_counter=self.state.release_counter,
            is_self=True,
            image_patterns=self.image_patterns,
        )

    def note_attack(self, description: str) -> None:
        """Remembers an attack for the next report; the same one again, or one too many, changes nothing."""
        with self.lock:
            attacks = (*self.state.attacks, description)
            if description not in attacks[:-1] and len(SEPARATOR.join(attacks).encode()) <= MAX_ATTACKS_BYTES:
                self.change(attacks=attacks)

    def forget_attacks(self, reported: tuple[str, ...]) -> None:
        """Drops attacks that were reported and acknowledged; ones seen since then stay."""
        with self.lock:
            left = tuple(attack for attack in self.state.attacks if attack not in reported)
            if left != self.state.attacks:
                self.change(attacks=left)

    def context(self, repository: RepositoryName, now: datetime) -> Context:
        """The context of checks on one repository."""
        vehicle = self.vehicle if repository == self.director else None
        return Context(repository=repository, profile=self.profile, now=now, vehicle=vehicle)

    def held(self, repository: RepositoryName) -> Held:
        """What is trusted of a repository."""
        prefix = f"repository/{repository}/role/"
        files = {name.removeprefix(prefix): self.require(name) for name in self.names(prefix)}
        return Held(root=files.pop(Role.ROOT), files=files)

    def miss_time(self) -> None:
        """Counts a cycle that brought no newly attested time."""
        missed = self.state.cycles_without_time + 1
        if missed <= self.cycles_without_time + 1:
            self.change(cycles_without_time=missed)

    def _check_time_is_recent(self) -> None:
        """New metadata is judged by a recent time only: by an old one, whatever is kept back stays valid (TH-26)."""
        state = self.state
        if self.judges_by_leap:
            return
        if state.cycles_without_time > self.cycles_without_time:
            raise BadTimeAttestationError(
                f"ECU {self.ecu} has had no attested time in more than {self.cycles_without_time} update cycles, since "
                f"{state.time:%Y-%m-%dT%H:%M:%SZ}, and takes no new metadata",
                next_step="Bring the answers of the Timeserver to it.",
                ecu=self.ecu,
            )

    def keep(self, step: Keep) -> None:
        """Makes a Root durable, beside its predecessors, which a Secondary may still need.

        A Director's Root brings the Timeserver's keys with it. It is kept whatever the time is, since without it an ECU
        could not verify any time again, and a chain of Roots only leads forward.

        Raises:
            BadTimeAttestationError: the ECU has had no new time for too long.
            FormatError: what a Director's Root calls the Timeserver's keys are none.
        """
        if step.repository != self.director:
            self._check_time_is_recent()
        changes: dict[str, bytes | None] = {
            role_name(step.repository, Role.ROOT): step.raw,
            root_name(step.repository, step.version): step.raw,
        }
        if step.repository == self.director:
            changes |= named_timeserver_keys(self.profile.format.decode(Root, step.raw).payload)
        self.write(changes | {role_name(step.repository, role): None for role in step.drop})

    def commit(self, step: Commit) -> None:
        """Makes the files of both repositories durable together; raises as `keep` does."""
        self._check_time_is_recent()
        self.write({role_name(name, role): raw for name, files in step.files.items() for role, raw in files.items()})


def require_basic(asked: RepositoryMap, ecu: EcuIdentifier) -> None:
    """Raises ProvisioningError for a map that asks for more than is verified: it must not look as if it were obeyed."""
    if not asked.is_basic:
        raise ProvisioningError(
            f"the repository map of ECU {ecu} is not the basic one, by which the Director and the Image repository "
            "sign for every image, and no other is verified yet",
            next_step="Give it a map of these two, with one mapping of `*` to both.",
            ecu=ecu,
        )


def named_timeserver_keys(root: Root) -> dict[str, bytes | None]:
    """What to keep of a Root that names the Timeserver's keys; nothing of one that does not, which changes nothing."""
    keys = timeserver_keys_of(root)
    return {TIMESERVER_KEYS: write_timeserver_keys(keys)} if keys else {}


def _patterns(identity: Fields) -> tuple[PathPattern, ...]:
    return identity.texts("image_patterns", PathPattern) if "image_patterns" in identity.members else ()


def _kind(text: str | None) -> VerificationKind:
    try:
        return VerificationKind.FULL if text is None else VerificationKind(text)
    except ValueError as error:
        raise ProvisioningError(f"the ECU was provisioned for the unknown verification {text!r}") from error


def role_name(repository: RepositoryName, role: str) -> str:
    """Where the newest trusted file of a role is kept."""
    return f"repository/{repository}/role/{role}"


def root_name(repository: RepositoryName, version: int) -> str:
    """Where each Root is kept that was trusted on the way."""
    return f"repository/{repository}/root/{version:010d}"
