"""Members of JSON objects, taken one by one with their types; what is left are the extensions."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

import msgspec

from uptane.formats.canonical_json import Json, canonical, decode_canonical
from uptane.metadata.digests import Digests
from uptane.metadata.errors import FormatError
from uptane.metadata.extensions import NO_EXTENSIONS, Extensions

ValueT = TypeVar("ValueT")

_TIME_LENGTH = len("YYYY-MM-DDTHH:MM:SSZ")


class Fields:
    """The members of one object that are still to be read.

    Args:
        value: what should be an object.
        where: what it is, for error messages.
    """

    __slots__ = ("members", "where")

    def __init__(self, value: Json, where: str) -> None:
        if not isinstance(value, dict):
            raise FormatError(f"{where} must be an object", field=where)
        self.members: dict[str, Json] = dict(value)
        self.where = where

    def take(self, name: str, kind: type[ValueT]) -> ValueT:
        """Removes a member that must be there and be of exactly that type (a bool is no int)."""
        if name not in self.members:
            raise FormatError(f"{self.where} lacks {name}", field=name)
        value = self.members.pop(name)
        if type(value) is not kind:
            raise FormatError(f"{name} of {self.where} must be {kind.__name__}", field=name)
        return value

    def optional(self, name: str, kind: type[ValueT]) -> ValueT | None:
        """Like `take`, or None when it is absent."""
        return self.take(name, kind) if name in self.members else None

    def time(self, name: str) -> datetime:
        """A time as `YYYY-MM-DDTHH:MM:SSZ`."""
        return read_time(self.take(name, str), name)

    def literal(self, name: str, expected: str) -> None:
        """A member that must have that text, such as the type of the object."""
        value = self.take(name, str)
        if value != expected:
            raise FormatError(f"{name} must be {expected}, not {value[:40]!r}", field=name, expected=expected)

    def texts(self, name: str, make: Callable[[str], ValueT]) -> tuple[ValueT, ...]:
        """A list of texts, each made into a value."""
        items = self.take(name, list)
        if any(type(item) is not str for item in items):
            raise FormatError(f"{name} of {self.where} must be a list of texts", field=name)
        return tuple(make(item) for item in items)

    def data(self, name: str) -> bytes:
        """Bytes in lower-case hexadecimal."""
        return read_hex(self.take(name, str), name)

    def digests(self, name: str = "hashes") -> Digests:
        """Hashes by function, in hexadecimal."""
        return read_digests(self.take(name, dict))

    def rest(self) -> Extensions:
        """Everything that was not taken."""
        if not self.members:
            return NO_EXTENSIONS
        return Extensions(tuple((name, canonical(value)) for name, value in self.members.items()))

    def nothing_else(self) -> None:
        """Raises FormatError when a member is left."""
        if self.members:
            name = next(iter(self.members))
            raise FormatError(f"{self.where} has an unknown member {name[:40]!r}", field=name[:40])


def read_time(text: str, field: str) -> datetime:
    """The time of `YYYY-MM-DDTHH:MM:SSZ`; any other spelling raises FormatError."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        value = None
    if value is None or write_time(value) != text:
        raise FormatError(f"{field} must be YYYY-MM-DDTHH:MM:SSZ, not {text[:40]!r}", field=field)
    return value


def write_time(value: datetime) -> str:
    """The time as `YYYY-MM-DDTHH:MM:SSZ`."""
    text: str = msgspec.to_builtins(value)
    return text if len(text) == _TIME_LENGTH and text[-1] == "Z" else value.isoformat()[:19] + "Z"


def read_hex(text: str, field: str) -> bytes:
    """The bytes of lower-case hexadecimal digits; FormatError for anything else."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = None
    if data is None or data.hex() != text:
        raise FormatError(f"{field} must be lower-case hexadecimal", field=field)
    return data


def read_digests(value: Mapping[str, Json]) -> Digests:
    """The hashes of an object of function names and hexadecimal digests."""
    if any(type(digest) is not str for digest in value.values()):
        raise FormatError("hashes must be an object of texts", field="hashes")
    return Digests(tuple((name, read_hex(digest, "hashes")) for name, digest in value.items()))


def write_digests(digests: Digests) -> dict[str, str]:
    """The inverse of `read_digests`."""
    return {name: digest.hex() for name, digest in digests.items}


def add_extensions(members: dict[str, Json], extensions: Extensions) -> dict[str, Json]:
    """`members` with the extensions beside them.

    Raises:
        FormatError: an extension has the name of a member, or holds no canonical JSON (it came from DER).
    """
    for name, raw in extensions.items:
        if name in members:
            raise FormatError(f"extension {name} has the name of a member", field=name)
        members[name] = decode_canonical(raw)
    return members
