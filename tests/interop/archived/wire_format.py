"""The two formats of the archived implementation: what is signed, what stands in files, what XML-RPC carries."""

import hashlib
import json
from typing import Any
from xmlrpc.client import Binary

from archived import der
from archived.der import ROLE, Signable
from archived.errors import BadSignatureError, FailedToDecode
from archived.signatures import Key, canonical_json


class WireFormat:
    """JSON.

    Args:
        extension: how metadata files end.
    """

    def __init__(self, extension: str) -> None:
        self.extension = extension

    def filename(self, role: str) -> str:
        """`root.json` or the like: never with a version."""
        return f"{role}.{self.extension}"

    def message(self, signed: dict[str, Any]) -> bytes:
        """What is signed."""
        return canonical_json(signed).encode()

    def to_bytes(self, signable: Signable) -> bytes:
        """A role file."""
        return json.dumps(signable, indent=1, separators=(",", ": "), sort_keys=True).encode()

    def from_bytes(self, data: bytes, kind: str = ROLE) -> Signable:
        """A signed object from its bytes.

        Raises:
            FailedToDecode: it is none of that kind.
        """
        try:
            signable = json.loads(data)
            found = der.kind_of(signable["signed"]) if isinstance(signable["signatures"], list) else "nothing signed"
        except (ValueError, LookupError, TypeError) as error:
            raise FailedToDecode(f"no {kind}: {error}") from error
        if found != kind:
            raise FailedToDecode(f"{found} instead of {kind}")
        result: Signable = signable
        return result

    def to_call(self, signable: Signable) -> Any:
        """An XML-RPC argument or result."""
        return signable

    def from_call(self, value: Any, kind: str) -> Signable:
        """A signed object from an XML-RPC argument or result.

        Raises:
            FailedToDecode: it is none of that kind.
        """
        if not isinstance(value, dict) or der.kind_of(value.get("signed", {})) != kind:
            raise FailedToDecode(f"{type(value).__name__} is no {kind}")
        return value

    def sign(self, signed: dict[str, Any], key: Key) -> Signable:
        """A signed object with one signature."""
        return {"signed": signed, "signatures": [key.sign(self.message(signed))]}

    def check_signature(self, signable: Signable, key: Key) -> None:
        """Looks at the first signature only, as the archived implementation did for everything but role files.

        Raises:
            BadSignatureError: it is not this key's.
        """
        if not key.verifies(signable["signatures"][0], self.message(signable["signed"])):
            raise BadSignatureError(f"not signed with {key.keyid}")


class DerFormat(WireFormat):
    """DER: the SHA-256 of the TLV of `signed` is signed, files are binary, XML-RPC carries base64."""

    def message(self, signed: dict[str, Any]) -> bytes:
        """What is signed."""
        return hashlib.sha256(der.encode_signed(signed)).digest()

    def to_bytes(self, signable: Signable) -> bytes:
        """A signed object's bytes."""
        return der.encode(signable)

    def from_bytes(self, data: bytes, kind: str = ROLE) -> Signable:
        """A signed object from its bytes.

        Raises:
            FailedToDecode: it is none of that kind.
        """
        return der.decode(kind, data)

    def to_call(self, signable: Signable) -> Any:
        """An XML-RPC argument or result."""
        return Binary(der.encode(signable))

    def from_call(self, value: Any, kind: str) -> Signable:
        """A signed object from an XML-RPC argument or result.

        Raises:
            FailedToDecode: it is none of that kind.
        """
        if not isinstance(value, Binary):
            raise FailedToDecode(f"{type(value).__name__} instead of the base64 of a {kind}")
        return der.decode(kind, value.data)


JSON = WireFormat("json")
DER = DerFormat("der")
