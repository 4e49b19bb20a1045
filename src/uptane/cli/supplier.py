"""`uptane supplier`: Targets metadata of a delegated role, made and signed where its key is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from uptane.formats.profile import Profile
from uptane.formats.profiles import profile_of, recognised
from uptane.image_repository.supplier import described_stream, next_targets
from uptane.image_repository.uploads import signed_with
from uptane.metadata.envelope import Envelope, Signature
from uptane.metadata.errors import FormatError, UptaneError
from uptane.metadata.identifiers import HardwareIdentifier, RoleName
from uptane.metadata.keys import PublicKey
from uptane.metadata.targets import Custom, MustMatch, Targets
from uptane.signing.sign import envelope_of
from uptane.signing.signer import KeySigner
from uptane.storage.atomic_files import Folder
from uptane.storage.folders import FILE_MODE
from uptane.storage.incoming import images_in
from uptane.storage.key_files import PUBLIC, KeyFolder, load_private_key
from uptane.storage.names import single
from uptane.verification.limits import DEFAULT_LIMITS


def make_key(file: Path, /) -> None:
    """Make a supplier's key, and its public key beside it.

    Args:
        file: where the private key goes, readable by its owner only; FILE.pub is the public key. What is there stays.
    """
    key = PublicKey.of(KeyFolder(file.parent).load_or_generate(file.name).public_key())
    print(f"{file} holds the private key {key.key_id}; give {file}{PUBLIC} to who keeps the Image repository.")


def sign(
    images: Path,
    /,
    *,
    role: str,
    key: Path,
    previous: Path | None = None,
    output: Path | None = None,
    release_counter: int | None = None,
    hardware_id: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)] = (),
    days: int = 91,
    drop_others: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    format: Literal["der", "json"] = "der",
) -> None:
    """Make and sign the next Targets metadata of a delegated role for the images in a folder.

    Args:
        images: the folder of images.
        role: the delegated role.
        key: its private key, a PEM file.
        previous: the metadata that the repository publishes of the role; without it, this is version 1.
        output: the file to write; ROLE.der or ROLE.json in the current folder unless given.
        release_counter: of every image that is new or has changed.
        hardware_id: hardware that every such image is for; can be given several times.
        days: until the metadata expires.
        drop_others: list no image that is not in the folder.
        format: of the metadata; that of the previous file where there is one.
    """
    name = RoleName(role)
    before = None if previous is None else read_targets(previous)
    profile = profile_of(format) if before is None else before[0]
    files = [described_stream(path, chunks()) for path, chunks in images_in(images).items()]
    custom = Custom(
        must_match=MustMatch(
            release_counter=release_counter, hardware_ids=tuple(map(HardwareIdentifier, hardware_id)) or None
        )
    )
    targets = next_targets(
        None if before is None else before[1].payload,
        files,
        custom,
        datetime.now(UTC).replace(microsecond=0) + timedelta(days=days),
        carry_over=not drop_others,
    )
    file = output or Path(profile.metadata_name(name))
    _write(file, envelope_of(profile, targets, [_signer(key, profile)]).raw)
    print(f"Role {name}, version {targets.version}: {len(targets.images)} images, signed in {file}.")


def cosign(metadata: Path, /, *, key: Path) -> None:
    """Add a signature to metadata that somebody else made.

    Args:
        metadata: the signed Targets file, which is replaced.
        key: another private key of the role, a PEM file.
    """
    profile, envelope = read_targets(metadata)
    signer = _signer(key, profile)
    mine = Signature(key_id=signer.key.key_id, value=signer.sign(envelope.message))
    others = tuple(entry for entry in envelope.signatures if entry.key_id != mine.key_id)
    signed = signed_with(profile, envelope, (*others, mine))
    _write(metadata, signed.raw)
    print(f"{metadata} carries {len(signed.signatures)} signatures.")


def read_targets(file: Path) -> tuple[Profile, Envelope[Targets]]:
    """A Targets file, and its format.

    Raises:
        FormatError: it is no Targets file of a format that carries delegations, or a client would not read it whole.
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        raw = opened.read(DEFAULT_LIMITS.targets_bytes + 1)
    profile = recognised(raw)
    if len(raw) > DEFAULT_LIMITS.targets_bytes or profile is None or profile.no_delegations:
        raise FormatError(
            f"{file} is no Targets metadata in der or json, or has more than {DEFAULT_LIMITS.targets_bytes} bytes",
            next_step="Name the file of a delegated role, such as imagerepo/metadata/supplier.der.",
            field="file",
        )
    return profile, profile.format.decode(Targets, raw)


def _signer(key: Path, profile: Profile) -> KeySigner:
    return KeySigner(load_private_key(key), profile.format.key_id_rule)


def _write(file: Path, raw: bytes) -> None:
    folder = Folder.existing(file.parent)
    if folder is None:
        raise UptaneError(f"there is no folder {file.parent}", next_step="Make it, or name another file.")
    with folder:
        folder.replace(single(file.name), raw, FILE_MODE)
