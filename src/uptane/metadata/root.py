"""Root metadata: the keys and thresholds of the four top-level roles, and the fields all roles share."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

from msgspec import Struct, structs

from uptane.metadata.errors import FormatError
from uptane.metadata.extensions import NO_EXTENSIONS, Extensions
from uptane.metadata.identifiers import KeyId, VehicleIdentifier
from uptane.metadata.keys import PublicKey

MAX_VERSION = 2**31 - 1
"""The highest version number: what every language's integer and every database column holds."""

NOT_PUBLISHED_YET = datetime(9999, 1, 1, tzinfo=UTC)
"""The expiry of a payload that waits: its publication sets version and expiry."""

MAX_KEYS = 1024
"""Keys in one Root or one delegations object."""


class Role(StrEnum):
    """The four top-level roles (STD-5.1)."""

    ROOT = "root"
    TIMESTAMP = "timestamp"
    SNAPSHOT = "snapshot"
    TARGETS = "targets"


def check_version(version: object, field: str = "version") -> int:
    """Returns `version` if it is an integer of 1 to MAX_VERSION (STD-5.2.1-7); raises FormatError otherwise."""
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        raise FormatError(f"{field} must be an integer of 1 to {MAX_VERSION}, not {_shown(version)}", field=field)
    return version


def _shown(number: object) -> str:
    # The text of a huge integer costs much time, and Python refuses to make it.
    return "a huge number" if isinstance(number, int) and abs(number) >= 10**40 else str(number)[:40]


def check_time(value: datetime, field: str) -> datetime:
    """Returns `value` in UTC if it has a zone and whole seconds; raises FormatError otherwise."""
    if value.tzinfo is None or value.microsecond:
        raise FormatError(f"{field} must be a time in whole seconds with a zone", field=field)
    return value if value.tzinfo is UTC else value.astimezone(UTC)


class Common(Struct, frozen=True, kw_only=True, gc=False):
    """What every role's payload holds (STD-5.2.1).

    Args:
        version: 1 to 2**31 - 1.
        expires: UTC, whole seconds.
        vehicle: the vehicle that the metadata is for; in every role of a Director, never on an Image repository.
        extensions: additions of this role's body.
    """

    version: int
    expires: datetime
    vehicle: VehicleIdentifier | None = None
    extensions: Extensions = NO_EXTENSIONS

    def __post_init__(self) -> None:
        check_version(self.version)
        expires = check_time(self.expires, "expires")
        if expires is not self.expires:
            structs.force_setattr(self, "expires", expires)


class RoleKeys(Struct, frozen=True, kw_only=True, gc=False):
    """The keys that may sign for a role, and how many of them must (STD-5.2.2-3).

    Raises:
        FormatError: no key, one key twice, or a threshold outside 1 to the number of keys.
    """

    key_ids: tuple[KeyId, ...]
    threshold: int

    def __post_init__(self) -> None:
        if not self.key_ids or len(set(self.key_ids)) != len(self.key_ids):
            raise FormatError("a role needs one or more different keys", field="key ids")
        if type(self.threshold) is not int or not 1 <= self.threshold <= len(self.key_ids):
            raise FormatError(
                f"threshold must be 1 to the number of keys ({len(self.key_ids)}), not {_shown(self.threshold)}",
                field="threshold",
            )


def check_keys(keys: Mapping[KeyId, PublicKey], roles: Mapping[str, RoleKeys]) -> None:
    """Raises FormatError unless each key stands under its own id, once, and every role's key ids are defined."""
    if len(keys) > MAX_KEYS:
        raise FormatError(f"more than {MAX_KEYS} keys", field="keys")
    if len({key.material for key in keys.values()}) != len(keys):
        raise FormatError("one key is listed under two identifiers", field="keys")
    for name, role in roles.items():
        missing = [key_id for key_id in role.key_ids if key_id not in keys]
        if missing:
            raise FormatError(f"role {name} names key {missing[0][:8]}, which is not listed", field="keys", role=name)


class Root(Common, frozen=True, kw_only=True, gc=False):
    """Root metadata (STD-5.2.2).

    Args:
        keys: every key by its identifier.
        roles: keys and threshold of each top-level role; all four are there.
        consistent_snapshot: whether files are stored under version- and hash-qualified names (M-20); True for
            all that this project writes.
    """

    keys: Mapping[KeyId, PublicKey]
    roles: Mapping[Role, RoleKeys]
    consistent_snapshot: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        missing = [role for role in Role if role not in self.roles]
        if missing:
            raise FormatError(f"Root lacks the role {missing[0]}", field="roles", role=missing[0])
        check_keys(self.keys, {str(name): role for name, role in self.roles.items()})

    def keys_of(self, role: Role) -> frozenset[bytes]:
        """The material of the role's keys: equal exactly when the keys are the same."""
        return frozenset(self.keys[key_id].material for key_id in self.roles[role].key_ids)
