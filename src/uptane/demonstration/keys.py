"""The key files of the demonstration, in the file format that goes with its profile."""

from uptane.demonstration.settings import Settings
from uptane.metadata.keys import KeyIdRule
from uptane.signing.signer import KeySigner
from uptane.storage.archived_key_files import ArchivedKeyFolder
from uptane.storage.key_files import KeyFolder


def key_folder(settings: Settings) -> KeyFolder | ArchivedKeyFolder:
    """The folder `demo/keys`: PEM files, or those of the archived implementation where its formats are spoken."""
    archived = settings.profile.format.key_id_rule is KeyIdRule.POUF1
    return ArchivedKeyFolder(settings.keys) if archived else KeyFolder(settings.keys)


def signer(settings: Settings, name: str) -> KeySigner:
    """The key of that name, made at its first use."""
    return KeySigner(key_folder(settings).load_or_generate(name), settings.profile.format.key_id_rule)
