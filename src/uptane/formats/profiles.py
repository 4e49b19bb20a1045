"""The profiles that can be chosen by name, and which one a file is written in."""

from dataclasses import replace

from cryptography.hazmat import asn1

from uptane.formats.canonical_json import Json, decode_strict
from uptane.formats.der_format import DER
from uptane.formats.json_format import JSON
from uptane.formats.pouf1.der import POUF1
from uptane.formats.pouf1.der_schema import Parts, Whole
from uptane.formats.pouf1.json import POUF1_JSON
from uptane.formats.profile import Profile
from uptane.metadata.errors import FormatError
from uptane.metadata.root import Role

_ARCHIVED = Profile(
    format=POUF1,
    key_structs_in_calls=True,
    no_delegations=True,
    ascii_only=True,
    unsafe_plain_names=True,
    unsafe_root_through_snapshot=True,
    unsafe_versions_only=True,
    unsafe_no_vehicle_id=True,
    unsafe_no_report_counter=True,
    unsafe_no_hash_in_signatures=True,
    unsafe_incomplete_manifests=True,
    unsafe_several_reports=True,
    unsafe_last_image_counts=True,
    unsafe_unknown_ecus=True,
    unsafe_shared_keys=True,
    unsafe_unverified_reports=True,
    unsafe_newlines_in_attacks=True,
    unsafe_root_only_provisioning=True,
    unsafe_partial_without_root=True,
    unsafe_any_address_as_host=True,
)

PROFILES = {
    "der": Profile(format=DER),
    "json": Profile(format=JSON),
    "pouf1": _ARCHIVED,
    "pouf1-json": replace(_ARCHIVED, format=POUF1_JSON, structs_in_calls=True, ascii_only=False),
}
"""`der` is the default of the demonstration; `json` is TUF 1.0 for the Image repository; the others speak with the
archived reference implementation."""

_ARCHIVED_TYPES = [role.capitalize() for role in Role]


def profile_of(name: str) -> Profile:
    """The profile of that name; FormatError for an unknown one."""
    if name not in PROFILES:
        raise FormatError(f"unknown format {name!r}", next_step=f"Choose one of {', '.join(PROFILES)}.")
    return PROFILES[name]


def recognised(raw: bytes) -> Profile | None:
    """The profile whose format some metadata, a public key or a map seems to be written in, or None.

    Nothing is verified: the file may still be none of that format. A public key and a map are the same in both archived
    formats; a key is then called `pouf1-json`, a map `json`.
    """
    try:
        if raw.lstrip()[:1] == b"{":
            return PROFILES["pouf1-json" if _is_archived(decode_strict(raw)) else "json"]
        return _OF_FIRST_TAG.get(_first_tag(raw))
    except (ValueError, FormatError):
        return None


def _is_archived(value: dict[str, Json]) -> bool:
    """Whether a JSON object has what only the archived implementation writes, or lacks what it alone leaves out."""
    if "signed" not in value:
        return "keyid_hash_algorithms" in value
    signed, entries = value["signed"], value.get("signatures")
    if isinstance(signed, dict) and ("_type" not in signed or signed["_type"] in _ARCHIVED_TYPES):
        return True
    return isinstance(entries, list) and any(
        isinstance(entry, dict) and "method" in entry and "hash" not in entry for entry in entries
    )


_OF_FIRST_TAG = {b"\x02": PROFILES["der"], b"\xa0": PROFILES["pouf1"], b"\x30": PROFILES["pouf1"]}
"""DER objects by the tag of their first part: the version of the format, or what is signed."""


def _first_tag(raw: bytes) -> bytes:
    whole = asn1.encode_der(Whole(whole=asn1.decode_der(asn1.TLV, raw)))
    return next((part.tag_bytes for part in asn1.decode_der(Parts, whole).parts), b"")
