"""`uptane image-repository upload`: what a supplier signed is verified, and then published."""

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from uptane.assembly.servers import image_repository_over_folder
from uptane.cli.supplier import read_targets
from uptane.formats.profile import Profile
from uptane.image_repository.uploads import Upload
from uptane.metadata.identifiers import RoleName
from uptane.signing.signer import KeySigner
from uptane.storage.incoming import images_in
from uptane.storage.key_files import load_private_key

_VERSION = re.compile(r"[0-9]+\.")


def upload(
    metadata: Path,
    images: Path,
    /,
    *,
    repository: Path,
    snapshot_key: Annotated[tuple[Path, ...], Parameter(negative=())],
    timestamp_key: Annotated[tuple[Path, ...], Parameter(negative=())],
    role: str | None = None,
) -> None:
    """Hand in a supplier's signed metadata and images to an Image repository on this machine.

    Args:
        metadata: the signed Targets file, as `uptane supplier sign` writes it.
        images: the folder of the images that it lists; those that are published already need not be there.
        repository: the folder of the Image repository, which holds `metadata/` and `targets/`.
        snapshot_key: a private key of the Snapshot role, a PEM file; can be given several times.
        timestamp_key: a private key of the Timestamp role, a PEM file; can be given several times.
        role: the delegated role; unless given, the name of the metadata file says it.
    """
    profile, envelope = read_targets(metadata)
    name = RoleName(role) if role is not None else _role_of(metadata, profile)
    handed_in = Upload(role=name, metadata=envelope.raw, images=images_in(images))
    keeper = image_repository_over_folder(profile, repository)
    rule = profile.format.key_id_rule
    keeper.add_signers(KeySigner(load_private_key(key), rule) for key in (*snapshot_key, *timestamp_key))
    receipt = asyncio.run(keeper.receive(handed_in, datetime.now(UTC)))
    version = envelope.payload.version
    if receipt.published is None:
        print(f"Role {name}, version {version}, has {receipt.signatures} of {receipt.needed} signatures and waits.")
    else:
        print(f"Role {name}, version {version}, is published: {len(envelope.payload.images)} images.")


def _role_of(metadata: Path, profile: Profile) -> RoleName:
    name = metadata.name.removesuffix(f".{profile.format.extension}")
    return RoleName(_VERSION.sub("", name, count=1) if _VERSION.match(name) else name)
