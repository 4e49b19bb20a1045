"""`uptane image-repository upload`: what a supplier signed is verified, and then published."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from uptane.cli.operating import run, tell
from uptane.cli.options import AsJson, Optional, Servers
from uptane.cli.progress import counted, progress
from uptane.cli.supplier import read_targets
from uptane.formats.profile import Profile
from uptane.image_repository.uploads import Upload
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.storage.incoming import images_in

_VERSION = re.compile(r"[0-9]+\.")

Keys = Annotated[tuple[Path, ...], Optional]


def upload(
    metadata: Path,
    images: Path,
    /,
    *,
    servers: Servers = Path(),
    repository: Path | None = None,
    snapshot_key: Keys = (),
    timestamp_key: Keys = (),
    role: str | None = None,
    json_output: AsJson = False,
) -> None:
    """Hand in a supplier's signed metadata and images to an Image repository on this machine.

    Args:
        metadata: the signed Targets file, as `uptane supplier sign` writes it.
        images: the folder of the images that it lists; those that are published already need not be there.
        servers: the folder of `uptane init`, whose Image repository it is.
        repository: in place of that, the folder of an Image repository, which holds `metadata/` and `targets/`.
        snapshot_key: for a folder, a private key of the Snapshot role, a PEM file; can be given several times.
        timestamp_key: for a folder, a private key of the Timestamp role, a PEM file; can be given several times.
        role: the delegated role; unless given, the name of the metadata file says it.
        json_output: print one JSON object.
    """
    profile, envelope = read_targets(metadata)
    name = RoleName(role) if role is not None else _role_of(metadata, profile)
    listed = envelope.payload.images
    found = images_in(images)
    total = sum(listed[path].file.length for path in found if path in listed)
    with progress(f"Uploading {len(found)} images", total) as done:
        pieces = counted(found, done)
        if repository is None:
            said = _to_servers(servers, name, envelope.raw, pieces)
        else:
            handed_in = Upload(role=name, metadata=envelope.raw, images=pieces)
            said = _to_folder(repository, profile, handed_in, (*snapshot_key, *timestamp_key))
    version = envelope.payload.version
    said |= {"version": version, "images": len(listed)}
    text = (
        f"Role {name}, version {version}, is published: {len(listed)} images."
        if said["published"]
        else f"Role {name}, version {version}, has {said['signatures']} of {said['needed']} signatures and waits."
    )
    tell(said, text, json_output)


def _to_servers(
    servers: Path, role: RoleName, metadata: bytes, images: Mapping[ImagePath, Callable[[], Iterable[bytes]]]
) -> dict[str, Any]:
    from uptane.assembly.delegating import receive_upload

    return run(servers, lambda systems: receive_upload(systems, role, metadata, images))


def _to_folder(repository: Path, profile: Profile, handed_in: Upload, keys: tuple[Path, ...]) -> dict[str, Any]:
    from uptane.assembly.servers import image_repository_over_folder
    from uptane.signing.signer import KeySigner
    from uptane.storage.key_files import load_private_key

    if not keys:
        raise UptaneError(
            "a folder's metadata cannot be signed without keys", next_step="Give --snapshot-key and --timestamp-key."
        )
    keeper = image_repository_over_folder(profile, repository)
    keeper.add_signers(KeySigner(load_private_key(key), profile.format.key_id_rule) for key in keys)
    receipt = asyncio.run(keeper.receive(handed_in, datetime.now(UTC)))
    return {
        "role": str(handed_in.role),
        "signatures": receipt.signatures,
        "needed": receipt.needed,
        "published": receipt.published is not None,
    }


def _role_of(metadata: Path, profile: Profile) -> RoleName:
    name = metadata.name.removesuffix(f".{profile.format.extension}")
    return RoleName(_VERSION.sub("", name, count=1) if _VERSION.match(name) else name)
