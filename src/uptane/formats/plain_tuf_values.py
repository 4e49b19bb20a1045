"""Values as plain TUF repositories write them: looser than ours, each under a name that says so.

TUF gives names no shape, takes key identifiers from the file, and lets a role name fewer keys than its threshold. The
values of `metadata` refuse that, and go on doing so in every other format.
"""

from typing import Self

from uptane.metadata.delegations import DelegatedRole, Delegation, Delegations
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import ImagePath, KeyId, PathPattern, RoleName
from uptane.metadata.root import Common, Role, RoleKeys, Root
from uptane.metadata.snapshot import Snapshot

MAX_BITS = 32
"""Bits of a path's hash that choose a bin (TAP 15)."""


class UnsafeRoleName(RoleName):
    """Any text. It is never a path: whoever makes a file name or a URL of it quotes it whole."""

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        if not value:
            raise FormatError("a role needs a name", field="role name")
        return str.__new__(cls, value)


class UnsafeKeyId(KeyId):
    """Whatever stands in the file; nobody compares it with the key."""

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        return str.__new__(cls, value)


class UnsafePath(ImagePath):
    """Any text. It is refused where it would become a URL outside of its folder, and quoted whole as a file name."""

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise FormatError(f"not valid Unicode: {value!r}", field="image path") from error
        return str.__new__(cls, value)


class UnsafePattern(PathPattern):
    """Any text, with `*` and `?` for characters of one component."""

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        return str.__new__(cls, value)


class UnsafeRoleKeys(RoleKeys, frozen=True, gc=False):
    """Keys of a role, perhaps fewer than its threshold asks for, or none: then nothing verifies."""

    def __post_init__(self) -> None:
        if type(self.threshold) is not int or self.threshold < 1:
            raise FormatError("threshold must be an integer of at least 1", field="threshold")


class UnsafeRoot(Root, frozen=True, gc=False):
    """A Root in which one key may stand under several identifiers; signatures are counted by key all the same."""

    def __post_init__(self) -> None:
        Common.__post_init__(self)


class UnsafeSnapshot(Snapshot, frozen=True, gc=False):
    """A Snapshot that may list anything, or no Targets file."""

    def __post_init__(self) -> None:
        Common.__post_init__(self)


class UnsafeDelegatedRole(DelegatedRole, frozen=True, gc=False):
    """A delegated role of any name but that of a top-level role."""

    def __post_init__(self) -> None:
        if str(self.name) in list(Role):
            raise FormatError(f"a delegated role cannot have the name of a top-level role: {self.name}", field="role")


class UnsafeDelegation(Delegation, frozen=True, gc=False):
    """A delegation to one role, with prefixes of any look; those that are no hexadecimal digits match nothing."""

    def __post_init__(self) -> None:
        """Nothing to check: the reader gives it one role, and either paths or prefixes."""


class UnsafeDelegations(Delegations, frozen=True, gc=False):
    """Delegations to as many roles as fit into a file."""

    def __post_init__(self) -> None:
        if len({role.name for role in self.roles}) != len(self.roles):
            raise FormatError("one role is delegated to twice", field="delegations")


class SuccinctDelegations(UnsafeDelegations, frozen=True, kw_only=True, gc=False):
    """Delegations to 2 ** `bits` bins, all with the same keys, by the first bits of the path's hash (TAP 15).

    Args:
        bin_keys: the keys of every bin.
        bits: 1 to 32.
        prefix: of the names of the bins, which end in `-` and the number of the bin in hexadecimal.
    """

    bin_keys: RoleKeys
    bits: int
    prefix: str

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MAX_BITS:
            raise FormatError(f"bit_length must be 1 to {MAX_BITS}", field="succinct_roles")

    def toward(self, path_sha256: str) -> tuple[Delegation, ...]:
        """The one bin that covers the path; it is terminating."""
        digits = MAX_BITS // 4
        number = int(path_sha256[:digits], 16) >> (MAX_BITS - self.bits)
        width = len(f"{2**self.bits - 1:x}")
        role = UnsafeDelegatedRole(name=UnsafeRoleName(f"{self.prefix}-{number:0{width}x}"), keys=self.bin_keys)
        return (UnsafeDelegation(roles=(role,), path_hash_prefixes=(path_sha256,), terminating=True),)
