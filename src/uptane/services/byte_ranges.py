"""The part of a file that a request asks for: one range of bytes, as HTTP has them (RFC 9110, section 14)."""

import re

from uptane.services.asgi import Scope, header

_RANGE = re.compile(rb"bytes=(?:([0-9]{1,19})-([0-9]{0,19})|-([0-9]{1,19}))", re.IGNORECASE)


class UnsatisfiableRange(Exception):
    """The range begins at or behind the end of the file."""


def asked_range(scope: Scope, length: int) -> range | None:
    """Which bytes of a file of `length` bytes a GET request asks for.

    Several ranges at once, other units and what is malformed are passed over, as RFC 9110 allows; so is a range under
    a condition (`If-Range`), since published files have no validators that it could name.

    Returns:
        Positions from 0, never empty; None for the whole file.

    Raises:
        UnsatisfiableRange: none of its bytes is in the file.
    """
    found = _RANGE.fullmatch((header(scope, b"range") or b"").strip())
    if found is None or scope["method"] != "GET" or any(name == b"if-range" for name, _ in scope["headers"]):
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        asked = range(max(0, length - int(suffix)), length)
    elif last and int(last) < int(first):
        return None
    else:
        asked = range(int(first), min(length, int(last) + 1) if last else length)
    if not asked:
        raise UnsatisfiableRange
    return asked
