"""The bundles of metadata that a Primary hands to its Secondaries: zip archives of the files they would fetch."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from uptane.formats.profile import Profile
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import EndlessDataError, FormatError
from uptane.metadata.identifiers import EcuIdentifier, RepositoryName, RoleName
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import Role
from uptane.metadata.targets import Image
from uptane.vehicle.memory import EcuMemory
from uptane.verification.agreement import Needs
from uptane.verification.full_verification import VerifiedBundle
from uptane.verification.one_repository import VerifiedRepository

MAX_BUNDLE_BYTES = 64_000_000
"""Bytes of all files in a bundle, unpacked."""

MAX_BUNDLE_FILES = 10_000
_END_RECORD = 22
_MAX_ENTRY = 46 + 512
"""Bytes of a directory entry, whose name is a repository's, a version and a role's."""

_MONTH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handout:
    """What a good cycle has verified, and what of it each Secondary gets (STD-5.4.2.6).

    Args:
        profile: the names of files.
        top_level: by repository, every Root that was ever trusted, so that a Secondary that missed some can follow
            (STD-5.4.2.6-2), and Timestamp, Snapshot and Targets, each under the name by which it is fetched.
        delegated: by repository, the files of delegated roles, and their names.
        needs: what each image was looked for in.
        always: the repositories that every Secondary verifies.
        partial: what a Secondary with partial verification gets (STD-5.4.2.6-3): the Director's Roots and Targets, or
            with `unsafe_partial_without_root` the Targets file itself, as archived Primaries hand it over.
        timeserver_keys: those that the Director's newest Root in it names.
        attestation: the last one under these keys; None where a clock took the Timeserver's place.
    """

    profile: Profile
    top_level: Mapping[RepositoryName, Mapping[str, bytes]]
    delegated: Mapping[RepositoryName, Mapping[RoleName, tuple[str, bytes]]]
    needs: Mapping[EcuIdentifier, Needs]
    always: frozenset[RepositoryName]
    partial: bytes
    timeserver_keys: tuple[PublicKey, ...]
    attestation: bytes | None

    @classmethod
    def of(cls, memory: EcuMemory, verified: VerifiedBundle) -> "Handout":
        """The files of a cycle, beside the Roots that the Primary keeps."""
        profile, roots = memory.profile, {name: _roots(memory, name) for name in verified.repositories}
        name, targets = profile.requested_metadata(Role.TARGETS), verified.director.targets.raw
        return cls(
            profile=profile,
            top_level={
                repository: roots[repository] | _top_level(profile, roles)
                for repository, roles in verified.repositories.items()
            },
            delegated={
                repository: _delegated(profile, roles, verified.files[repository])
                for repository, roles in verified.repositories.items()
            },
            needs=verified.needs,
            always=frozenset({memory.director, *memory.map.in_every_mapping}),
            partial=targets
            if profile.unsafe_partial_without_root
            else _packed(profile, {memory.director: roots[memory.director] | {name: targets}}),
            timeserver_keys=memory.timeserver_keys,
            attestation=memory.read("attestation"),
        )

    def bundle(self, ecu: EcuIdentifier) -> bytes:
        """What full verification of one Secondary needs, and nothing besides (STD-5.4.2.6-4).

        Of the repositories that sign for every image, and of those that were asked for its own, the top-level roles;
        and the delegated roles that the search for its image went through.
        """
        needs = self.needs.get(ecu, {})
        return _packed(
            self.profile,
            {
                repository: {**self.top_level[repository]}
                | dict(self.delegated[repository][role] for role in needs.get(repository, ()))
                for repository in self.always.union(needs)
            },
        )


@dataclass(frozen=True, slots=True)
class Offer:
    """What the Secondaries can get: taken as one, and replaced as one, by threads that do not wait for each other."""

    handout: Handout | None = None
    refused: Mapping[EcuIdentifier, Handout | None] = field(default_factory=dict)
    images: Mapping[EcuIdentifier, Image] = field(default_factory=dict)

    def of(self, ecu: EcuIdentifier) -> Handout | None:
        """What one of them can get; None before the first good cycle."""
        return self.refused.get(ecu, self.handout)

    def without(self, ecu: EcuIdentifier) -> "Offer":
        """The same without one that is gone."""
        return replace(
            self,
            refused={other: handout for other, handout in self.refused.items() if other != ecu},
            images={other: image for other, image in self.images.items() if other != ecu},
        )


def _packed(profile: Profile, repositories: Mapping[RepositoryName, Mapping[str, bytes]]) -> bytes:
    return pack(
        {
            place(profile, repository, name): raw
            for repository, files in repositories.items()
            for name, raw in files.items()
        }
    )


def _roots(memory: EcuMemory, repository: RepositoryName) -> dict[str, bytes]:
    prefix = f"repository/{repository}/root/"
    files: dict[str, bytes] = {}
    for name in memory.names(prefix):  # in the order of their versions
        version = int(name.removeprefix(prefix))
        for naming in (memory.profile.metadata_name, memory.profile.requested_metadata):
            files[naming(Role.ROOT, version)] = memory.require(name)
    return files


def place(profile: Profile, repository: RepositoryName, name: str) -> str:
    """Where a file stands in the archive; as on the repository's server where names are plain (POUF-1)."""
    return f"{repository}/metadata/{name}" if profile.unsafe_plain_names else f"{repository}/{name}"


def _top_level(profile: Profile, roles: VerifiedRepository) -> dict[str, bytes]:
    return {
        profile.requested_metadata(Role.TIMESTAMP): roles.timestamp.raw,
        profile.requested_metadata(Role.SNAPSHOT, roles.snapshot.value.version): roles.snapshot.raw,
        profile.requested_metadata(Role.TARGETS, roles.targets.value.version): roles.targets.raw,
    }


def _delegated(
    profile: Profile, roles: VerifiedRepository, files: Mapping[str, bytes]
) -> dict[RoleName, tuple[str, bytes]]:
    return {
        role: (profile.requested_metadata(role, listed.version), files[role])
        for role, listed in roles.snapshot.value.files.items()
        if role in files and role != TARGETS_ROLE
    }


def pack(files: Mapping[str, bytes]) -> bytes:
    """A zip archive; the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _MONTH), files[name])
    return buffer.getvalue()


def _entries(raw: bytes) -> int:
    """The number of entries that the end record tells, which stands at the very end; a comment is not allowed."""
    if len(raw) < _END_RECORD or raw[-_END_RECORD : -_END_RECORD + 4] != b"PK\x05\x06":
        raise FormatError("not a metadata bundle: it has no end record", field="bundle")
    entries = int.from_bytes(raw[-_END_RECORD + 10 : -_END_RECORD + 12], "little")
    if int.from_bytes(raw[-_END_RECORD + 12 : -_END_RECORD + 16], "little") > entries * _MAX_ENTRY:
        raise FormatError("not a metadata bundle: its directory is longer than its entries", field="bundle")
    return entries


class Bundle:
    """A received bundle as a source of files; nothing is ever unpacked onto a disk.

    Args:
        raw: the archive as received.
        profile: how it names files.

    Raises:
        FormatError: not such an archive.
        EndlessDataError: too many files, or too large ones.
    """

    def __init__(self, raw: bytes, profile: Profile) -> None:
        self._profile = profile
        if len(raw) > MAX_BUNDLE_BYTES or _entries(raw) > MAX_BUNDLE_FILES:
            raise EndlessDataError(
                f"the metadata bundle is larger than {MAX_BUNDLE_BYTES} bytes, or holds too many files"
            )
        try:
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                entries = archive.infolist()
                sizes = sum(entry.file_size for entry in entries)
                if len(entries) > MAX_BUNDLE_FILES or sizes > MAX_BUNDLE_BYTES:
                    raise EndlessDataError(
                        f"the metadata bundle holds {len(entries)} files of {sizes} bytes, more than the "
                        f"{MAX_BUNDLE_FILES} of {MAX_BUNDLE_BYTES} that are allowed"
                    )
                if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                    raise FormatError("the metadata bundle is compressed", field="bundle")
                if len({entry.filename for entry in entries}) != len(entries):
                    raise FormatError("the metadata bundle holds one name twice", field="bundle")
                self._files = {entry.filename: archive.read(entry) for entry in entries}
        except (zipfile.BadZipFile, ValueError, OSError, EOFError, NotImplementedError, RuntimeError) as error:
            raise FormatError(f"not a metadata bundle: {error}", field="bundle") from error

    def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        """A file of the bundle; EndlessDataError for one of more than `limit` bytes."""
        raw = self._files.get(place(self._profile, repository, name))
        return raw if raw is None else _within(limit, raw, repository, name)


class BareTargets:
    """A received Targets file as a source of one file.

    Args:
        raw: the file as received.
        director: whose it should be.
        profile: how it is named.
    """

    def __init__(self, raw: bytes, director: RepositoryName, profile: Profile) -> None:
        self._raw = raw
        self._place = director, profile.requested_metadata(Role.TARGETS)

    def fetch(self, repository: RepositoryName, name: str, limit: int) -> bytes | None:
        """The file; EndlessDataError for more than `limit` bytes."""
        return _within(limit, self._raw, repository, name) if (repository, name) == self._place else None


def _within(limit: int, raw: bytes, repository: RepositoryName, name: str) -> bytes:
    if len(raw) > limit:
        raise EndlessDataError(
            f"{name} of {repository} has {len(raw)} bytes, more than the {limit} that are allowed",
            repository=repository,
            role=name,
        )
    return raw
