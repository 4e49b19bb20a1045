"""What a supplier hands in, and whether the Image repository may publish it (STD-5.3.1-4, -5).

A supplier holds the keys of a delegated role. He makes and signs its Targets metadata himself, where those keys are,
and hands it in with the images it lists. Nothing of it is visible to anybody before all of it has passed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from uptane.formats.profile import Profile
from uptane.image_repository.authority import Contents, delegations_by_role, found_by_clients, has_authority
from uptane.image_repository.room import check_room
from uptane.metadata.delegations import DelegatedRole, Delegations
from uptane.metadata.envelope import Envelope, Signature
from uptane.metadata.errors import (
    BadSignatureError,
    DelegationError,
    EndlessDataError,
    FormatError,
    ImageRollbackError,
    ReplayedMetadataError,
)
from uptane.metadata.identifiers import ImagePath, KeyId, RepositoryName, RoleName
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import RoleKeys
from uptane.metadata.targets import Custom, Image, ImageFile, Targets
from uptane.signing.ports import MetadataStore
from uptane.signing.publish import Published
from uptane.verification.limits import DEFAULT_LIMITS
from uptane.verification.threshold import check_threshold, valid_signatures
from uptane.verification.trusted import Context

Roles = Mapping[RoleName, Envelope[Targets]]
"""What is published, by role."""

_UPLOAD = RepositoryName("upload")


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """Limits of one upload.

    Args:
        metadata_bytes: bytes of the signed metadata: what a client reads of a Targets file.
        images: images that are new or changed in one upload; each of them is looked up in the delegations.
        image_bytes: bytes of all images that come along: more than a vehicle's ECUs hold together.
        roles: roles of the repository; a client reads a Snapshot of some 20,000.
        supplier_roles: of them, those below each role that the top-level Targets delegate to, with as large a share
            of the Snapshot's bytes: one supplier could otherwise keep all others from new roles.
        snapshot_bytes: bytes of the Snapshot that lists them all, three quarters of what a client reads: with long
            names, one supplier could otherwise make it too long for every vehicle.
        patterns: path patterns in all delegations of the metadata; each image below is compared with every one.
    """

    metadata_bytes: int = DEFAULT_LIMITS.targets_bytes
    images: int = 2000
    image_bytes: int = 64 << 30
    roles: int = 10_000
    supplier_roles: int = 1000
    snapshot_bytes: int = DEFAULT_LIMITS.snapshot_bytes * 3 // 4
    patterns: int = 10_000


DEFAULT_UPLOAD_LIMITS = UploadLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What is handed in.

    Args:
        role: the delegated role.
        metadata: its signed Targets file.
        images: for each image that comes along, what opens its bytes, in pieces.
    """

    role: RoleName
    metadata: bytes
    images: Mapping[ImagePath, Callable[[], Iterable[bytes]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of an upload.

    Args:
        signatures, needed: how many of the role's keys have signed it, and how many must.
        published: what is published with it; None while signatures are missing.
    """

    signatures: int
    needed: int
    published: Published | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedUpload:
    """An upload that may be published as soon as enough of the role's keys have signed it.

    Args:
        role: the delegated role.
        envelope: its metadata.
        signatures: the valid ones by the role's keys.
        keys, role_keys: of the first role that delegates to it.
        changed: the entries that are not published yet.
        files: the images whose bytes come along.
    """

    role: RoleName
    envelope: Envelope[Targets]
    signatures: tuple[Signature, ...]
    keys: Mapping[KeyId, PublicKey]
    role_keys: RoleKeys
    changed: Mapping[ImagePath, Image]
    files: tuple[ImageFile, ...]


def check_upload(
    profile: Profile, roles: Roles, upload: Upload, now: datetime, limits: UploadLimits = DEFAULT_UPLOAD_LIMITS
) -> CheckedUpload:
    """Everything about an upload but how many have signed it, earlier releases of its images, and their bytes.

    Args:
        profile: the format of the repository.
        roles: what is published.
        upload: what was handed in.
        now: UTC.
        limits: sizes and counts.

    Raises:
        EndlessDataError: more bytes, images or roles than the limits allow.
        FormatError: not well formed; bytes of a new image are missing, or an image comes along that is not listed.
        DelegationError: nobody delegates to the role, or nobody for a new image's path and hardware; or it delegates
            to a role of somebody else, or no more to one that is published.
        BadSignatureError: none of the role's keys has signed it.
        ReplayedMetadataError: its version is not the next one (STD-5.2.1-7).
        ExpiredMetadataError: it has expired.
        ImageRollbackError: a release counter is lower than that of the published image, also of another role's where
            clients find that one now (STD-5.2.3.1.1-4).
    """
    role = upload.role
    if len(upload.metadata) > limits.metadata_bytes:
        raise EndlessDataError(
            f"the metadata of role {role} has more than {limits.metadata_bytes} bytes",
            next_step="Delegate a part of its images to a role below it.",
            role=str(role),
        )
    contents = {name: envelope.payload for name, envelope in roles.items()}
    by_role = delegations_by_role(contents)
    if not delegations_by_role(contents, with_images=True).get(role):
        raise DelegationError(
            f"nobody delegates a path to role {role}, so nobody can upload for it",
            next_step="Ask the operator of the repository, or of the role above, for a delegation.",
            role=str(role),
        )
    # Whoever else delegates to it names the same keys, or those from before they were replaced.
    delegator, delegated = by_role[role][0]
    keys, role_keys = contents[delegator].delegations.keys, delegated.keys
    envelope = profile.format.decode(Targets, upload.metadata)
    signatures = tuple(valid_signatures(envelope, keys, role_keys))
    if not signatures:
        check_threshold(envelope, keys, role_keys, repository=_UPLOAD, role=role)
    before = roles.get(role)
    _check_version(role, envelope.payload, before.payload if before else None)
    Context(repository=_UPLOAD, profile=profile, now=now).check_expiry(envelope.payload, role)
    if before is None:
        check_room(
            contents,
            role,
            roles=limits.roles,
            supplier_roles=limits.supplier_roles,
            snapshot_bytes=limits.snapshot_bytes,
        )
    if sum(len(delegation.paths) for delegation in envelope.payload.delegations.delegations) > limits.patterns:
        raise EndlessDataError(f"role {role} delegates with more than {limits.patterns} path patterns", role=str(role))
    _check_delegations(role, envelope.payload.delegations, roles, by_role)
    changed = _changed(role, contents, envelope.payload, limits)
    return CheckedUpload(
        role=role,
        envelope=envelope,
        signatures=signatures,
        keys=keys,
        role_keys=role_keys,
        changed=changed,
        files=_files(upload, envelope.payload, before.payload if before else None, limits),
    )


def with_signatures(profile: Profile, checked: CheckedUpload, waiting: Iterable[bytes]) -> Envelope[Targets]:
    """The metadata with the signatures that others handed in for the same bytes.

    Args:
        profile: the format of the repository.
        checked: the upload.
        waiting: what was handed in before by the role's keys.

    Raises:
        FormatError: it is not written as this project writes it, so signatures cannot be joined.
    """
    found = {signature.key_id: signature for signature in checked.signatures}
    for raw in waiting:
        other = profile.format.decode(Targets, raw)
        if other.message == checked.envelope.message:
            found |= {
                signature.key_id: signature for signature in valid_signatures(other, checked.keys, checked.role_keys)
            }
    if len(found) == len(checked.signatures):
        return checked.envelope
    return signed_with(profile, checked.envelope, tuple(found.values()))


def signed_with(profile: Profile, envelope: Envelope[Targets], signatures: tuple[Signature, ...]) -> Envelope[Targets]:
    """The same metadata under these signatures; raises FormatError as `with_signatures` does."""
    unsigned = profile.format.encode(envelope.payload)
    if unsigned.message != envelope.message:
        raise FormatError(
            "signatures can be joined only on metadata that is written as `uptane supplier sign` does",
            next_step="Collect the signatures before it is handed in, with the tool that made it.",
            field="signatures",
        )
    return profile.format.decode(Targets, profile.format.assemble(unsigned, signatures))


def check_signed_enough(checked: CheckedUpload, envelope: Envelope[Targets]) -> None:
    """Raises BadSignatureError unless it is signed as the role that delegates to it asks for."""
    check_threshold(envelope, checked.keys, checked.role_keys, repository=_UPLOAD, role=checked.role)


async def check_history(profile: Profile, published: MetadataStore, checked: CheckedUpload) -> None:
    """No release counter below one that the role's present keys signed: others' thieves may have raised theirs.

    Raises:
        ImageRollbackError: as `check_counter` does.
    """
    for version in range(checked.envelope.payload.version - 1 if checked.changed else 0, 0, -1):
        raw = await published.read(profile.metadata_name(checked.role, version))
        earlier = None if raw is None else profile.format.decode(Targets, raw)
        if earlier is None or not any(valid_signatures(earlier, checked.keys, checked.role_keys)):
            continue
        for path, image in checked.changed.items():
            check_counter(path, image.custom, earlier.payload.images.get(path))


def check_release(contents: Contents, role: RoleName, path: ImagePath, custom: Custom) -> None:
    """Compares the release counter with that of what the role lists, and of what ECUs find now in whichever role.

    Raises:
        ImageRollbackError: as `check_counter` does.
    """
    hardware = custom.must_match.hardware_ids or (None,)
    before = [found_by_clients(contents, path, each) for each in hardware]
    if role in contents:
        before.append(contents[role].images.get(path))
    for image in before:
        check_counter(path, custom, image)


def check_counter(path: ImagePath, custom: Custom, before: Image | None) -> None:
    """Another image under the same name needs a release counter that is not lower: ECUs would never install it.

    Raises:
        ImageRollbackError: it is lower, or missing where the earlier one has one (STD-5.2.3.1.1-4).
    """
    released = None if before is None else before.custom.must_match.release_counter
    offered = custom.must_match.release_counter
    if released is not None and (offered is None or offered < released):
        listed = "without a release counter" if offered is None else f"with release counter {offered}"
        raise ImageRollbackError(
            f"image {path} would be listed {listed}, after {released}",
            next_step=f"Give it release counter {released + 1} or a higher one (--release {released + 1}).",
            image=path,
            expected=released,
            offered=offered,
        )


def _check_version(role: RoleName, new: Targets, before: Targets | None) -> None:
    expected = 1 if before is None else before.version + 1
    if new.version != expected:
        raise ReplayedMetadataError(
            f"role {role} is handed in with version {new.version}; the next one is {expected}",
            next_step=f"Make version {expected} of it from what is published now, sign that and hand it in.",
            repository=_UPLOAD,
            role=str(role),
            expected=expected,
            offered=new.version,
        )


def _check_delegations(
    role: RoleName,
    delegations: Delegations,
    roles: Roles,
    by_role: Mapping[RoleName, list[tuple[RoleName, DelegatedRole]]],
) -> None:
    """A supplier delegates to roles of its own only: another's name under other keys would take it over.

    What is published of a role stays in every Snapshot (STD-5.4.4.5-6), and so stays with whoever delegated to it: else
    new names in place of old ones would fill it.
    """
    named = {member.name for member in delegations.roles}
    for before in roles[role].payload.delegations.roles if role in roles else ():
        if before.name in roles and before.name not in named:
            raise DelegationError(
                f"role {role} delegates no more to {before.name}, of which Snapshot goes on to list a file",
                next_step="Leave that delegation and take its paths away: then no client asks that role.",
                role=str(before.name),
            )
    for member in delegations.roles:
        for delegator, delegated in by_role.get(member.name, ()):
            if delegator != role and _facts(delegated.keys) != _facts(member.keys):
                raise DelegationError(
                    f"role {role} delegates to {member.name} with other keys than {delegator} does",
                    next_step="Choose another name for that role, or name the same keys and threshold.",
                    role=str(member.name),
                )
        if member.name not in roles:
            continue
        try:
            check_threshold(
                roles[member.name], delegations.keys, member.keys, repository=_UPLOAD, role=str(member.name)
            )
        except BadSignatureError as error:
            raise DelegationError(
                f"role {role} delegates to {member.name} with keys that did not sign what is published of it",
                next_step="Give new keys a role of a new name: clients refuse the file that is there.",
                role=str(member.name),
            ) from error


def named_keys(contents: Contents, role: RoleName) -> set[tuple[frozenset[KeyId], int]]:
    """The keys and the threshold of a role, in each way in which somebody who delegates to it says them."""
    return {_facts(delegated.keys) for _, delegated in delegations_by_role(contents).get(role, ())}


def _facts(keys: RoleKeys) -> tuple[frozenset[KeyId], int]:
    return frozenset(keys.key_ids), keys.threshold


def _changed(role: RoleName, contents: Contents, new: Targets, limits: UploadLimits) -> Mapping[ImagePath, Image]:
    before = contents[role].images if role in contents else {}
    changed = {path: image for path, image in new.images.items() if path not in before or before[path] != image}
    if len(changed) > limits.images:
        raise EndlessDataError(
            f"role {role} changes {len(changed)} images in one upload, more than {limits.images}",
            next_step="Hand them in with several versions, one after the other.",
            role=str(role),
        )
    for path, image in changed.items():
        if not has_authority(contents, role, path, image.custom.must_match.hardware_ids):
            raise DelegationError(
                f"role {role} has no authority over {path}",
                next_step="Ask for a delegation that covers this path and hardware, in it and in every role above it.",
                role=str(role),
                image=path,
            )
        check_release(contents, role, path, image.custom)
    return changed


def _files(upload: Upload, new: Targets, before: Targets | None, limits: UploadLimits) -> tuple[ImageFile, ...]:
    known = before.images if before is not None else {}
    for path, image in new.images.items():
        if path not in upload.images and (path not in known or known[path].file != image.file):
            raise FormatError(f"the bytes of image {path} are missing in the upload", field="images", image=path)
    for path in upload.images:
        if path not in new.images:
            raise FormatError(
                f"image {path} is in the upload, but role {upload.role} does not list it", field="images", image=path
            )
    files = tuple(new.images[path].file for path in upload.images)
    total = sum(file.length for file in files)
    if total > limits.image_bytes:
        raise EndlessDataError(
            f"the images of the upload have {total} bytes, more than {limits.image_bytes}",
            next_step="Hand them in with several versions, one after the other.",
            role=str(upload.role),
        )
    return files
