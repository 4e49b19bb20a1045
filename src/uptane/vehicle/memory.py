"""What an ECU remembers across power cuts: identity, trusted metadata, time, counters, attacks seen."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from uptane.formats.canonical_json import Json, compact, decode_strict
from uptane.formats.json_fields import Fields, read_time, write_time
from uptane.formats.json_images import read_file, write_file
from uptane.formats.profile import KINDS, Profile
from uptane.metadata.errors import ProvisioningError
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, RepositoryName, VehicleIdentifier
from uptane.metadata.keys import PublicKey
from uptane.metadata.repository_map import RepositoryKind, RepositoryMap
from uptane.metadata.root import Role, Root
from uptane.metadata.targets import ImageFile
from uptane.metadata.version_report import MAX_ATTACKS_BYTES
from uptane.vehicle.ports import EcuStore
from uptane.verification.match_images import EcuFacts
from uptane.verification.steps import Commit, Keep
from uptane.verification.trusted import Context, Held

NOTHING: Mapping[str, bytes | None] = {}

SEPARATOR = "; "
"""Between attack descriptions in a report."""


class VerificationKind(StrEnum):
    """How an ECU verifies metadata; it is made for one way, and a Primary always for the first (STD-5.4-9, -10)."""

    FULL = "full"
    PARTIAL = "partial"
    """The Director's Root and Targets."""
    PARTIAL_PINNED = "partial with pinned keys"
    """The Director's Targets, under the keys of the Root that the ECU was made with, for good (AMB-17)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EcuState:
    """The small values that change.

    Args:
        counter: of the last report that was made, or that a Primary may make next; begins at the provisioning time in
            microseconds.
        manifest_counter: of the last vehicle manifest that was made, or that may be made next; on a Primary.
        time, previous_time: the last two verified times, UTC.
        nonce: what the next time attestation must answer.
        installed: the image that runs.
        release_counter: the highest release counter ever installed; None before the first.
        attacks: descriptions of attacks seen and not yet reported.
        installing, installing_counter: the image that is being installed and what `release_counter` will be then,
            so that a power cut leaves no doubt about which image runs; None at all other times.
    """

    counter: int
    manifest_counter: int
    time: datetime
    previous_time: datetime
    nonce: int
    installed: ImageFile
    release_counter: int | None = None
    attacks: tuple[str, ...] = ()
    installing: ImageFile | None = None
    installing_counter: int | None = None

    def encode(self) -> bytes:
        """The state as JSON."""
        members: dict[str, Json] = {
            "counter": self.counter,
            "manifest_counter": self.manifest_counter,
            "time": write_time(self.time),
            "previous_time": write_time(self.previous_time),
            "nonce": self.nonce,
            "installed": _write(self.installed),
            "release_counter": self.release_counter,
            "attacks": list(self.attacks),
            "installing": None if self.installing is None else _write(self.installing),
            "installing_counter": self.installing_counter,
        }
        return compact({name: value for name, value in members.items() if value is not None})

    @classmethod
    def decode(cls, raw: bytes) -> "EcuState":
        """The inverse of `encode`; raises FormatError."""
        fields = Fields(decode_strict(raw), "ECU state")
        installing = fields.optional("installing", dict)
        return cls(
            counter=fields.take("counter", int),
            manifest_counter=fields.take("manifest_counter", int),
            time=read_time(fields.take("time", str), "time"),
            previous_time=read_time(fields.take("previous_time", str), "previous_time"),
            nonce=fields.take("nonce", int),
            installed=_read(fields.take("installed", dict)),
            release_counter=fields.optional("release_counter", int),
            attacks=fields.texts("attacks", str),
            installing=None if installing is None else _read(installing),
            installing_counter=fields.optional("installing_counter", int),
        )


def _write(file: ImageFile) -> dict[str, Json]:
    return {"path": str(file.path), **write_file(file)}


def _read(members: dict[str, Json]) -> ImageFile:
    file = Fields(members, "image")
    path = file.take("path", str)
    return read_file(path, file.members)


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
        self.verification = _kind(identity.optional("verification", str))
        self.map: RepositoryMap = profile.format.decode_map(self.require("map"))
        self.director = self.map.of_kind(RepositoryKind.DIRECTOR).name
        self.image_repository = self.map.of_kind(RepositoryKind.IMAGE).name
        self.timeserver_key: PublicKey = profile.format.decode_key(self.require("key/timeserver"))
        for repository in self.repositories:
            # Other roles may be gone for good reason: a new Root makes the ECU forget those whose keys have changed.
            self.require(role_name(repository, Role.ROOT))

    @property
    def repositories(self) -> tuple[RepositoryName, ...]:
        """Those whose metadata it verifies: a partial Secondary asks the Director only."""
        full = self.verification is VerificationKind.FULL
        return (self.director, self.image_repository) if full else (self.director,)

    def require_full_verification(self) -> None:
        """Raises ProvisioningError where the ECU is made for less: a Primary never is (STD-3.2.2.1-1)."""
        if self.verification is not VerificationKind.FULL:
            raise ProvisioningError(
                f"ECU {self.ecu} was provisioned for {self.verification} verification, and a Primary verifies it all",
                next_step="Provision it with the metadata of both repositories.",
                ecu=self.ecu,
            )

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
        return EcuFacts(hardware_id=self.hardware_id, release_counter=self.state.release_counter, is_self=True)

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

    def keep(self, step: Keep) -> None:
        """Makes a Root durable, beside its predecessors, which a Secondary may still need."""
        changes: dict[str, bytes | None] = {
            role_name(step.repository, Role.ROOT): step.raw,
            root_name(step.repository, step.version): step.raw,
        }
        self.write(changes | {role_name(step.repository, role): None for role in step.drop})

    def commit(self, step: Commit) -> None:
        """Makes the files of both repositories durable together."""
        self.write({role_name(name, role): raw for name, files in step.files.items() for role, raw in files.items()})


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioning:
    """What an ECU gets in the factory (STD-5.4.1).

    Args:
        vehicle, ecu, hardware_id: its identity.
        repository_map: the repositories and their URLs.
        timeserver_key: verifies time attestations.
        roles: all four roles of both repositories, byte for byte (STD-5.4.1-4); for partial verification the
            Director's Root and Targets, and what else is there is not used (STD-5.4.1-2, -3). Root alone is used where
            the profile has `unsafe_root_only_provisioning`.
        time: the time of provisioning, UTC, whole seconds.
        counter: the time of provisioning in microseconds since 1970: reports count on from it.
        nonce: the first nonce.
        installed: the image that it is made with.
        verification: how it verifies metadata.
    """

    vehicle: VehicleIdentifier
    ecu: EcuIdentifier
    repository_map: RepositoryMap
    timeserver_key: PublicKey
    roles: Mapping[RepositoryName, Mapping[Role, bytes]]
    time: datetime
    counter: int
    nonce: int
    installed: ImageFile
    hardware_id: HardwareIdentifier | None = None
    verification: VerificationKind = VerificationKind.FULL


def provision(store: EcuStore, profile: Profile, what: Provisioning) -> EcuMemory:
    """Writes everything into an empty store, all or nothing, and opens it.

    Raises:
        ProvisioningError: a role of a repository is missing, the store is in use by an ECU already, or it is to follow
            Roots that its Primary does not hand over (`unsafe_partial_without_root`).
        FormatError: a role file is in another format than the profile's.
    """
    if store.read("identity") is not None:
        raise ProvisioningError("this ECU was provisioned before", next_step="Give it an empty folder.")
    identity = {"vehicle": str(what.vehicle), "ecu": str(what.ecu)}
    if what.hardware_id is not None:
        identity["hardware_id"] = str(what.hardware_id)
    if what.verification is not VerificationKind.FULL:
        identity["verification"] = what.verification.value
    state = EcuState(
        counter=what.counter,
        manifest_counter=what.counter,
        time=what.time,
        previous_time=what.time,
        nonce=what.nonce,
        installed=what.installed,
    )
    changes: dict[str, bytes | None] = {
        "identity": compact(identity),
        "map": profile.format.encode_map(what.repository_map),
        "key/timeserver": profile.format.encode_key(what.timeserver_key),
        "state": state.encode(),
    }
    for repository, needed in _needed(profile, what):
        roles = what.roles.get(repository, {})
        for role in needed:
            if role not in roles:
                raise ProvisioningError(f"{role} of {repository} is missing for ECU {what.ecu}", role=role)
            profile.format.decode(KINDS[role], roles[role])  # type: ignore[type-var]
            changes[role_name(repository, role)] = roles[role]
        root = profile.format.decode(Root, roles[Role.ROOT]).payload
        changes[root_name(repository, root.version)] = roles[Role.ROOT]
    store.write(changes)
    return EcuMemory(store, profile)


def _needed(profile: Profile, what: Provisioning) -> Iterator[tuple[RepositoryName, Sequence[Role]]]:
    """The roles of each repository that the ECU must be made with."""
    partial = what.verification is not VerificationKind.FULL
    if what.verification is VerificationKind.PARTIAL and profile.unsafe_partial_without_root:
        raise ProvisioningError(
            f"in {profile.name} a Primary hands no Root on to ECU {what.ecu}, which is to follow it",
            next_step="Pin the keys of the Director, or use full verification.",
            ecu=what.ecu,
        )
    roles = (Role.ROOT, Role.TARGETS) if partial else tuple(Role)
    for repository in what.repository_map.repositories:
        if not partial or repository.kind is RepositoryKind.DIRECTOR:
            yield repository.name, roles[:1] if profile.unsafe_root_only_provisioning else roles
