"""Delegations of an Image repository's Targets role: who may sign for which images (STD-5.2.3.2)."""

import re
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from uptane.metadata.errors import FormatError
from uptane.metadata.extensions import NO_EXTENSIONS, Extensions
from uptane.metadata.identifiers import HardwareIdentifier, KeyId, PathPattern, RoleName
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import Role, RoleKeys, check_keys

MAX_DELEGATIONS = 4096
"""Delegations in one Targets file; hashed bins use up to this many."""

TARGETS_ROLE = RoleName("targets")
_VERSIONED = re.compile(r"[0-9]+\.")
_RESERVED = frozenset(str(role) for role in Role)


class DelegatedRole(Struct, frozen=True, kw_only=True, gc=False):
    """A role that is trusted within a delegation (M-53 to M-56).

    Raises:
        FormatError: the name is that of a top-level role, or begins with digits and a dot, as versions do.
    """

    name: RoleName
    keys: RoleKeys

    def __post_init__(self) -> None:
        if self.name in _RESERVED:
            raise FormatError(f"a delegated role cannot have the name of a top-level role: {self.name}", field="role")
        if _VERSIONED.match(self.name):
            raise FormatError(f"role {self.name} would share a file name with a version of another role", field="role")


class Delegation(Struct, frozen=True, kw_only=True, gc=False):
    """One delegation, to one role or to several that must agree (STD-5.2.3.2-6 to -11).

    Args:
        roles: one role, or the members of a multi-role delegation in their order.
        paths: patterns of the images it covers; matches nothing when empty.
        path_hash_prefixes: hexadecimal prefixes of SHA-256 of the path, instead of `paths` (M-50); lower case.
        hardware_ids: hardware it covers; None means any (M-51), an empty tuple none.
        terminating: whether the search ends here when nothing is found below (AMB-11).
        group: the name of a multi-role delegation (M-48).
        min_roles_in_agreement: how many members must say the same (M-57); 1 where there is one role.

    Raises:
        FormatError: no role, one name twice, both or neither kind of path, or an impossible agreement.
    """

    roles: tuple[DelegatedRole, ...]
    paths: tuple[PathPattern, ...] = ()
    path_hash_prefixes: tuple[str, ...] = ()
    hardware_ids: tuple[HardwareIdentifier, ...] | None = None
    terminating: bool = False
    group: RoleName | None = None
    min_roles_in_agreement: int = 1
    extensions: Extensions = NO_EXTENSIONS

    def __post_init__(self) -> None:
        if not self.roles or len({role.name for role in self.roles}) != len(self.roles):
            raise FormatError("a delegation needs one or more different roles", field="roles")
        if self.paths and self.path_hash_prefixes:
            raise FormatError("a delegation has either paths or hash prefixes, not both", field="paths")
        for prefix in self.path_hash_prefixes:
            if not 1 <= len(prefix) <= 64 or not set(prefix) <= set("0123456789abcdef"):
                raise FormatError(f"not a prefix of a SHA-256 in hexadecimal: {prefix[:80]!r}", field="paths")
        if (self.group is None) != (len(self.roles) == 1):
            raise FormatError("a delegation to several roles, and only that, has a group name", field="group")
        if type(self.min_roles_in_agreement) is not int or not 1 <= self.min_roles_in_agreement <= len(self.roles):
            raise FormatError("the number of roles in agreement must be 1 to the number of roles", field="group")

    def covers(self, path: str, path_sha256: str, hardware_ids: frozenset[str] | None) -> bool:
        """Whether the image is within this delegation (STD-5.4.4.7-7).

        Args:
            path: the image path.
            path_sha256: SHA-256 of the path in hexadecimal.
            hardware_ids: the hardware that the image shall be installed on; None when that is not known.
        """
        if self.hardware_ids is not None and hardware_ids is not None and not hardware_ids <= set(self.hardware_ids):
            return False
        if self.path_hash_prefixes:
            return any(path_sha256.startswith(prefix) for prefix in self.path_hash_prefixes)
        return any(pattern.matches(path) for pattern in self.paths)


class Delegations(Struct, frozen=True, kw_only=True, gc=False):
    """All delegations of one Targets file, in the order of their priority (STD-5.2.3.2-3, -4).

    Args:
        keys: the keys of all delegated roles.
        delegations: the delegations, highest priority first.

    Raises:
        FormatError: too many, one role or group name twice, or a key that is not listed.
    """

    keys: Mapping[KeyId, PublicKey] = msgspec.field(default_factory=dict)
    delegations: tuple[Delegation, ...] = ()
    extensions: Extensions = NO_EXTENSIONS

    def __post_init__(self) -> None:
        roles = self.roles
        if len(roles) > MAX_DELEGATIONS:
            raise FormatError(f"more than {MAX_DELEGATIONS} delegated roles", field="delegations")
        by_name = {str(role.name): role.keys for role in roles}
        if len(by_name) != len(roles):
            raise FormatError("one role is delegated to twice", field="delegations")
        groups = [delegation.group for delegation in self.delegations if delegation.group is not None]
        if len(set(groups)) != len(groups):
            raise FormatError("two multi-role delegations have one name", field="group")
        check_keys(self.keys, by_name)

    @property
    def roles(self) -> tuple[DelegatedRole, ...]:
        """Every delegated role, in order."""
        return tuple(role for delegation in self.delegations for role in delegation.roles)

    def toward(self, path_sha256: str) -> tuple[Delegation, ...]:
        """Those that may cover an image whose path has that SHA-256, in the order of their priority."""
        return self.delegations

    def __bool__(self) -> bool:
        return bool(self.keys or self.delegations)
