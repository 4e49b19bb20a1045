"""JSON texts exactly as the archived implementation lays them out."""

import json

from uptane.formats.canonical_json import Json, decode_strict
from uptane.metadata.errors import FormatError


def archived_text(value: Json, *, sort: bool = False) -> bytes:
    """The text of a value: one blank of indent for each level, no final line end, ASCII.

    Args:
        value: what to write.
        sort: whether members stand in the order of their names, as in every file that is written; else they keep
            the order they have, which is how a text that was read is laid out again.

    Raises:
        FormatError: nested too deeply, or no JSON.
    """
    try:
        return json.dumps(value, indent=1, separators=(",", ": "), sort_keys=sort, allow_nan=False).encode("ascii")
    except (ValueError, TypeError, RecursionError) as error:
        raise FormatError(f"cannot be written as JSON: {error}", field="json") from error


def read_archived(raw: bytes) -> Json:
    """The value of a text that is laid out exactly like that; its members may stand in any order.

    The blanks are no part of what is signed, so they are compared here: no byte of a file can change unnoticed.

    Raises:
        FormatError: another layout, or anything that `decode_strict` refuses.
    """
    value = decode_strict(raw)
    if archived_text(value) != raw:
        raise FormatError(
            "not laid out as the archived implementation writes JSON",
            next_step="Check that sender and receiver use the same format.",
            field="layout",
        )
    return value
