"""What an ECU gets in the factory (5.4.1), and how that becomes its memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from uptane.encryption.keys import DecryptionKey
from uptane.formats.canonical_json import Json, compact
from uptane.formats.json_fields import write_time
from uptane.formats.profile import KINDS, Profile
from uptane.metadata.errors import ProvisioningError
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
from uptane.metadata.targets import ImageFile
from uptane.vehicle.ecu_state import EcuState
from uptane.vehicle.memory import (
    CYCLES_WITHOUT_TIME,
    DECRYPTION_KEY,
    LONGEST_LEAP_DAYS,
    EcuMemory,
    VerificationKind,
    named_timeserver_keys,
    require_basic,
    role_name,
    root_name,
)
from uptane.vehicle.ports import EcuStore

MAX_LEAP_DAYS = 3_652_058
"""From the first to the last day that a time can name: no bound at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioning:
    """What an ECU gets in the factory (STD-5.4.1).

    Args:
        vehicle, ecu, hardware_id: its identity.
        repository_map: the repositories and their URLs.
        timeserver_key: verifies time attestations; where the Director's Root names keys for that, they count instead.
        roles: all four roles of both repositories, byte for byte (STD-5.4.1-4); for partial verification the
            Director's Root and Targets, and what else is there is not used (STD-5.4.1-2, -3). Root alone is used where
            the profile has `unsafe_root_only_provisioning`.
        time: the time of provisioning, UTC, whole seconds.
        counter: the time of provisioning in microseconds since 1970: reports count on from it.
        nonce: the first nonce.
        installed: the image that it is made with.
        verification: how it verifies metadata.
        image_patterns: the names of the images that it may install (AMB-18); any when empty.
        cycles_without_time: update cycles, from 1, after which it takes no new metadata until a time is attested
            (AMB-5).
        longest_leap_days: by how many days an attestation may lead beyond the last good cycle without metadata that
            vouches for it; see `AttestedTime`.
        storage_limited: whether it has room for one image only, which a new one is streamed over (AMB-14).
        decryption_key: reads images that are encrypted for it; a key for nothing else (STD-5.4.1-8).
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
    image_patterns: tuple[PathPattern, ...] = ()
    cycles_without_time: int = CYCLES_WITHOUT_TIME
    longest_leap_days: int = LONGEST_LEAP_DAYS
    storage_limited: bool = False
    decryption_key: DecryptionKey | None = None


def provision(store: EcuStore, profile: Profile, what: Provisioning) -> EcuMemory:
    """Writes everything into an empty store, all or nothing, and opens it.

    Raises:
        ProvisioningError: a role of a repository is missing, the store is in use by an ECU already, the map is not the
            basic one, it is to decrypt and has room for one image only, or it is to follow Roots that its Primary does
            not hand over (`unsafe_partial_without_root`).
        FormatError: a role file is in another format than the profile's.
    """
    if store.read("identity") is not None:
        raise ProvisioningError("this ECU was provisioned before", next_step="Give it an empty folder.")
    require_basic(what.repository_map, what.ecu)
    if what.storage_limited and what.decryption_key is not None:
        raise ProvisioningError(
            f"ECU {what.ecu} has room for one image only, of which its Primary keeps a copy in plain, so it "
            "cannot keep an encrypted one to itself",
            next_step="Make it with two slots, or without a decryption key.",
            ecu=what.ecu,
        )
    if what.cycles_without_time < 1:
        raise ProvisioningError(
            f"ECU {what.ecu} cannot do with {what.cycles_without_time} update cycles without an attested time",
            next_step="Allow at least one.",
            ecu=what.ecu,
        )
    if not 0 <= what.longest_leap_days <= MAX_LEAP_DAYS:
        raise ProvisioningError(
            f"ECU {what.ecu} cannot bound leaps of time by {what.longest_leap_days} days",
            next_step=f"Name a number from 0 to {MAX_LEAP_DAYS}.",
            ecu=what.ecu,
        )
    identity: dict[str, Json] = {"vehicle": str(what.vehicle), "ecu": str(what.ecu), "made_at": write_time(what.time)}
    if what.hardware_id is not None:
        identity["hardware_id"] = str(what.hardware_id)
    if what.verification is not VerificationKind.FULL:
        identity["verification"] = what.verification.value
    if what.image_patterns:
        identity["image_patterns"] = list(what.image_patterns)
    if what.cycles_without_time != CYCLES_WITHOUT_TIME:
        identity["cycles_without_time"] = what.cycles_without_time
    if what.longest_leap_days != LONGEST_LEAP_DAYS:
        identity["longest_leap_days"] = what.longest_leap_days
    if what.storage_limited:
        identity["storage_limited"] = True
    state = EcuState(
        counter=what.counter,
        manifest_counter=what.counter,
        time=what.time,
        previous_time=what.time,
        nonce=what.nonce,
        installed=what.installed,
        time_source=what.timeserver_key.key_id,
    )
    changes: dict[str, bytes | None] = {
        "identity": compact(identity),
        "map": profile.format.encode_map(what.repository_map),
        "key/timeserver": profile.format.encode_key(what.timeserver_key),
        "state": state.encode(),
    }
    if what.decryption_key is not None:
        changes[DECRYPTION_KEY] = what.decryption_key.encode()
    for repository, needed in _needed(profile, what):
        roles = what.roles.get(repository, {})
        for role in needed:
            if role not in roles:
                raise ProvisioningError(f"{role} of {repository} is missing for ECU {what.ecu}", role=role)
            profile.format.decode(KINDS[role], roles[role])  # type: ignore[type-var]
            changes[role_name(repository, role)] = roles[role]
        root = profile.format.decode(Root, roles[Role.ROOT]).payload
        changes[root_name(repository, root.version)] = roles[Role.ROOT]
        if what.repository_map.of_kind(RepositoryKind.DIRECTOR).name == repository:
            changes |= named_timeserver_keys(root)
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
