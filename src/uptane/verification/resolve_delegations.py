"""How to resolve delegations (5.4.4.7): which role's word counts for an image, in the order of priority."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from uptane.metadata.delegations import TARGETS_ROLE, DelegatedRole, Delegation
from uptane.metadata.errors import DelegationError, ImageNotListedError, UnreachableError
from uptane.metadata.identifiers import HardwareIdentifier, ImagePath, RoleName
from uptane.metadata.root import Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import Image, Targets
from uptane.verification.check_targets import check_targets, listed_file, load_held_targets
from uptane.verification.check_timestamp import floor
from uptane.verification.multi_role import agree
from uptane.verification.plain_tuf import load_targets
from uptane.verification.steps import Fetch, Procedure
from uptane.verification.trusted import Context, Trusted


class _Stop:
    """A terminating delegation found nothing: the search is over, whatever else there is."""


_STOP = _Stop()


@dataclass(slots=True)
class TargetsOfRepository:
    """The Targets roles of an Image repository during one cycle; delegated files are fetched once.

    Args:
        context, root, snapshot, targets: what was checked so far.
        held: files of earlier cycles by role: the floor of versions, and not fetched again while listed unchanged.
        files: every file that was used, by role, byte for byte.
    """

    context: Context
    root: Trusted[Root]
    snapshot: Trusted[Snapshot]
    targets: Trusted[Targets]
    held: Mapping[str, bytes]
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a repository says of an image.

    Args:
        image: its entry; None where no role with authority lists it.
        roles: the delegated roles that were traversed to know this.
    """

    image: Image | None
    roles: frozenset[RoleName]


@dataclass(slots=True)
class _Search:
    """One image on its way through the delegations.

    Args:
        steps: one for each delegated role that may still be visited for this image.
        visited: pairs of delegating and delegated role, none of which is followed twice.
        traversed: the roles whose files were used.
    """

    repository: TargetsOfRepository
    path: ImagePath
    path_sha256: str
    hardware_ids: frozenset[str] | None
    steps: Iterator[int]
    visited: set[tuple[str, str]] = field(default_factory=set)
    traversed: set[RoleName] = field(default_factory=set)


def resolve(
    repository: TargetsOfRepository, path: ImagePath, hardware_ids: frozenset[HardwareIdentifier] | None
) -> Procedure[Image]:
    """The entry for an image, as `look_for` finds it; also raises ImageNotListedError where nobody lists it."""
    answer = yield from look_for(repository, path, hardware_ids)
    if answer.image is None:
        raise not_listed(repository, path)
    return answer.image


def not_listed(repository: TargetsOfRepository, path: ImagePath) -> ImageNotListedError:
    """That nobody with authority lists the image."""
    return ImageNotListedError(
        f"no role of {repository.context.repository} with authority over {path} lists it",
        repository=repository.context.repository,
        image=path,
    )


def look_for(
    repository: TargetsOfRepository, path: ImagePath, hardware_ids: frozenset[HardwareIdentifier] | None
) -> Procedure[Answer]:
    """The entry for an image, by the first role in order of priority that has authority and lists it.

    A terminating delegation is searched with everything below it, and then ends the search (AMB-11).

    Args:
        repository: where to look.
        path: the image.
        hardware_ids: the hardware of the ECUs that shall install it; None when not known, which skips no delegation.

    Raises:
        DelegationError: a role is not listed in the Snapshot, or the delegations are too many or too deep.
        SecurityError: a delegated file failed a check; no other role is asked instead (STD-5.4.4.7-3).
    """
    digest = hashlib.sha256(path.encode()).hexdigest()
    hardware = None if hardware_ids is None else frozenset(map(str, hardware_ids))
    search = _Search(repository, path, digest, hardware, iter(range(repository.context.limits.delegations)))
    found = yield from _visit(search, TARGETS_ROLE, repository.targets, 0)
    return Answer(image=found if isinstance(found, Image) else None, roles=frozenset(search.traversed))


def _visit(search: _Search, name: RoleName, role: Trusted[Targets], depth: int) -> Procedure[Image | _Stop | None]:
    image = role.value.images.get(search.path)
    if image is not None:
        return image
    for delegation in role.value.delegations.toward(search.path_sha256):
        if not delegation.covers(search.path, search.path_sha256, search.hardware_ids):
            continue
        if delegation.group is None:
            found = yield from _descend(search, name, role, delegation.roles[0], depth)
        else:
            found = yield from _ask_group(search, name, role, delegation, depth)
        if found is not None:
            return found
        if delegation.terminating:
            return _STOP
    return None


def _descend(
    search: _Search, parent: RoleName, delegator: Trusted[Targets], role: DelegatedRole, depth: int
) -> Procedure[Image | _Stop | None]:
    if (parent, role.name) in search.visited:
        return None
    search.visited.add((parent, role.name))
    limits = search.repository.context.limits
    if depth >= limits.delegation_depth or next(search.steps, None) is None:
        raise DelegationError(
            f"the delegations for {search.path} are deeper than {limits.delegation_depth} or more than "
            f"{limits.delegations}",
            repository=search.repository.context.repository,
            role=str(role.name),
            image=search.path,
        )
    child = yield from _load(search.repository, delegator, role)
    search.traversed.add(role.name)
    return (yield from _visit(search, role.name, child, depth + 1))


def _ask_group(
    search: _Search, parent: RoleName, delegator: Trusted[Targets], delegation: Delegation, depth: int
) -> Procedure[Image | None]:
    answers: list[Image | None] = []
    for role in delegation.roles:
        alone = replace(search, visited=set(search.visited))  # what one member found must not be hidden from the next
        found = yield from _descend(alone, parent, delegator, role, depth)
        answers.append(found if isinstance(found, Image) else None)
    return agree(answers, delegation.min_roles_in_agreement)


def _load(
    repository: TargetsOfRepository, delegator: Trusted[Targets], role: DelegatedRole
) -> Procedure[Trusted[Targets]]:
    """The delegated role, checked with this delegator's keys even where another delegator's were good before.

    The Snapshot keeps a floor of its own for the role: recovery from a version that a thief raised takes new
    Snapshot keys as well (AMB-7).
    """
    context, name = repository.context, role.name
    if context.profile.unsafe_tuf_role_by_role:
        known = repository.files.get(name) or repository.held.get(name)
        keys = delegator.value.delegations.keys
        loaded = yield from load_targets(context, name, keys, role.keys, repository.snapshot, known)
        repository.files[name] = loaded.raw
        return loaded
    listed = listed_file(context, name, repository.snapshot)
    held = load_held_targets(context, repository.held.get(name))
    raw = repository.files.get(name)
    if raw is None and held is not None and held.value.version == listed.version and _same(held.raw, listed):
        raw = held.raw
    if raw is None:
        limit = min(listed.length or context.limits.targets_bytes, context.limits.targets_bytes)
        file = context.profile.requested_metadata(name, listed.version)
        raw = yield Fetch(context.repository, file, limit)
        if raw is None:
            raise UnreachableError(
                f"{file} of {context.repository} is missing although the Snapshot lists it",
                repository=context.repository,
                role=str(name),
            )
    checked = check_targets(
        context,
        name=name,
        keys=delegator.value.delegations.keys,
        role_keys=role.keys,
        snapshot=repository.snapshot,
        raw=raw,
        held=floor(context, held, delegator.value.delegations.keys, role.keys, name),
    )
    repository.files[name] = raw
    return checked


def _same(raw: bytes, listed: MetadataFile) -> bool:
    return listed.digests is None or listed.digests.matches(raw)
