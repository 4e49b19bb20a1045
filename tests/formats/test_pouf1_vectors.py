"""Objects whose bytes, hashes and signatures are written down here: what is signed, and how keys are identified."""

import hashlib
import json

import pytest

from uptane.formats.pouf1.der import POUF1
from uptane.formats.pouf1.json import POUF1_JSON
from uptane.formats.profile import Format, Payload
from uptane.metadata.envelope import Signature
from uptane.metadata.keys import KeyIdRule, PublicKey
from uptane.metadata.targets import Targets
from uptane.metadata.time_attestation import TimeAttestation

TIMESERVER = "5d7750b208dfc7ade8f6106b9c3fa25162d5a184f302161e429f19a79e66a908"
DIRECTOR = "99ef8790687ca252c4677a80a34e401efb7e17ccdf9b0fcb5f1bc3260c432cb9"
KEY_IDS = {
    TIMESERVER: "79c796d7e87389d1ebad04edce49faef611d139ee41ea9fb1931732afbfaac2e",
    DIRECTOR: "630cf584f392430b2119a4395e39624e86f5e5c5374507a789be5cf35bf090d6",
}
TIME_DER = bytes.fromhex("301102010230060201010201020204591dca71")
TIME_JSON = b'{"nonces":[1,2],"time":"2017-05-18T16:23:13Z"}'
TARGETS_DER = bytes.fromhex("a01580010181047b27a10b820101a307a105800100a100")
TARGETS_JSON = (
    b'{"_type":"Targets","delegations":{"keys":{},"roles":[]},'
    b'"expires":"2037-09-28T12:46:29Z","targets":{},"version":1}'
)
VECTORS = [
    pytest.param(
        POUF1,
        TimeAttestation,
        TIMESERVER,
        TIME_DER,
        bytes.fromhex("279dad48665ac2adf4ed959906c963aa8db214d2336425ce8d3fb922f71aa595"),
        "03378a07946e282225a2a665999052ca55f2e1b2c6b243e9049e8f06fc0a7b3b"
        "e5639c196731e2acb5bb7aa25777b24094aaf6122214725c0cd279d0f3ed4000",
        id="time attestation in DER",
    ),
    pytest.param(
        POUF1_JSON,
        TimeAttestation,
        TIMESERVER,
        TIME_JSON,
        TIME_JSON,
        "169791018248eaf1969bd518c306d34b508af83d5ffc35239f14974c5becdd65"
        "dcc3c2ce4e578f09baaf7954150a5efd7170a3a296d073065a30c6da7272c503",
        id="time attestation in JSON",
    ),
    pytest.param(
        POUF1,
        Targets,
        DIRECTOR,
        TARGETS_DER,
        bytes.fromhex("dea4376f2f7539c6b7825f37ae94ff0eb08b7f71cf2913f70b83512318ec2f15"),
        "f8b6bda6b353a53a3346bc405d7cd9a640585f242aad7cf79413a15a1fa31615"
        "023735d61d60988c8ac68b7c2320decd6a49367ee9cc842e3a75403bf4dbd508",
        id="Targets in DER",
    ),
    pytest.param(
        POUF1_JSON,
        Targets,
        DIRECTOR,
        TARGETS_JSON,
        TARGETS_JSON,
        "263a6d873455bac478366d92edc04cac55cc0e545b5f4249cf696254263d58de"
        "6a225446ce96725bccb83ffdaab548fcd89cb790020039ef336fb422364c1800",
        id="Targets in JSON",
    ),
]


def key_of(public: str) -> PublicKey:
    return POUF1.decode_key(
        b'{"keytype":"ed25519","keyid_hash_algorithms":["sha256","sha512"],"keyval":{"public":"%b"}}' % public.encode()
    )


def whole(wire: Format, signed: bytes, key_id: str, signature: str) -> bytes:
    """The signed object, put together without the code under test."""
    if wire is POUF1_JSON:
        entry = {"keyid": key_id, "method": "ed25519", "sig": signature}
        value = {"signatures": [entry], "signed": json.loads(signed)}
        return json.dumps(value, indent=1, separators=(",", ": "), sort_keys=True).encode()
    entry_der = b"\x30\x67\x04\x20" + bytes.fromhex(key_id) + b"\x0a\x01\x01\x04\x40" + bytes.fromhex(signature)
    number, signatures = (b"\x81", b"\xa2") if signed[0] == 0xA0 else (b"\x02", b"\x30")
    content = signed + number + b"\x01\x01" + signatures + b"\x69" + entry_der
    return (b"\x30" if len(content) < 128 else b"\x30\x81") + bytes([len(content)]) + content


@pytest.mark.parametrize(("wire", "kind", "public", "signed", "message", "signature"), VECTORS)
def test_a_vector_is_read_verifies_and_is_written_again(
    wire: Format, kind: type[TimeAttestation], public: str, signed: bytes, message: bytes, signature: str
) -> None:
    raw = whole(wire, signed, KEY_IDS[public], signature)
    envelope = wire.decode(kind, raw)
    assert envelope.raw == raw
    assert envelope.message == message
    assert envelope.signatures == (Signature(key_id=key_of(public).key_id, value=bytes.fromhex(signature)),)
    assert key_of(public).verify(envelope.signatures[0].value, envelope.message)
    payload: Payload = envelope.payload
    unsigned = wire.encode(payload)
    assert unsigned.message == message
    assert wire.assemble(unsigned, envelope.signatures) == raw


def test_what_is_signed_in_der_is_the_hash_of_the_payload_with_its_tag() -> None:
    tags = {Targets: b"\xa0", TimeAttestation: b"\x30"}
    for wire, kind, public, signed, message, signature in (param.values for param in VECTORS):
        if wire is POUF1:
            assert signed[:1] == tags[kind]
            assert hashlib.sha256(signed).digest() == message
            other = hashlib.sha256((b"\x30" if signed[0] == 0xA0 else b"\xa0") + signed[1:]).digest()
            assert not key_of(public).verify(bytes.fromhex(signature), other)


@pytest.mark.parametrize("public", KEY_IDS)
def test_a_key_identifier_is_over_the_members_that_the_archived_keys_have(public: str) -> None:
    key = key_of(public)
    assert key.key_id == KEY_IDS[public]
    assert key.id_rule is KeyIdRule.POUF1
    described = json.loads(POUF1.encode_key(key))
    assert described == {
        "keyid": KEY_IDS[public],
        "keyid_hash_algorithms": ["sha256", "sha512"],
        "keytype": "ed25519",
        "keyval": {"public": public},
    }
    assert POUF1.encode_key(key) == POUF1_JSON.encode_key(key)
    assert POUF1_JSON.decode_key(POUF1.encode_key(key)) == key
