"""Which delegated role may list which image: the walk of a client through the delegations (5.4.4.7), without files."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from uptane.metadata.delegations import TARGETS_ROLE, DelegatedRole
from uptane.metadata.errors import DelegationError
from uptane.metadata.identifiers import HardwareIdentifier, ImagePath, RoleName
from uptane.metadata.targets import Targets
from uptane.verification.limits import DEFAULT_LIMITS, Limits

Contents = Mapping[RoleName, Targets]
"""What each Targets role lists, by name, `targets` among them."""


def has_authority(
    contents: Contents,
    role: RoleName,
    path: ImagePath,
    hardware_ids: tuple[HardwareIdentifier, ...] | None,
    limits: Limits = DEFAULT_LIMITS,
) -> bool:
    """Whether a client that looks for the image would ask this role (STD-5.3.1-5).

    The walk is that of `resolve_delegations`: in pre-order, each pair of roles once, no further than a terminating
    delegation. It does not stop at a role that lists the image already: of two with authority the first one counts,
    and the second may still be asked to agree.

    Args:
        contents: what each role lists.
        role: the role that wants to list the image.
        path: the image.
        hardware_ids: the hardware it is for; None when it does not say.
        limits: how many delegations a client follows.

    Raises:
        DelegationError: a client would give up, because the delegations are too many or too deep.
    """
    if role == TARGETS_ROLE:
        return True
    digest = hashlib.sha256(path.encode()).hexdigest()
    hardware = None if hardware_ids is None else frozenset(map(str, hardware_ids))
    walk = _Walk(contents, role, path, digest, hardware, limits, iter(range(limits.delegations)))
    return _visit(walk, TARGETS_ROLE, 0) is _FOUND


def delegations_by_role(contents: Contents) -> Mapping[RoleName, list[tuple[RoleName, DelegatedRole]]]:
    """Each role that a chain of delegations leads to, with those who delegate to it and how, from the top down."""
    found: dict[RoleName, list[tuple[RoleName, DelegatedRole]]] = {TARGETS_ROLE: []}
    waiting = [TARGETS_ROLE]
    for delegator in waiting:
        for delegated in contents[delegator].delegations.roles if delegator in contents else ():
            if delegated.name not in found:
                found[delegated.name] = []
                waiting.append(delegated.name)
            found[delegated.name].append((delegator, delegated))
    return found


class _End:
    """How a walk ends before its last delegation."""


_FOUND, _STOPPED = _End(), _End()


@dataclass(slots=True)
class _Walk:
    contents: Contents
    role: RoleName
    path: ImagePath
    path_sha256: str
    hardware_ids: frozenset[str] | None
    limits: Limits
    steps: Iterator[int]
    visited: set[tuple[str, str]] = field(default_factory=set)


def _visit(walk: _Walk, delegator: RoleName, depth: int) -> _End | None:
    if delegator not in walk.contents:
        return None
    for delegation in walk.contents[delegator].delegations.toward(walk.path_sha256):
        if not delegation.covers(walk.path, walk.path_sha256, walk.hardware_ids):
            continue
        for member in delegation.roles:
            alone = walk if delegation.group is None else replace(walk, visited=set(walk.visited))
            end = _descend(alone, delegator, member.name, depth)
            if end is _FOUND or (end is _STOPPED and delegation.group is None):
                return end
        if delegation.terminating:
            return _STOPPED
    return None


def _descend(walk: _Walk, delegator: RoleName, name: RoleName, depth: int) -> _End | None:
    if (delegator, name) in walk.visited:
        return None
    walk.visited.add((delegator, name))
    if depth >= walk.limits.delegation_depth or next(walk.steps, None) is None:
        raise DelegationError(
            f"the delegations for {walk.path} are deeper than {walk.limits.delegation_depth} or more than "
            f"{walk.limits.delegations}: no client follows them",
            role=str(walk.role),
            image=walk.path,
        )
    return _FOUND if name == walk.role else _visit(walk, name, depth + 1)
