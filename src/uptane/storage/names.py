"""Names of stored things, checked component by component before any of them meets a file system."""

import re

from uptane.metadata.digests import HASH_FUNCTIONS
from uptane.metadata.errors import FormatError
from uptane.metadata.identifiers import check_text

UNFINISHED = ".new-"
"""How the names of files begin that are still being written; no stored thing may be called so."""

MAX_NAME_BYTES = 512
"""Bytes of a whole name: the longest image path with a SHA-512 in hexadecimal in front of its file takes 384."""

MAX_COMPONENT_BYTES = 255
"""Bytes of one component: what file systems take."""

_WORD = re.compile(r"[a-z0-9_-]{1,128}")
_HASHED = re.compile("|".join(f"[0-9a-f]{{{2 * size}}}" for size in HASH_FUNCTIONS.values()))


def components(name: str) -> tuple[str, ...]:
    """The components of a relative name with `/` between them.

    Raises:
        FormatError: the name is empty, absolute, too long, not NFC, holds a control character or a backslash, has a
            component that is empty, `.` or `..`, or one that is reserved for files being written.
    """
    parts = tuple(check_text("file name", name, MAX_NAME_BYTES).split("/"))
    for part in parts:
        if part in ("", ".", "..") or "\\" in part:
            raise FormatError(f"the name leaves its folder or has an empty component: {name!r}", field="file name")
        if part.startswith(UNFINISHED):
            raise FormatError(f"names in {UNFINISHED}* are for files being written: {name!r}", field="file name")
        if len(part.encode()) > MAX_COMPONENT_BYTES:
            raise FormatError(
                f"the name has a component of more than {MAX_COMPONENT_BYTES} bytes: {name[:40]!r}...",
                field="file name",
            )
    return parts


def single(name: str) -> str:
    """Returns a name of exactly one component; raises FormatError as `components` does, and for a `/`."""
    if len(components(name)) != 1:
        raise FormatError(f"the name must have one component only: {name!r}", field="file name")
    return name


def word(name: str) -> str:
    """Returns a name of 1 to 128 lower-case letters, digits, `_` and `-`, such as a hash; else raises FormatError."""
    if not isinstance(name, str) or not _WORD.fullmatch(name):
        raise FormatError(f"not a name of lower-case letters, digits, _ and -: {str(name)[:80]!r}", field="image slot")
    return name


def is_hashed(file: str) -> bool:
    """Whether a file's name begins as hash-qualified ones do: a digest in hexadecimal and a dot (STD-5.2.7-3)."""
    digest, dot, _ = file.partition(".")
    return bool(dot and _HASHED.fullmatch(digest))
