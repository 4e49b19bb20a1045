"""Which delegated role may list which image: the walk of a client through the delegations (5.4.4.7), without files."""

import hashlib
from collections.abc import Mapping

from uptane.metadata.delegations import TARGETS_ROLE, DelegatedRole, Delegation
from uptane.metadata.errors import DelegationError
from uptane.metadata.identifiers import HardwareIdentifier, ImagePath, RoleName
from uptane.metadata.targets import Image, Targets
from uptane.verification.limits import DEFAULT_LIMITS, Limits
from uptane.verification.multi_role import agree

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
    return _Walk(contents, path, hardware_ids, limits, role).visit(TARGETS_ROLE, 0) is _ASKED


def found_by_clients(
    contents: Contents,
    path: ImagePath,
    hardware_id: HardwareIdentifier | None,
    limits: Limits = DEFAULT_LIMITS,
) -> Image | None:
    """What a client finds for an image now, by the rules of `resolve_delegations`.

    Args:
        contents: what each role lists.
        path: the image.
        hardware_id: the ECU's hardware; None when it is not known.
        limits: how many delegations a client follows.

    Returns:
        The entry; None where no role with authority lists it, and where a client would give up.
    """
    hardware_ids = None if hardware_id is None else (hardware_id,)
    try:
        found = _Walk(contents, path, hardware_ids, limits).visit(TARGETS_ROLE, 0)
    except DelegationError:
        return None
    return found if isinstance(found, Image) else None


def delegations_by_role(
    contents: Contents, top: RoleName = TARGETS_ROLE, *, with_images: bool = False
) -> Mapping[RoleName, list[tuple[RoleName, DelegatedRole]]]:
    """Each role that a chain of delegations leads to, with those who delegate to it and how, from the top down.

    Args:
        contents: what each role lists.
        top: where the chains begin; it is among those found.
        with_images: passes by the delegations that cover no path, so that nobody is asked for an image because of them.
    """
    found: dict[RoleName, list[tuple[RoleName, DelegatedRole]]] = {top: []}
    waiting = [top]
    for delegator in waiting:
        for delegation in contents[delegator].delegations.delegations if delegator in contents else ():
            if with_images and not (delegation.paths or delegation.path_hash_prefixes):
                continue
            for delegated in delegation.roles:
                if delegated.name not in found:
                    found[delegated.name] = []
                    waiting.append(delegated.name)
                found[delegated.name].append((delegator, delegated))
    return found


class _Mark:
    """How a walk ends that does not find an image."""


_ASKED, _STOPPED = _Mark(), _Mark()
"""The role would be asked; a terminating delegation found nothing."""


class _Walk:
    """One image on its way through the delegations.

    Args:
        contents, path, hardware_ids, limits: as of the functions above.
        role: the role that is looked for; None looks for the image.
    """

    def __init__(
        self,
        contents: Contents,
        path: ImagePath,
        hardware_ids: tuple[HardwareIdentifier, ...] | None,
        limits: Limits,
        role: RoleName | None = None,
    ) -> None:
        self._contents = contents
        self._path = path
        self._path_sha256 = hashlib.sha256(path.encode()).hexdigest()
        self._hardware_ids = None if hardware_ids is None else frozenset(map(str, hardware_ids))
        self._limits = limits
        self._role = role
        self._steps = iter(range(limits.delegations))
        self._visited: set[tuple[str, str]] = set()

    def visit(self, name: RoleName, depth: int) -> Image | _Mark | None:
        if name == self._role:
            return _ASKED
        if name not in self._contents:
            return None
        image = self._contents[name].images.get(self._path)
        if image is not None and self._role is None:
            return image
        for delegation in self._contents[name].delegations.toward(self._path_sha256):
            if not delegation.covers(self._path, self._path_sha256, self._hardware_ids):
                continue
            if delegation.group is None:
                found = self._descend(name, delegation.roles[0].name, depth)
            else:
                found = self._ask_group(name, delegation, depth)
            if found is not None:
                return found
            if delegation.terminating:
                return _STOPPED
        return None

    def _ask_group(self, delegator: RoleName, delegation: Delegation, depth: int) -> Image | _Mark | None:
        answers, visited = list[Image | None](), self._visited
        for member in delegation.roles:
            self._visited = set(visited)  # what one member found must not be hidden from the next
            found = self._descend(delegator, member.name, depth)
            if found is _ASKED:
                return found
            answers.append(found if isinstance(found, Image) else None)
        self._visited = visited
        return agree(answers, delegation.min_roles_in_agreement)

    def _descend(self, delegator: RoleName, name: RoleName, depth: int) -> Image | _Mark | None:
        if (delegator, name) in self._visited:
            return None
        self._visited.add((delegator, name))
        if depth >= self._limits.delegation_depth or next(self._steps, None) is None:
            raise DelegationError(
                f"the delegations for {self._path} are deeper than {self._limits.delegation_depth} or more than "
                f"{self._limits.delegations}: no client follows them",
                role=str(name),
                image=self._path,
            )
        return self.visit(name, depth + 1)
