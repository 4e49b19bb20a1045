"""The Image repository's first Root, which servers keep beside their keys: all that it publishes follows from that."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from uptane.assembly.settings import FILE_NAME, MetadataFormat, Settings
from uptane.metadata.errors import ProvisioningError, SecurityError, SettingsError, StorageError
from uptane.metadata.identifiers import RepositoryName
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import Role, RoleKeys, Root
from uptane.signing.ports import MetadataStore
from uptane.storage.pinned_root import PinnedRoot, read_pin
from uptane.verification.check_root import load_root
from uptane.verification.trusted import Context

_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)


def name_of_first(settings: Settings) -> str:
    """Its name in the published metadata."""
    return settings.profile.metadata_name(Role.ROOT, 1)


def pin_of(settings: Settings) -> Path:
    """The file that has it."""
    return _pin(settings, settings.format)


def _pin(settings: Settings, form: MetadataFormat) -> Path:
    return settings.place(settings.keys.folder) / f"image-repository-first-root.{form}"


def kept_first_root(settings: Settings) -> bytes | None:
    """What the servers were made with; None where it was not kept.

    Raises:
        SettingsError: what was kept is of another format than the settings name.
        StorageError: the file cannot be read, or holds nothing.
    """
    for form in get_args(MetadataFormat):
        if form != settings.format and os.path.lexists(_pin(settings, form)):
            raise SettingsError(
                f"the settings name the format {settings.format}, but these servers were made with {form}: "
                f"{_pin(settings, form)} is there",
                next_step=f"Name the format {form}, in {FILE_NAME} or with --format, or make new servers elsewhere.",
                field="format",
            )
    return read_pin(pin_of(settings))


def under_first_root(settings: Settings, published: MetadataStore) -> PinnedRoot:
    """The published metadata under the first Root that was kept.

    Raises:
        ProvisioningError: it was not.
        SettingsError, StorageError: as `kept_first_root` does.
    """
    first = kept_first_root(settings)
    if first is None:
        raise ProvisioningError(
            f"the first Root of the Image repository is not in {pin_of(settings)}: whoever can write to "
            f"{settings.storage.url} could put another one in its place",
            next_step=f"Bring that file from where uptane init ran, or {name_of_first(settings)} from a backup.",
        )
    return PinnedRoot(published, name_of_first(settings), first)


async def first_root_to_keep(
    settings: Settings, published: MetadataStore, keys: Mapping[Role, PublicKey | None]
) -> bytes | None:
    """The first Root that is published, where new servers may be built on it; None where nothing is.

    It is the one that was kept or, after an `uptane init` that was cut off, one that is what it would make.

    Args:
        settings: of the new servers.
        published: what is in their store.
        keys: the Image repository's, as far as there are any.

    Raises:
        StorageError: it is another one, or the one that was kept is missing.
        SettingsError: as `kept_first_root` does.
    """
    name, kept = name_of_first(settings), kept_first_root(settings)
    if kept is not None:
        return await PinnedRoot(published, name, kept).read(name)
    first = await published.read(name)
    if first is not None and not _is_made_with(settings, first, keys):
        pin = pin_of(settings)
        raise StorageError(
            f"{settings.storage.url} has a first Root of an Image repository, and it is not what the keys in "
            f"{pin.parent} make: it belongs to other servers, or somebody put it there",
            next_step=f"Name a store that is empty; or, where that store belongs to these keys, bring {pin.name} to "
            f"{pin.parent} from where its servers were made.",
            name=name,
        )
    return first


def _is_made_with(settings: Settings, first: bytes, keys: Mapping[Role, PublicKey | None]) -> bool:
    """Whether it is a Root as `uptane init` makes it: one of these keys in each role, no others, and signed."""
    own = {role: key for role, key in keys.items() if key is not None}
    if len(own) < len(Role):
        return False
    whose = Context(repository=RepositoryName("published"), profile=settings.profile, now=_ANY_TIME)
    try:
        root = load_root(whose, first).value
    except SecurityError:
        return False
    return root == Root(
        version=1,
        expires=root.expires,
        keys={key.key_id: key for key in own.values()},
        roles={role: RoleKeys(key_ids=(key.key_id,), threshold=1) for role, key in own.items()},
    )
