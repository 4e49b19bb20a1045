"""What an ECU remembers across power cuts: identity, trusted metadata, time, counters, attacks seen."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from uptane.formats.canonical_json import Json, compact, decode_strict
from uptane.formats.json_fields import Fields, read_time, write_time
from uptane.formats.json_images import read_file, write_file
from uptane.formats.profile import Profile
from uptane.metadata.errors import BadTimeAttestationError, FormatError, ProvisioningError
from uptane.metadata.identifiers import (
    EcuIdentifier,
    HardwareIdentifier,
    PathPattern,
    RepositoryName,
    VehicleIdentifier,
)
from uptane.metadata.keys import PublicKey
from uptane.metadata.repository_map import RepositoryKind, RepositoryMap
from uptane.metadata.root import Role
from uptane.metadata.targets import ImageFile
from uptane.metadata.version_report import MAX_ATTACKS_BYTES
from uptane.vehicle.installation_states import RUNNING, Installation, Phase
from uptane.vehicle.ports import EcuStore
from uptane.verification.agreement import KnownRepository
from uptane.verification.match_images import EcuFacts
from uptane.verification.steps import Commit, Keep
from uptane.verification.trusted import Context, Held

NOTHING: Mapping[str, bytes | None] = {}

SEPARATOR = "; "
"""Between attack descriptions in a report."""

CYCLES_WITHOUT_TIME = 100
"""Update cycles after which an ECU without a newly attested time takes no new metadata, unless it was made with another
number: the Standard says "sufficiently recent" and no more (STD-5.4-2, AMB-5)."""


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
        cycles_without_time: update cycles since a time was attested; counted no further than it matters.
        nonce: what the next time attestation must answer.
        installed: the image that runs.
        release_counter: the highest release counter ever installed; None before the first.
        attacks: descriptions of attacks seen and not yet reported.
        installation: how far an installation has come, and the slot of the image that runs.
    """

    counter: int
    manifest_counter: int
    time: datetime
    previous_time: datetime
    nonce: int
    installed: ImageFile
    release_counter: int | None = None
    cycles_without_time: int = 0
    attacks: tuple[str, ...] = ()
    installation: Installation = RUNNING

    def encode(self) -> bytes:
        """The state as JSON."""
        members: dict[str, Json] = {
            "counter": self.counter,
            "manifest_counter": self.manifest_counter,
            "time": write_time(self.time),
            "previous_time": write_time(self.previous_time),
            "cycles_without_time": self.cycles_without_time,
            "nonce": self.nonce,
            "installed": _write(self.installed),
            "release_counter": self.release_counter,
            "attacks": list(self.attacks),
            "installation": _write_installation(self.installation),
        }
        return compact({name: value for name, value in members.items() if value is not None})

    @classmethod
    def decode(cls, raw: bytes) -> "EcuState":
        """The inverse of `encode`; raises FormatError."""
        fields = Fields(decode_strict(raw), "ECU state")
        return cls(
            counter=fields.take("counter", int),
            manifest_counter=fields.take("manifest_counter", int),
            time=read_time(fields.take("time", str), "time"),
            previous_time=read_time(fields.take("previous_time", str), "previous_time"),
            cycles_without_time=fields.optional("cycles_without_time", int) or 0,
            nonce=fields.take("nonce", int),
            installed=_read(fields.take("installed", dict)),
            release_counter=fields.optional("release_counter", int),
            attacks=fields.texts("attacks", str),
            installation=_read_installation(fields.take("installation", dict)),
        )


def _write(file: ImageFile) -> dict[str, Json]:
    return {"path": str(file.path), **write_file(file)}


def _read(members: dict[str, Json]) -> ImageFile:
    file = Fields(members, "image")
    path = file.take("path", str)
    return read_file(path, file.members)


def _write_installation(installation: Installation) -> dict[str, Json]:
    candidate, failed = installation.candidate, installation.failed
    members: dict[str, Json] = {
        "phase": installation.phase.value,
        "active": installation.active,
        "candidate": None if candidate is None else _write(candidate),
        "counter": installation.counter,
        "failed": None if failed is None else _write(failed),
        "failures": installation.failures,
    }
    return {name: value for name, value in members.items() if value is not None}


def _read_installation(members: dict[str, Json]) -> Installation:
    fields = Fields(members, "installation")
    candidate, failed = fields.optional("candidate", dict), fields.optional("failed", dict)
    return Installation(
        phase=_phase(fields.take("phase", str)),
        active=fields.take("active", str),
        candidate=None if candidate is None else _read(candidate),
        counter=fields.optional("counter", int),
        failed=None if failed is None else _read(failed),
        failures=fields.take("failures", int),
    )


def _phase(text: str) -> Phase:
    try:
        return Phase(text)
    except ValueError as error:
        raise FormatError(f"an installation cannot be {text!r}", field="phase") from error


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
        self.verification = _kind(identity.optional("verification", str))
        self.map: RepositoryMap = profile.format.decode_map(self.require("map"))
        require_directed(self.map, self.ecu)
        self.director = self.map.director
        self.timeserver_key: PublicKey = profile.format.decode_key(self.require("key/timeserver"))
        for repository in self.repositories:
            # Other roles may be gone for good reason: a new Root makes the ECU forget those whose keys have changed.
            self.require(role_name(repository, Role.ROOT))

    @property
    def repositories(self) -> tuple[RepositoryName, ...]:
        """Those whose metadata it verifies, the Director first: a partial Secondary asks the Director only."""
        if self.verification is not VerificationKind.FULL:
            return (self.director,)
        others = (repository.name for repository in self.map.repositories if repository.name != self.director)
        return (self.director, *others)

    def require_full_verification(self) -> None:
        """Raises ProvisioningError where the ECU is made for less: a Primary never is (STD-3.2.2.1-1)."""
        if self.verification is not VerificationKind.FULL:
            raise ProvisioningError(
                f"ECU {self.ecu} was provisioned for {self.verification} verification, and a Primary verifies it all",
                next_step="Provision it with the metadata of every repository of its map.",
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
        return EcuFacts(
            hardware_id=self.hardware_id,
            release_counter=self.state.release_counter,
            is_self=True,
            image_patterns=self.image_patterns,
            installed=self.state.installed,
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
        vehicle = self.vehicle if repository in self.map.of_kind(RepositoryKind.DIRECTOR) else None
        return Context(repository=repository, profile=self.profile, now=now, vehicle=vehicle)

    def held(self, repository: RepositoryName) -> Held:
        """What is trusted of a repository."""
        prefix = f"repository/{repository}/role/"
        files = {name.removeprefix(prefix): self.require(name) for name in self.names(prefix)}
        return Held(root=files.pop(Role.ROOT), files=files)

    def known_repositories(self) -> Mapping[RepositoryName, KnownRepository]:
        """What full verification needs to know of each repository, at the time that was verified last."""
        now = self.state.time
        return {
            name: KnownRepository(context=self.context(name, now), held=self.held(name)) for name in self.repositories
        }

    def miss_time(self) -> None:
        """Counts a cycle that brought no newly attested time."""
        missed = self.state.cycles_without_time + 1
        if missed <= self.cycles_without_time + 1:
            self.change(cycles_without_time=missed)

    def _check_time_is_recent(self) -> None:
        """New metadata is judged by a recent time only: by an old one, whatever is kept back stays valid (TH-26)."""
        state = self.state
        if state.cycles_without_time > self.cycles_without_time:
            raise BadTimeAttestationError(
                f"ECU {self.ecu} has had no attested time in more than {self.cycles_without_time} update cycles, since "
                f"{state.time:%Y-%m-%dT%H:%M:%SZ}, and takes no new metadata",
                next_step="Bring the answers of the Timeserver to it.",
                ecu=self.ecu,
            )

    def keep(self, step: Keep) -> None:
        """Makes a Root durable, beside its predecessors, which a Secondary may still need.

        Raises:
            BadTimeAttestationError: the ECU has had no new time for too long.
        """
        self._check_time_is_recent()
        changes: dict[str, bytes | None] = {
            role_name(step.repository, Role.ROOT): step.raw,
            root_name(step.repository, step.version): step.raw,
        }
        self.write(changes | {role_name(step.repository, role): None for role in step.drop})

    def commit(self, step: Commit) -> None:
        """Makes the files of all repositories durable together; raises as `keep` does."""
        self._check_time_is_recent()
        self.write({role_name(name, role): raw for name, files in step.files.items() for role, raw in files.items()})


def require_directed(asked: RepositoryMap, ecu: EcuIdentifier) -> None:
    """Raises ProvisioningError unless each mapping names the Director and an Image repository (STD-5.4.4.2-1).

    Every image is directed by the Director, and none is installed on its word alone.
    """
    directors, images = (asked.of_kind(kind) for kind in RepositoryKind)
    director = next((name for name in asked.mappings[0].repositories if name in directors), None)
    for number, mapping in enumerate(asked.mappings, 1):
        if director not in mapping.repositories or images.isdisjoint(mapping.repositories):
            raise ProvisioningError(
                f"mapping {number} of the repository map of ECU {ecu} does not name both the Director and an Image "
                "repository",
                next_step="Name in each mapping the same Director, and at least one Image repository.",
                ecu=ecu,
                mapping=number,
            )


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
