"""Delegations in DER."""

from uptane.formats.der_fields import (
    optional_list,
    read_extensions,
    read_keys,
    read_optional_list,
    read_role_keys,
    write_extensions,
    write_keys,
    write_role_keys,
)
from uptane.formats.der_schema import WireDelegatedRole, WireDelegation, WireDelegations, WireGroup
from uptane.metadata.delegations import MAX_DELEGATIONS, DelegatedRole, Delegation, Delegations
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import HardwareIdentifier, PathPattern, RoleName

_NO_DELEGATIONS = Delegations()


def write_delegations(delegations: Delegations) -> WireDelegations | None:
    """The delegations of a Targets role, absent when there is nothing to say."""
    if delegations == _NO_DELEGATIONS:
        return None
    return WireDelegations(
        keys=write_keys(delegations.keys),
        delegations=[_write_delegation(delegation) for delegation in delegations.delegations],
        extensions=write_extensions(delegations.extensions),
    )


def read_delegations(entry: WireDelegations | None) -> Delegations:
    """The inverse of `write_delegations`."""
    if entry is None:
        return _NO_DELEGATIONS
    if len(entry.delegations) > MAX_DELEGATIONS:
        raise FormatError(f"more than {MAX_DELEGATIONS} delegations", field="delegations")
    delegations = Delegations(
        keys=read_keys(entry.keys),
        delegations=tuple(_read_delegation(delegation) for delegation in entry.delegations),
        extensions=read_extensions(entry.extensions),
    )
    if delegations == _NO_DELEGATIONS:
        raise FormatError("empty delegations must be absent", field="delegations")
    return delegations


def _write_delegation(delegation: Delegation) -> WireDelegation:
    group, hardware = delegation.group, delegation.hardware_ids
    return WireDelegation(
        roles=[WireDelegatedRole(name=role.name, keys=write_role_keys(role.keys)) for role in delegation.roles],
        group=None
        if group is None
        else WireGroup(name=group, min_roles_in_agreement=delegation.min_roles_in_agreement),
        paths=optional_list(delegation.paths),
        path_hash_prefixes=optional_list(delegation.path_hash_prefixes),
        hardware_ids=None if hardware is None else list(hardware),
        terminating=delegation.terminating,
        extensions=write_extensions(delegation.extensions),
    )


def _read_delegation(entry: WireDelegation) -> Delegation:
    group, hardware = entry.group, entry.hardware_ids
    return Delegation(
        roles=tuple(DelegatedRole(name=RoleName(role.name), keys=read_role_keys(role.keys)) for role in entry.roles),
        paths=tuple(PathPattern(path) for path in read_optional_list(entry.paths, "paths")),
        path_hash_prefixes=tuple(read_optional_list(entry.path_hash_prefixes, "hash prefixes")),
        hardware_ids=None if hardware is None else tuple(HardwareIdentifier(value) for value in hardware),
        terminating=entry.terminating,
        group=None if group is None else RoleName(group.name),
        min_roles_in_agreement=1 if group is None else group.min_roles_in_agreement,
        extensions=read_extensions(entry.extensions),
    )
