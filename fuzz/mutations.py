"""Changes that make hostile bytes of genuine ones: of bits, of whole pieces, and of the tokens of each format."""

import random
from collections.abc import Callable

TOKENS = (
    b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u0000", b"\\ud800", b"null", b"true", b"-1", b"1e999", b"1.5", b"0" * 40,
    b"9" * 400, b'{"a":' * 60, b"[" * 300, b'"_type":"root",', b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80",
    b"e\xcc\x81",
    b"../", b"%2e%2e/", b"\0", b"\r\n", b"\x30\x80", b"\x00\x00", b"\x30\x84\xff\xff\xff\xff", b"\x02\x01\x80",
    b"\x02\x02\x00\x01", b"\xa0" * 60, b"\x1a\x03a\nb", b"\x05\x00", b"\x01\x01\x01", b"\x7f" * 20, b"PK\x05\x06",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&amp;", b"&#0;", b"<value>" * 40, b"<nil/>", b"<i4>+1</i4>",
)  # fmt: skip
"""Pieces that mean something to a parser."""

MAX_BYTES = 200_000
"""An input does not grow beyond this."""


def mutated(raw: bytes, other: bytes, chance: random.Random) -> bytes:
    """`raw` after one to eight changes.

    Args:
        raw: genuine bytes, or some that were changed before.
        other: another input, of which pieces may be taken.
        chance: decides everything, so that a seed gives the same bytes again.
    """
    data = bytearray(raw)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        chance.choice(_CHANGES)(data, other, chance)
    return bytes(data[:MAX_BYTES])


def _place(data: bytearray, chance: random.Random) -> int:
    return chance.randrange(len(data) + 1)


def _span(data: bytearray, chance: random.Random) -> slice:
    start = _place(data, chance)
    return slice(start, start + chance.choice((1, 2, 4, 16, 64, 1024)))


def _flip(data: bytearray, other: bytes, chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _set(data: bytearray, other: bytes, chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.choice((0, 1, 0x30, 0x7F, 0x80, 0xFF, chance.randrange(256)))


def _remove(data: bytearray, other: bytes, chance: random.Random) -> None:
    del data[_span(data, chance)]


def _repeat(data: bytearray, other: bytes, chance: random.Random) -> None:
    place = _place(data, chance)
    data[place:place] = bytes(data[_span(data, chance)]) * chance.choice((1, 1, 2, 50))


def _insert(data: bytearray, other: bytes, chance: random.Random) -> None:
    place = _place(data, chance)
    data[place:place] = chance.choice(TOKENS)


def _replace(data: bytearray, other: bytes, chance: random.Random) -> None:
    data[_span(data, chance)] = chance.choice(TOKENS)


def _splice(data: bytearray, other: bytes, chance: random.Random) -> None:
    place = _place(data, chance)
    data[place:place] = other[_span(bytearray(other), chance)]


def _cut(data: bytearray, other: bytes, chance: random.Random) -> None:
    del data[_place(data, chance) :]


_CHANGES: tuple[Callable[[bytearray, bytes, random.Random], None], ...] = (
    _flip,
    _set,
    _set,
    _remove,
    _repeat,
    _insert,
    _replace,
    _splice,
    _cut,
)
