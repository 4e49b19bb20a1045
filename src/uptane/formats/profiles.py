"""The profiles that can be chosen by name."""

from uptane.formats.der_format import DER
from uptane.formats.json_format import JSON
from uptane.formats.profile import Profile
from uptane.metadata.errors import FormatError

PROFILES = {"der": Profile(format=DER), "json": Profile(format=JSON)}
"""`der` is the default of the demonstration; `json` is TUF 1.0 for the Image repository."""


def profile_of(name: str) -> Profile:
    """The profile of that name; FormatError for an unknown one."""
    if name not in PROFILES:
        raise FormatError(f"unknown format {name!r}", next_step=f"Choose one of {', '.join(PROFILES)}.")
    return PROFILES[name]
