"""Names that are born valid: each constructor refuses bad input, so nobody checks again.

All strings are in the Unicode network format of RFC 5198: NFC, without control characters (STD-5.2-2).
Each name is a `str`, so it can be a key, be sorted and be printed; only its constructor makes one.
"""

import fnmatch
import re
import unicodedata
from functools import lru_cache
from typing import Self
from urllib.parse import unquote

from uptane.metadata.errors import FormatError

MAX_NAME_BYTES = 128
"""Bytes of UTF-8 in an identifier: enough for every VIN, serial and role name in use, fits a file name."""

MAX_PATH_BYTES = 255
"""Bytes of UTF-8 in a whole image path."""

MAX_PATH_COMPONENT_BYTES = 120
"""Bytes in one component: with a SHA-512 in hexadecimal and a dot in front it still fits 255."""

_CONTROL_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_ORDINARY = re.compile(r"[ -~]*")
_SURELY_NAME = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z._-]*")
_WINDOWS_DRIVE = re.compile(r"[A-Za-z]:")
_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_KEY_ID = re.compile(r"[0-9a-f]{64}")
_WILDCARDS = re.compile(r"[*?]")


def check_text(kind: str, value: object, limit: int) -> str:
    """Returns `value` if it is NFC text without control characters of 1 to `limit` bytes.

    Raises:
        FormatError: otherwise, with `field` set to `kind`.
    """
    if not isinstance(value, str):
        raise FormatError(f"{kind} must be text, not {type(value).__name__}", field=kind)
    if not value:
        raise FormatError(f"{kind} must not be empty", field=kind)
    if len(value) > limit:
        raise FormatError(f"{kind} has more than {limit} bytes: {value[:40]!r}...", field=kind)
    if _ORDINARY.fullmatch(value):
        return value
    if any(unicodedata.category(c) in _CONTROL_CATEGORIES for c in value):
        raise FormatError(f"{kind} holds a control or unassigned character: {value!r}", field=kind)
    if not unicodedata.is_normalized("NFC", value):
        raise FormatError(f"{kind} is not in Unicode normal form C: {value!r}", field=kind)
    if len(value.encode()) > limit:
        raise FormatError(f"{kind} has more than {limit} bytes: {value[:40]!r}...", field=kind)
    return value


def check_lines(kind: str, value: object, limit: int) -> str:
    """`check_text` for a text that may hold line feeds."""
    check_text(kind, value.replace("\n", " ") if isinstance(value, str) else value, limit)
    return str(value)


class _Name(str):
    """An identifier that can also be one component of a file path or URL."""

    __slots__ = ()
    kind = "name"

    def __new__(cls, value: str) -> Self:
        if type(value) is cls:
            return value
        if type(value) is str and len(value) <= MAX_NAME_BYTES and _SURELY_NAME.fullmatch(value):
            return super().__new__(cls, value)
        check_text(cls.kind, value, MAX_NAME_BYTES)
        if value.startswith(".") or any(c in "/\\%" for c in value) or value != value.strip():
            raise FormatError(
                f"{cls.kind} must not start with a dot, hold / \\ or %, or begin or end with a blank: {value!r}",
                field=cls.kind,
            )
        return super().__new__(cls, value)


class EcuIdentifier(_Name):
    """The unique identifier of an ECU, such as its serial number (STD-5.3.2.2-4)."""

    __slots__ = ()
    kind = "ECU identifier"


class VehicleIdentifier(_Name):
    """The unique identifier of a vehicle, such as its VIN (STD-5.3.2.2-3)."""

    __slots__ = ()
    kind = "vehicle identifier"


class HardwareIdentifier(_Name):
    """The kind of hardware that an image is for (STD-5.2.3.1.1-5)."""

    __slots__ = ()
    kind = "hardware identifier"


class RoleName(_Name):
    """The name of a Targets role: `targets` or a delegated role (STD-5.2.3.2-9)."""

    __slots__ = ()
    kind = "role name"


class RepositoryName(str):
    """The name of a repository in the map: lower-case letters, digits, `-` and `_` (M-66)."""

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        if not isinstance(value, str) or not _REPOSITORY.fullmatch(value):
            raise FormatError(f"not a repository name: {value!r}", field="repository name")
        return super().__new__(cls, value)


class KeyId(str):
    """A key identifier: SHA-256 over key type, scheme and value, in lower-case hexadecimal (STD-5.2.1-2)."""

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        if not isinstance(value, str) or not _KEY_ID.fullmatch(value):
            raise FormatError(f"not a key identifier (64 hexadecimal digits): {str(value)[:80]!r}", field="key id")
        return super().__new__(cls, value)


def _check_path(kind: str, value: str) -> None:
    check_text(kind, value, MAX_PATH_BYTES)
    _check_components(kind, value)


# The same few images go to one vehicle after the other.
@lru_cache(maxsize=4096)
def _check_components(kind: str, value: str) -> None:
    for text in (value, unquote(value)):
        if "\\" in text or "\0" in text or text.startswith("/") or _WINDOWS_DRIVE.match(text):
            raise FormatError(f"{kind} must be relative, with / between folders: {value!r}", field=kind)
        for part in text.split("/"):
            if part in ("", ".", ".."):
                raise FormatError(f"{kind} leaves its folder or has an empty component: {value!r}", field=kind)
    if any(len(part.encode()) > MAX_PATH_COMPONENT_BYTES for part in value.split("/")):
        raise FormatError(
            f"{kind} has a component of more than {MAX_PATH_COMPONENT_BYTES} bytes: {value[:40]!r}...", field=kind
        )


class ImagePath(str):
    """The name of an image: a relative path that cannot leave its folder (STD-5.2.7-5)."""

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        if type(value) is cls:
            return value
        _check_path("image path", value)
        return super().__new__(cls, value)

    @property
    def folder(self) -> str:
        """Everything before the last `/`, with that `/`; empty at the top."""
        return self[: self.rfind("/") + 1]

    @property
    def file(self) -> str:
        """The last component."""
        return self[self.rfind("/") + 1 :]


class PathPattern(str):
    """Image paths covered by a delegation: `*` and `?` match within one component, case-sensitively (AMB-12)."""

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        if type(value) is cls:
            return value
        _check_path("path pattern", value)
        return super().__new__(cls, value)

    def matches(self, path: str) -> bool:
        """Whether `path` has as many components as the pattern and each one matches."""
        if not _WILDCARDS.search(self):
            return path == self
        parts, patterns = path.split("/"), self.split("/")
        return len(parts) == len(patterns) and all(
            _component_regex(pattern).fullmatch(part) for part, pattern in zip(parts, patterns, strict=True)
        )


@lru_cache(maxsize=4096)
def _component_regex(pattern: str) -> re.Pattern[str]:
    # fnmatch's expression never goes back over a `*`, so a pattern full of them costs no more than others do.
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")))
