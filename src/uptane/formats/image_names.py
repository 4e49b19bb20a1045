"""Many names of images at once: whether each would pass as an `ImagePath`."""

from collections.abc import Sequence
from typing import Final

from uptane.metadata.identifiers import MAX_PATH_COMPONENT_BYTES

_ORDINARY: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./ +,=@()"
"""Characters of image names that need no look at each: no control, escape, percent sign, colon or other alphabet."""

_DOTS_AS_SLASHES: Final = bytes.maketrans(b".", b"/")


def are_ordinary(names: Sequence[str]) -> bool:
    """Whether each of these names, at least one, would pass as an `ImagePath`; False for some rare ones that would too.

    The names are joined into one long path: it has an empty component exactly if one of them has, or is empty, or
    begins or ends with a slash. With dots taken for slashes that holds for components `.` and `..` too.
    """
    try:
        joined = f"/{'/'.join(names)}/".encode()
    except UnicodeEncodeError:
        return False
    return (
        max(map(len, names)) <= MAX_PATH_COMPONENT_BYTES
        and not joined.translate(None, _ORDINARY)
        and b"//" not in joined.translate(_DOTS_AS_SLASHES)
    )
