"""JSON read strictly, and written in the canonical form that TUF signs (OLPC)."""

import json
from typing import Any, Final, NoReturn

import msgspec

from uptane.metadata.errors import FormatError

Json = Any
"""A value of JSON: dict, list, str, int, bool or None. Canonical JSON has no floating-point numbers."""

MAX_DIGITS = 20
"""Digits in an integer; every number of the metadata fits 63 bits."""


_LISTS = (list, tuple)


def _plain_text(value: object) -> object:
    if isinstance(value, str):
        return str(value)
    raise FormatError(f"{type(value).__name__} cannot be written as JSON", field="json")


def compact(value: Json) -> bytes:
    """The value as JSON text: keys sorted, no blanks. It is canonical unless it holds a backslash."""
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise FormatError(f"cannot be written as JSON: {error}", field="json") from error


def canonical_and_compact(value: Json) -> tuple[bytes, bytes]:
    """Both texts of members that were made from values of this project, which hold no number that is refused.

    Parts of it may be `msgspec.Raw` that `compact` made before.
    """
    text = compact(value)
    return (text if b"\\" not in text else canonical(decode_strict(text))), text


def canonical(value: Json) -> bytes:
    """The canonical JSON text: keys sorted, no blanks, only `\\` and `"` escaped.

    Raises:
        FormatError: the value holds a floating-point or huge number, or is nested too deeply.
    """
    try:
        refuse_numbers(value)
        text = compact(value)
        return text if b"\\" not in text else _slow(value).encode()
    except (RecursionError, UnicodeEncodeError) as error:
        raise FormatError("nested too deeply, or not valid Unicode", field="json") from error


def refuse_numbers(value: Json) -> None:
    """Raises FormatError when a floating-point number, or an integer of too many digits, is within the value."""
    if isinstance(value, float):
        raise FormatError("floating-point numbers have no canonical form", field="json")
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        raise FormatError(f"an integer of more than {MAX_DIGITS} digits", field="json")
    if isinstance(value, dict):
        for member in value.values():
            if type(member) is not str:
                refuse_numbers(member)
    elif isinstance(value, _LISTS):
        for member in value:
            refuse_numbers(member)


def _slow(value: Json) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict):
        return "{" + ",".join(f"{_slow(name)}:{_slow(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_slow, value)) + "]"
    return compact(value).decode()


def decode_strict(raw: bytes) -> Json:
    """The value of a JSON text.

    msgspec drops a duplicate key silently. A text that is equal to its own re-encoding has none, in the order of its
    keys and without its blanks; any other text (with needless escapes) is read a second time by a parser that refuses
    them.

    Raises:
        FormatError: malformed, duplicate keys, numbers too long, lone surrogates, or nested too deeply.
    """
    try:
        value = _DECODER.decode(raw)
        if _ENCODER.encode(value) == raw:
            return value
        if msgspec.json.encode(value) == msgspec.json.format(raw, indent=-1):
            refuse_numbers(value)
            return value
        return _decode_slowly(raw, escaped=True)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise FormatError(f"not a well-formed JSON text: {error}", field="json") from error


def decode_canonical(raw: bytes) -> Json:
    """The value of a canonical text, in which control characters are not escaped, so that it may be no JSON.

    Raises:
        FormatError: it is not exactly the canonical form of a value.
    """
    try:
        value = _decode_slowly(raw, escaped=False)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not a canonical JSON text: {error}", field="json") from error
    if canonical(value) != raw:
        raise FormatError("not a canonical JSON text", field="json")
    return value


def _decode_slowly(raw: bytes, *, escaped: bool) -> Json:
    return json.loads(
        raw.decode(),
        strict=escaped,
        object_pairs_hook=_unique,
        parse_int=_integer,
        parse_float=_refuse_number,
        parse_constant=_refuse_number,
    )


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object has one key twice")
    return value


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"an integer of more than {MAX_DIGITS} digits")
    return int(digits)


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"a number that is not an integer: {text[:20]}")


_ENCODER: Final = msgspec.json.Encoder(order="sorted", enc_hook=_plain_text)
_DECODER: Final = msgspec.json.Decoder(float_hook=_refuse_number)
