"""The examples of `docs/pouf.md`, made by the code: a test compares them with the page, byte for byte."""

import hashlib
import textwrap
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ed25519

from uptane.formats.fault_text import fault_text
from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.formats.xmlrpc import encode_call
from uptane.metadata.digests import Digests
from uptane.metadata.errors import ReplayedReportError
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, RepositoryName
from uptane.metadata.root import Role
from uptane.metadata.targets import ImageFile
from uptane.metadata.time_attestation import TimeAttestation
from uptane.metadata.version_report import EcuVersionReport
from uptane.signing.sign import sign
from uptane.signing.signer import KeySigner
from uptane.transport.http_client import _encoded
from uptane.vehicle.distribution import pack, place
from uptane.vehicle.installation import stored_as

# The secret key of the first test of RFC 8032, section 7.1.
SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
SIGNER = KeySigner(ed25519.Ed25519PrivateKey.from_private_bytes(SECRET))
CONTENT = b"example\n"
IMAGE = ImageFile(path=ImagePath("tcu/brakes 2.img"), length=len(CONTENT), digests=Digests.of(CONTENT))
REPORT = EcuVersionReport(
    ecu=EcuIdentifier("TCU-1"),
    installed=IMAGE,
    attacks_detected="E-FREEZE freeze: timestamp of director expired",
    time=datetime(2026, 11, 24, 12, 0, tzinfo=UTC),
    previous_time=datetime(2026, 11, 23, 12, 0, tzinfo=UTC),
    counter=1_764_000_000_000_001,
    nonce=1_234_567,
)
ATTESTATION = TimeAttestation(time=datetime(2026, 11, 24, 12, 0, tzinfo=UTC), nonces=(1_234_567, 7))
WIDTH = 118


def examples() -> dict[str, str]:
    """Every example by its name; long lines are broken, and binary ones are in hexadecimal."""
    json, der = PROFILES["json"], PROFILES["der"]
    return {
        "key.json": json.format.encode_key(SIGNER.key).decode(),
        "key.der": _hexadecimal(der.format.encode_key(SIGNER.key)),
        "key identifier": SIGNER.key.key_id,
        "report.json": _broken(sign(json, REPORT, [SIGNER]).decode()),
        "report.json hash": _payload_hash(json),
        "report.der": _hexadecimal(sign(der, REPORT, [SIGNER])),
        "report.der hash": _payload_hash(der),
        "attestation.json": _broken(sign(json, ATTESTATION, [SIGNER]).decode()),
        "attestation.der": _hexadecimal(sign(der, ATTESTATION, [SIGNER])),
        "names": "\n".join(_names(json)),
        "call": encode_call("get_signed_time", [list(ATTESTATION.nonces)]).decode().rstrip("\n"),
        "fault": fault_text(
            ReplayedReportError(
                "the version report of TCU-1 has counter 5; 5 was accepted before", next_step="Send a new one."
            )
        ),
        "bundle": _hexadecimal(pack({place(json, RepositoryName("director"), "1.root.json"): b"{}"})),
    }


def _payload_hash(profile: Profile) -> str:
    return hashlib.sha256(profile.format.encode(REPORT).message).hexdigest()


def _broken(text: str) -> str:
    return "\n".join(text[start : start + WIDTH] for start in range(0, len(text), WIDTH))


def _hexadecimal(raw: bytes) -> str:
    return "\n".join(textwrap.wrap(raw.hex(), 2 * 56))


def _names(profile: Profile) -> list[str]:
    digest = IMAGE.digests.items[0][1]
    return [
        f"metadata/{profile.requested_metadata(Role.ROOT, 2)}",
        f"metadata/{profile.requested_metadata(Role.TIMESTAMP)}",
        f"metadata/{profile.requested_metadata(Role.SNAPSHOT, 7)}",
        f"metadata/{profile.requested_metadata('supplier', 3)}",
        f"targets/{_encoded(profile.requested_image(IMAGE.path, digest))}",
        stored_as(IMAGE),
    ]
