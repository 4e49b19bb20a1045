"""The key files of the demonstration, in the file format that goes with its profile."""

from uptane.demonstration.settings import Settings
from uptane.encryption.keys import DecryptionKey, EncryptionKey
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.keys import KeyIdRule
from uptane.signing.signer import KeySigner
from uptane.storage.archived_key_files import ArchivedKeyFolder
from uptane.storage.decryption_key_files import DecryptionKeyFolder
from uptane.storage.key_files import KeyFolder


def key_folder(settings: Settings) -> KeyFolder | ArchivedKeyFolder:
    """The folder `demo/keys`: PEM files, or those of the archived implementation where its formats are spoken."""
    archived = settings.profile.format.key_id_rule is KeyIdRule.POUF1
    return ArchivedKeyFolder(settings.keys) if archived else KeyFolder(settings.keys)


def signer(settings: Settings, name: str) -> KeySigner:
    """The key of that name, made at its first use."""
    return KeySigner(key_folder(settings).load_or_generate(name), settings.profile.format.key_id_rule)


def decryption_key(settings: Settings, ecu: EcuIdentifier) -> DecryptionKey:
    """The key with which an ECU decrypts its images, made at its first use."""
    return DecryptionKeyFolder(settings.keys).load_or_generate(_decrypts(ecu))


def encryption_key(settings: Settings, ecu: EcuIdentifier) -> EncryptionKey | None:
    """The public part of that key; None where there is none."""
    return DecryptionKeyFolder(settings.keys).public(_decrypts(ecu))


def _decrypts(ecu: EcuIdentifier) -> str:
    return f"decrypts_{ecu}"
