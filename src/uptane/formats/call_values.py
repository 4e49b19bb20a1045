"""Signed objects and public keys in remote calls: as their exact bytes, or as structs where the profile has them so."""

from uptane.formats.canonical_json import Json, decode_strict
from uptane.formats.pouf1.text import archived_text
from uptane.metadata.errors import FormatError


def to_call(raw: bytes, *, as_struct: bool) -> Json:
    """What travels: the bytes themselves, or the value of their JSON text."""
    return decode_strict(raw) if as_struct else raw


def from_call(value: object, what: str, *, as_struct: bool) -> bytes:
    """The bytes of what came; a struct becomes the text that the archived implementation writes.

    Args:
        value: an argument or a result of a call.
        what: what it should be, for messages.
        as_struct: whether the profile has a struct here.

    Raises:
        FormatError: it is something else.
    """
    if not as_struct:
        if isinstance(value, bytes):
            return value
        raise FormatError(
            f"{what} must travel as base64 with its exact bytes, not as {type(value).__name__}", field=what
        )
    if not isinstance(value, dict):
        raise FormatError(f"{what} must travel as a struct, not as {type(value).__name__}", field=what)
    return archived_text(value, sort=True)
