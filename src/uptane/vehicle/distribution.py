"""The bundles of metadata that a Primary hands to its Secondaries: zip archives of the files they would fetch."""

import io
import zipfile
from collections.abc import Mapping

from uptane.formats.profile import Profile
from uptane.metadata.errors import EndlessDataError, FormatError
from uptane.metadata.identifiers import RepositoryName
from uptane.metadata.root import Role
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import Targets
from uptane.vehicle.memory import EcuMemory, role_name
from uptane.verification.trusted import Held

MAX_BUNDLE_BYTES = 64_000_000
"""Bytes of all files in a bundle, unpacked."""

MAX_BUNDLE_FILES = 10_000
_END_RECORD = 22
_MAX_ENTRY = 46 + 512
"""Bytes of a directory entry, whose name is a repository's, a version and a role's."""

_MONTH = (1980, 1, 1, 0, 0, 0)


def bundle_of(memory: EcuMemory) -> bytes:
    """Everything that is trusted of both repositories after a good cycle, each file under the name it is fetched by.

    Every Root that was ever trusted is in it, so that a Secondary that missed some can follow (STD-5.4.2.6-2).
    """
    files: dict[str, bytes] = {}
    for repository in (memory.director, memory.image_repository):
        files |= _roots(memory, repository)
        for name, raw in _names(memory.profile, memory.held(repository)).items():
            files[place(memory.profile, repository, name)] = raw
    return pack(files)


def partial_bundle_of(memory: EcuMemory) -> bytes:
    """What a Secondary with partial verification needs of it: the Director's Roots and Targets (STD-5.4.2.6-3).

    With `unsafe_partial_without_root` it is the Targets file itself, as archived Primaries hand it over.
    """
    targets = memory.require(role_name(memory.director, Role.TARGETS))
    if memory.profile.unsafe_partial_without_root:
        return targets
    name = place(memory.profile, memory.director, memory.profile.requested_metadata(Role.TARGETS))
    return pack(_roots(memory, memory.director) | {name: targets})


def _roots(memory: EcuMemory, repository: RepositoryName) -> dict[str, bytes]:
    prefix = f"repository/{repository}/root/"
    files: dict[str, bytes] = {}
    for name in memory.names(prefix):  # in the order of their versions
        version = int(name.removeprefix(prefix))
        for naming in (memory.profile.metadata_name, memory.profile.requested_metadata):
            files[place(memory.profile, repository, naming(Role.ROOT, version))] = memory.require(name)
    return files


def place(profile: Profile, repository: RepositoryName, name: str) -> str:
    """Where a file stands in the archive; as on the repository's server where names are plain (POUF-1)."""
    return f"{repository}/metadata/{name}" if profile.unsafe_plain_names else f"{repository}/{name}"


def _names(profile: Profile, held: Held) -> Mapping[str, bytes]:
    snapshot = profile.format.decode(Snapshot, held.files[Role.SNAPSHOT]).payload
    files = {
        profile.requested_metadata(Role.TIMESTAMP): held.files[Role.TIMESTAMP],
        profile.requested_metadata(Role.SNAPSHOT, snapshot.version): held.files[Role.SNAPSHOT],
    }
    for role, listed in snapshot.files.items():
        if role in held.files and _is_listed(profile, held.files[role], listed):
            files[profile.requested_metadata(role, listed.version)] = held.files[role]
    return files


def _is_listed(profile: Profile, raw: bytes, listed: MetadataFile) -> bool:
    """Whether a held file is the one that is listed now; one that was not needed lately may be older."""
    if listed.digests is not None:
        return listed.digests.matches(raw)
    return profile.format.decode(Targets, raw).payload.version == listed.version


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
