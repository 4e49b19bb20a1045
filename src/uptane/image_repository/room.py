"""Whether the Image repository has room for one role more: in the Snapshot of all, and in the share of a supplier."""

from collections.abc import Iterable

from uptane.image_repository.authority import Contents, delegations_by_role
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import EndlessDataError
from uptane.metadata.identifiers import RoleName


def check_room(contents: Contents, role: RoleName, *, roles: int, supplier_roles: int, snapshot_bytes: int) -> None:
    """Whether the Snapshot stays one that every client reads when it lists this role too, and leaves others room.

    What counts for a supplier is each published role that a chain of delegations leads to from his own, which the
    top-level Targets delegate to. His own is not counted: that one the operator has chosen. A role below several
    suppliers needs room with one of them, so that none can keep it from the other.

    Args:
        contents: what each published role lists.
        role: one that is not published yet, which somebody delegates to.
        roles: of the repository.
        supplier_roles: below each role of a supplier.
        snapshot_bytes: of the Snapshot; a supplier's share of it is as large as his share of the roles.

    Raises:
        EndlessDataError: there is none.
    """
    if len(contents) >= roles or _bytes((*contents, role)) > snapshot_bytes:
        raise EndlessDataError(
            f"the repository has {len(contents)} roles, and takes no new one",
            next_step="Use shorter names of roles, or hash bins.",
            role=str(role),
        )
    share = snapshot_bytes * supplier_roles // roles
    for supplier in contents[TARGETS_ROLE].delegations.roles:
        reached = delegations_by_role(contents, supplier.name)
        below = [name for name in reached if name in contents and name != supplier.name]
        if role in reached and len(below) < supplier_roles and _bytes((*below, role)) <= share:
            return
    raise EndlessDataError(
        f"role {role} is one too many below that of its supplier, who may have {supplier_roles}, and fewer where their "
        "names are long",
        next_step="Use shorter names of roles, or ask the operator of the repository for another delegation.",
        role=str(role),
        expected=supplier_roles,
    )


def _bytes(names: Iterable[RoleName]) -> int:
    """What roles take in a Snapshot."""
    # In JSON a character of a name takes two bytes at most, and what stands beside a name fewer than 64.
    return sum(2 * len(name.encode()) + 64 for name in names)
