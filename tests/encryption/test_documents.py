"""The example that docs/encrypted-images.md shows is true, and the names on that page are the ones in the code."""

import re
from pathlib import Path

from uptane.encryption import content, wrapping
from uptane.encryption.keys import DecryptionKey, EncryptionKeyType
from uptane.metadata.targets import WrappedKey

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "encrypted-images.md").read_text(encoding="utf-8")


def test_the_example_can_be_followed() -> None:
    shown = re.findall(r"^```\n(.+?)^```$", PAGE, re.MULTILINE | re.DOTALL)[-1]
    values = dict(re.split(r" {2,}", line, maxsplit=1) for line in shown.splitlines())
    key = DecryptionKey(key_type=EncryptionKeyType.X25519, material=bytes.fromhex(values["private key of the ECU"]))
    assert key.encryption_key.material.hex() == values["public key of the ECU"]
    wrapped = WrappedKey(method=wrapping.METHOD, value=bytes.fromhex(values["wrapped key"]))
    content_key = wrapping.unwrap_key(wrapped, key, values["info"].encode())
    assert content_key.hex() == values["content key"]
    running = content.Decryption(content_key, bytes.fromhex(values["nonce"]))
    assert running.update(bytes.fromhex(values["encrypted image"])).decode() == values["image"]
    running.finish()


def test_the_names_of_the_methods_are_on_the_page() -> None:
    assert {content.METHOD, wrapping.METHOD} <= set(re.findall(r"`([a-z0-9-]+)`", PAGE))
