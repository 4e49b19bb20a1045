"""The Timeserver's keys in the Director's Root: an extension, with the same value in every format (BP-TIME-7)."""

from collections.abc import Sequence

from msgspec import structs

from uptane.formats.canonical_json import Json, canonical, decode_canonical
from uptane.formats.json_delegations import read_key, write_key
from uptane.metadata.errors import FormatError
from uptane.metadata.extensions import Extensions
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import Root

TIMESERVER_KEYS = "timeserver_keys"
"""The name of the extension; its value is the canonical JSON text of a list of TUF's key objects."""

MAX_TIMESERVER_KEYS = 8
"""Keys in the list: one, and a second one while it takes the place of the first, for each of a few Timeservers."""


def write_timeserver_keys(keys: Sequence[PublicKey]) -> bytes:
    """The value of the extension.

    Raises:
        FormatError: no key, one key twice, or more than MAX_TIMESERVER_KEYS.
    """
    _check(keys)
    listed: list[Json] = [write_key(key) for key in keys]
    return canonical(listed)


def read_timeserver_keys(text: bytes) -> tuple[PublicKey, ...]:
    """The inverse of `write_timeserver_keys`; raises FormatError."""
    listed = decode_canonical(text)
    if not isinstance(listed, list):
        raise FormatError("the Timeserver's keys must be a list", field=TIMESERVER_KEYS)
    keys = tuple(read_key(each) for each in listed[: MAX_TIMESERVER_KEYS + 1])
    _check(keys)
    return keys


def with_timeserver_keys(root: Root, keys: Sequence[PublicKey]) -> Root:
    """The same Root, which names these keys in place of others; raises FormatError as `write_timeserver_keys`."""
    others = tuple(item for item in root.extensions if item[0] != TIMESERVER_KEYS)
    return structs.replace(root, extensions=Extensions((*others, (TIMESERVER_KEYS, write_timeserver_keys(keys)))))


def timeserver_keys_of(root: Root) -> tuple[PublicKey, ...]:
    """The keys that a Root names, which are none where it says nothing of them; FormatError where they are no keys."""
    text = root.extensions.as_dict().get(TIMESERVER_KEYS)
    return () if text is None else read_timeserver_keys(text)


def keeping_timeserver_keys(root: Root, before: Root) -> Root:
    """A new Root with the keys that the one before it names, where it names none itself."""
    keys = timeserver_keys_of(before)
    return with_timeserver_keys(root, keys) if keys and not timeserver_keys_of(root) else root


def _check(keys: Sequence[PublicKey]) -> None:
    if not 1 <= len(keys) <= MAX_TIMESERVER_KEYS or len({key.material for key in keys}) != len(keys):
        raise FormatError(
            f"the Timeserver has 1 to {MAX_TIMESERVER_KEYS} different keys", field=TIMESERVER_KEYS, offered=len(keys)
        )
