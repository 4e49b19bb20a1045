"""Keys, key ids, canonical JSON and Ed25519 signatures as the archived implementation had them."""

import hashlib
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

METHOD = "ed25519"
KEYID_HASH_ALGORITHMS = ("sha256", "sha512")


def canonical_json(value: object) -> str:
    """OLPC canonical JSON: sorted members, no blanks, only backslash and quote escaped, no floats."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'
        case list() | tuple():
            return "[" + ",".join(canonical_json(item) for item in value) + "]"
        case dict():
            members = (f"{canonical_json(name)}:{canonical_json(value[name])}" for name in sorted(value))
            return "{" + ",".join(members) + "}"
        case _:
            raise TypeError(f"{type(value).__name__} has no canonical JSON")


@dataclass(frozen=True, slots=True)
class Key:
    """An Ed25519 key.

    Args:
        public: 32 bytes in hex.
        private: its seed, 32 bytes in hex, where it is known.
    """

    public: str
    private: str | None = None

    @classmethod
    def generate(cls) -> "Key":
        """A new pair."""
        pair = Ed25519PrivateKey.generate()
        return cls(pair.public_key().public_bytes_raw().hex(), pair.private_bytes_raw().hex())

    @classmethod
    def from_struct(cls, struct: dict[str, Any]) -> "Key":
        """The public key of a Root's entry, of a key file or of an XML-RPC argument."""
        if struct["keytype"] != METHOD:
            raise ValueError(f"key type {struct['keytype']!r} instead of {METHOD!r}")
        return cls(struct["keyval"]["public"])

    @property
    def keyid(self) -> str:
        """SHA-256 of the canonical JSON of its public form."""
        return hashlib.sha256(canonical_json(self.in_metadata()).encode()).hexdigest()

    def in_metadata(self) -> dict[str, Any]:
        """As it stands in Root metadata and in `.pub` files."""
        return {
            "keyid_hash_algorithms": list(KEYID_HASH_ALGORITHMS),
            "keytype": METHOD,
            "keyval": {"public": self.public},
        }

    def in_call(self) -> dict[str, Any]:
        """As XML-RPC carries it: a struct in both formats."""
        return {**self.in_metadata(), "keyid": self.keyid}

    def sign(self, message: bytes) -> dict[str, str]:
        """A signature as it stands in a signed object."""
        if self.private is None:
            raise ValueError(f"the private half of {self.keyid} is not known")
        private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(self.private))
        return {"keyid": self.keyid, "method": METHOD, "sig": private.sign(message).hex()}

    def verifies(self, signature: dict[str, str], message: bytes) -> bool:
        """Whether the signature is this key's; a bool because the archived code counted good ones."""
        if signature["method"] != METHOD:
            return False
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public)).verify(
                bytes.fromhex(signature["sig"]), message
            )
        except InvalidSignature:
            return False
        return True
