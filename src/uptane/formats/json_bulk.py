"""A Targets file in canonical JSON, checked in bulk: an entry becomes a value when it is looked up.

What is checked here is what is checked entry by entry elsewhere, with a few passes in C over many entries at once. A
file in which anything is unusual, be it wrong or only rare, is left to the reader that looks at each entry.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Final, NoReturn

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from uptane.formats.canonical_json import Json, refuse_numbers
from uptane.metadata.identifiers import MAX_PATH_COMPONENT_BYTES
from uptane.metadata.targets import MAX_LENGTH

AT_ONCE: Final = 256
"""Entries in one pass: together they fit the processor's cache, and no pass needs memory for all of a large file."""

_ORDINARY: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./ +,=@()"
"""Characters of image names that need no look at each: no control, escape, percent sign, colon or other alphabet."""

_DOTS_AS_SLASHES: Final = bytes.maketrans(b".", b"/")
_HEXADECIMAL: Final = b"0123456789abcdef"


class _Hashes(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    sha256: Annotated[str, Meta(min_length=64, max_length=64)] | UnsetType = UNSET
    sha384: Annotated[str, Meta(min_length=96, max_length=96)] | UnsetType = UNSET
    sha512: Annotated[str, Meta(min_length=128, max_length=128)] | UnsetType = UNSET


class _Entry(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    length: Annotated[int, Meta(ge=0, le=MAX_LENGTH)]
    hashes: _Hashes
    custom: dict[str, Any] | UnsetType = UNSET


class _Signed(msgspec.Struct, forbid_unknown_fields=True):
    targets: dict[str, Raw]
    version: int
    expires: str
    type: str = msgspec.field(name="_type")
    delegations: dict[str, Any] | UnsetType = UNSET
    spec_version: str | UnsetType = UNSET
    vin: str | UnsetType = UNSET


class _File(msgspec.Struct, forbid_unknown_fields=True):
    signatures: list[Any]
    signed: _Signed


@dataclass(frozen=True, slots=True)
class BulkTargets:
    """A file that was checked.

    Args:
        message: the text of `signed`, which is canonical.
        signatures: the entries, not looked at yet.
        members: of `signed` but for the images, as values.
        images: the text of each entry by the name of its image, for `value_of`. Names, structure, lengths, hashes and
            doubled keys are checked; the meaning of custom data is not.
    """

    message: bytes
    signatures: list[Json]
    members: dict[str, Json]
    images: Mapping[str, Raw]


def read_in_bulk(raw: bytes) -> BulkTargets | None:
    """The parts of a Targets file, or None for one that has to be read entry by entry."""
    try:
        file = _FILE.decode(raw)
        # Text that is equal to its re-encoding has no doubled key, no blank, no needless escape, and is in order.
        # The entries stand in it as they came; they are looked at below.
        if _ENCODER.encode(file) != raw:
            return None
        images, file.signed.targets = file.signed.targets, {}
        members = msgspec.to_builtins(file.signed)
        refuse_numbers([file.signatures, members])
        if b"\\" in _ENCODER.encode(file) or not _are_usual(images):
            return None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    del members["targets"]
    start = len(b'{"signatures":,"signed":') + len(_ENCODER.encode(file.signatures))
    return BulkTargets(raw[start:-1], file.signatures, members, images)


def value_of(entry: Raw) -> Json:
    """One entry as a value of JSON."""
    return _ANY.decode(entry)


def _are_usual(images: Mapping[str, Raw]) -> bool:
    names, texts = iter(images), iter(images.values())
    while some := list(islice(names, AT_ONCE)):
        if not (_are_ordinary(some) and _are_entries(list(islice(texts, AT_ONCE)))):
            return False
    return True


def _are_ordinary(names: Sequence[str]) -> bool:
    """Whether every name would pass as an `ImagePath`; False for some rare ones that would as well.

    The names are joined into one long path: it has an empty component exactly if one of them has, or is empty, or
    begins or ends with a slash. With dots taken for slashes that holds for components `.` and `..` too.
    """
    joined = f"/{'/'.join(names)}/".encode()
    return (
        max(map(len, names)) <= MAX_PATH_COMPONENT_BYTES
        and not joined.translate(None, _ORDINARY)
        and b"//" not in joined.translate(_DOTS_AS_SLASHES)
    )


class _Plain:
    """The look of entries without custom data, all with the same hash functions.

    The expression says where everything stands, with any characters in place of the digits of hashes. Those digits
    are hexadecimal exactly if nothing but the rest of the entries is left when all such digits are taken away.
    """

    def __init__(self, **digits: int) -> None:
        def entry(hashes: Mapping[str, str], length: str) -> bytes:
            listed = ",".join(f'"{name}":"{value}"' for name, value in hashes.items())
            return f'{{"hashes":{{{listed}}},"length":{length}}},'.encode()

        slots = {name: f".{{{count}}}" for name, count in digits.items()}
        one = entry(slots, "(?:0|[1-9][0-9]{0,14})").replace(b'{"', rb'\{"').replace(b'"}', rb'"\}')
        self._one = re.compile(one, re.DOTALL)
        self._all = re.compile(b"(?:" + one + b")*", re.DOTALL)
        self._rest = entry(dict.fromkeys(digits, ""), "").translate(None, _HEXADECIMAL)

    def covers(self, text: bytes, count: int) -> bool:
        """Whether the text is that of `count` such entries, each with a comma after it."""
        return (
            self._one.match(text) is not None
            and self._all.fullmatch(text) is not None
            and text.translate(None, _HEXADECIMAL) == self._rest * count
        )


_PLAIN: Final = (_Plain(sha256=64, sha512=128), _Plain(sha256=64), _Plain(sha512=128))


def _are_entries(texts: Sequence[Raw]) -> bool:
    """Whether each text is an entry in canonical form with a length in range and one known hash or more."""
    text = b",".join((*texts, b""))
    if any(plain.covers(text, len(texts)) for plain in _PLAIN):
        return True
    text = b"[" + text[:-1] + b"]"
    entries = _ENTRIES.decode(text)
    refuse_numbers([entry.custom for entry in entries if entry.custom is not UNSET])
    digests = [
        digest
        for entry in entries
        for digest in (entry.hashes.sha256, entry.hashes.sha384, entry.hashes.sha512)
        if digest is not UNSET
    ]
    return (
        _ENCODER.encode(entries) == text
        and b"\\" not in text
        and _Hashes() not in [entry.hashes for entry in entries]
        and not "".join(digests).encode().translate(None, _HEXADECIMAL)
    )


def _refuse(number: str) -> NoReturn:
    raise ValueError("a floating-point number")


_FILE: Final = msgspec.json.Decoder(_File, float_hook=_refuse)
_ENTRIES: Final = msgspec.json.Decoder(list[_Entry], float_hook=_refuse)
_ANY: Final = msgspec.json.Decoder(float_hook=_refuse)
_ENCODER: Final = msgspec.json.Encoder(order="sorted")
