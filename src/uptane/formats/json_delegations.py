"""Keys and delegations as TUF's JSON.

The members of a multi-role delegation stand as consecutive roles with the extra members `group` and
`min_roles_in_agreement`. A plain TUF client sees ordinary prioritised roles, which is weaker: one member is enough.
"""

from collections.abc import Mapping

from uptane.formats.canonical_json import Json
from uptane.formats.json_fields import Fields, add_extensions
from uptane.metadata.delegations import MAX_DELEGATIONS, DelegatedRole, Delegation, Delegations
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import HardwareIdentifier, KeyId, PathPattern, RoleName
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import MAX_KEYS, RoleKeys


def write_key(key: PublicKey) -> dict[str, Json]:
    """A public key as `{keytype, keyval, scheme}`."""
    return {"keytype": str(key.key_type), "scheme": str(key.scheme), "keyval": {"public": key.text}}


def read_key(value: Json, key_id: KeyId | None = None) -> PublicKey:
    """The inverse of `write_key`; members beyond the three are ignored, as TUF clients do."""
    fields = Fields(value, "key")
    text = Fields(fields.take("keyval", dict), "keyval").take("public", str)
    return PublicKey.from_text(fields.take("keytype", str), fields.take("scheme", str), text, key_id)


def write_keys(keys: Mapping[KeyId, PublicKey]) -> dict[str, Json]:
    """Keys by their identifiers."""
    return {str(key_id): write_key(key) for key_id, key in keys.items()}


def read_keys(value: Mapping[str, Json]) -> dict[KeyId, PublicKey]:
    """The inverse of `write_keys`; each identifier must be that of its key."""
    if len(value) > MAX_KEYS:
        raise FormatError(f"more than {MAX_KEYS} keys", field="keys")
    return {KeyId(name): read_key(key, KeyId(name)) for name, key in value.items()}


def write_delegations(delegations: Delegations) -> dict[str, Json]:
    """The `delegations` object."""
    roles = [_write_role(role, delegation) for delegation in delegations.delegations for role in delegation.roles]
    return add_extensions({"keys": write_keys(delegations.keys), "roles": roles}, delegations.extensions)


def _write_role(role: DelegatedRole, delegation: Delegation) -> dict[str, Json]:
    members: dict[str, Json] = {
        "name": str(role.name),
        "keyids": [str(key_id) for key_id in role.keys.key_ids],
        "threshold": role.keys.threshold,
        "terminating": delegation.terminating,
    }
    if delegation.path_hash_prefixes:
        members["path_hash_prefixes"] = list(delegation.path_hash_prefixes)
    else:
        members["paths"] = [str(path) for path in delegation.paths]
    if delegation.hardware_ids is not None:
        members["hardware_ids"] = [str(hardware) for hardware in delegation.hardware_ids]
    if delegation.group is not None:
        members |= {"group": str(delegation.group), "min_roles_in_agreement": delegation.min_roles_in_agreement}
    return add_extensions(members, delegation.extensions)


def read_delegations(value: Json) -> Delegations:
    """The inverse of `write_delegations`."""
    fields = Fields(value, "delegations")
    keys = read_keys(fields.take("keys", dict))
    roles = fields.take("roles", list) if "roles" in fields.members else []
    if len(roles) > MAX_DELEGATIONS:
        raise FormatError(f"more than {MAX_DELEGATIONS} delegated roles", field="delegations")
    delegations: list[Delegation] = []
    for role in roles:
        read = _read_role(role)
        before = delegations[-1] if delegations else None
        if read.group is not None and before is not None and before.group == read.group:
            delegations[-1] = _join(before, read)
        else:
            delegations.append(read)
    for delegation in delegations:
        if delegation.group is not None and len(delegation.roles) == 1:
            raise FormatError(f"group {delegation.group} has one role only", field="group")
    return Delegations(
        keys=keys, delegations=tuple(_finish(delegation) for delegation in delegations), extensions=fields.rest()
    )


class _Member(Delegation, frozen=True, gc=False):
    """A role of a group on its own, before its group is complete."""

    def __post_init__(self) -> None:
        """Checked when the group is complete."""


def _read_role(value: Json) -> Delegation:
    fields = Fields(value, "delegated role")
    keys = RoleKeys(key_ids=fields.texts("keyids", KeyId), threshold=fields.take("threshold", int))
    role = DelegatedRole(name=RoleName(fields.take("name", str)), keys=keys)
    by_prefix = "path_hash_prefixes" in fields.members
    if by_prefix == ("paths" in fields.members):
        raise FormatError(f"role {role.name} needs either paths or path_hash_prefixes", field="paths")
    prefixes = fields.texts("path_hash_prefixes", str) if by_prefix else ()
    paths = () if by_prefix else fields.texts("paths", PathPattern)
    if by_prefix and not prefixes:
        raise FormatError(f"role {role.name} has an empty list of hash prefixes", field="paths")
    hardware = fields.texts("hardware_ids", HardwareIdentifier) if "hardware_ids" in fields.members else None
    terminating = fields.optional("terminating", bool)
    group = fields.optional("group", str)
    agreement = fields.take("min_roles_in_agreement", int) if group is not None else 1
    return _Member(
        roles=(role,),
        paths=paths,
        path_hash_prefixes=prefixes,
        hardware_ids=hardware,
        terminating=bool(terminating),
        group=None if group is None else RoleName(group),
        min_roles_in_agreement=agreement,
        extensions=fields.rest(),
    )


def _members(delegation: Delegation, roles: tuple[DelegatedRole, ...]) -> dict[str, object]:
    names = ("paths", "path_hash_prefixes", "hardware_ids", "terminating", "group", "min_roles_in_agreement")
    return {name: getattr(delegation, name) for name in (*names, "extensions")} | {"roles": roles}


def _join(group: Delegation, member: Delegation) -> Delegation:
    if _members(group, ()) != _members(member, ()):
        raise FormatError(f"the roles of group {group.group} differ in what they cover", field="group")
    return _Member(**_members(group, group.roles + member.roles))  # type: ignore[arg-type]


def _finish(delegation: Delegation) -> Delegation:
    return Delegation(**_members(delegation, delegation.roles))  # type: ignore[arg-type]
