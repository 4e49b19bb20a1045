"""How the delegations of a Targets role change: a role is added, gets other keys, or is taken off (STD-5.2.3.2)."""

from collections.abc import Iterable, Mapping

from msgspec import structs

from uptane.image_repository.authority import Contents
from uptane.metadata.delegations import DelegatedRole, Delegation, Delegations
from uptane.metadata.errors import ProvisioningError, UptaneError
from uptane.metadata.identifiers import KeyId, RoleName
from uptane.metadata.keys import PublicKey
from uptane.metadata.targets import Targets


def with_delegation(
    contents: Contents, delegator: RoleName, delegation: Delegation, keys: Iterable[PublicKey]
) -> Targets:
    """What the delegator lists with one more delegation, at the lowest priority.

    Raises:
        UptaneError: the delegator delegates to that role already, or another role does so with other keys.
    """
    targets = contents[delegator]
    known = targets.delegations
    taken = {role.name for role in known.roles} & {role.name for role in delegation.roles}
    if taken:
        raise UptaneError(
            f"{delegator} delegates to role {sorted(taken)[0]} already",
            next_step="Revoke it first, or choose another name.",
        )
    for content in contents.values():
        for other in content.delegations.roles:
            if any(role.name == other.name and role.keys != other.keys for role in delegation.roles):
                raise UptaneError(
                    f"another role delegates to {other.name} with other keys",
                    next_step="Name the same keys and threshold, or choose another name.",
                )
    every = dict(known.keys) | {key.key_id: key for key in keys}
    return structs.replace(
        targets, delegations=structs.replace(known, keys=every, delegations=(*known.delegations, delegation))
    )


def with_role_keys(targets: Targets, delegator: RoleName, role: RoleName, keys: Mapping[KeyId, PublicKey]) -> Targets:
    """What the delegator lists with other keys for a role, whose threshold stays.

    Raises:
        ProvisioningError: it does not delegate to that role.
        FormatError: fewer keys than the role's threshold.
    """
    known = _require(targets, delegator, role)
    changed = tuple(
        structs.replace(delegation, roles=tuple(_with_keys(each, role, keys) for each in delegation.roles))
        for delegation in known.delegations
    )
    return structs.replace(targets, delegations=_of(known, changed, dict(known.keys) | dict(keys)))


def without_role(targets: Targets, delegator: RoleName, role: RoleName) -> Targets:
    """What the delegator lists without its delegation to a role.

    Raises:
        ProvisioningError: it does not delegate to that role.
        UptaneError: the role is one of several that must agree.
    """
    known = _require(targets, delegator, role)
    for delegation in known.delegations:
        if delegation.group is not None and any(each.name == role for each in delegation.roles):
            raise UptaneError(
                f"role {role} is one of several that must agree as {delegation.group}, and the others stay",
                next_step="Give the role other keys.",
                role=role,
            )
    left = tuple(each for each in known.delegations if all(member.name != role for member in each.roles))
    return structs.replace(targets, delegations=_of(known, left, known.keys))


def _require(targets: Targets, delegator: RoleName, role: RoleName) -> Delegations:
    if all(each.name != role for each in targets.delegations.roles):
        raise ProvisioningError(
            f"{delegator} does not delegate to role {role}",
            next_step="Name the role that delegates to it.",
            role=role,
        )
    return targets.delegations


def _of(known: Delegations, delegations: tuple[Delegation, ...], keys: Mapping[KeyId, PublicKey]) -> Delegations:
    """Without the keys that nothing uses any more."""
    used = {key_id for delegation in delegations for role in delegation.roles for key_id in role.keys.key_ids}
    return structs.replace(
        known, keys={key_id: key for key_id, key in keys.items() if key_id in used}, delegations=delegations
    )


def _with_keys(found: DelegatedRole, role: RoleName, keys: Mapping[KeyId, PublicKey]) -> DelegatedRole:
    if found.name != role:
        return found
    return structs.replace(found, keys=structs.replace(found.keys, key_ids=tuple(keys)))
