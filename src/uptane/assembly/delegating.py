"""What operators do with delegations, and what suppliers hand in; each gives what it did, as a JSON object."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from uptane.assembly.production import Systems, utc_now
from uptane.image_repository.uploads import Upload
from uptane.metadata.delegations import TARGETS_ROLE, DelegatedRole, Delegation
from uptane.metadata.errors import FormatError, UptaneError
from uptane.metadata.identifiers import HardwareIdentifier, ImagePath, PathPattern, RoleName
from uptane.metadata.root import RoleKeys
from uptane.storage.key_files import load_public_key


async def add_delegation(
    systems: Systems,
    role: str,
    *,
    keys: Sequence[Path],
    paths: Sequence[str],
    hardware: Sequence[str],
    threshold: int,
    terminating: bool,
) -> dict[str, Any]:
    """The top-level Targets role trusts a supplier's keys for some images, and this is published.

    Raises:
        StorageError: a file holds no public key.
        FormatError: fewer keys than the threshold, no path, or something that no delegation can carry.
        UptaneError: the role exists, or existed.
    """
    public = {key.key_id: key for key in map(load_public_key, keys)}
    if not paths:
        raise FormatError(
            f"role {role} would be trusted for no image",
            next_step="Name paths, such as --path 'brakes/*'.",
            field="paths",
        )
    name = RoleName(role)
    delegation = Delegation(
        roles=(DelegatedRole(name=name, keys=RoleKeys(key_ids=tuple(public), threshold=threshold)),),
        paths=tuple(map(PathPattern, paths)),
        hardware_ids=tuple(map(HardwareIdentifier, hardware)) or None,
        terminating=terminating,
    )
    repository = systems.image_repository
    published = await repository.published()
    if name in published.targets and published.keys_for(name) is None:
        raise UptaneError(
            f"role {role} was revoked, and its name is used up: clients know a version that other keys signed",
            next_step="Choose another name.",
            role=name,
        )
    await repository.delegate(delegation, public.values())
    await repository.publish(utc_now())
    return _described(delegation)


async def revoke_delegation(systems: Systems, role: str) -> dict[str, Any]:
    """The top-level Targets role trusts a role no more, and this is published.

    Raises:
        ProvisioningError: it does not trust that role.
    """
    await systems.image_repository.revoke(RoleName(role))
    published = await systems.image_repository.publish(utc_now())
    return {"role": role, "targets_version": published.targets[TARGETS_ROLE].payload.version}


async def list_delegations(systems: Systems) -> dict[str, Any]:
    """Every delegation of the top-level Targets role, the one that counts first at the front."""
    published = await systems.image_repository.published()
    targets = published.targets[TARGETS_ROLE].payload
    return {
        "delegations": [
            _described(each)
            | {
                "images": [
                    len(published.targets[r.name].payload.images) for r in each.roles if r.name in published.targets
                ]
            }
            for each in targets.delegations.delegations
        ]
    }


async def receive_upload(
    systems: Systems, role: RoleName, metadata: bytes, images: Mapping[ImagePath, Callable[[], Iterable[bytes]]]
) -> dict[str, Any]:
    """Verifies what a supplier signed, and publishes it; see `ImageRepository.receive`."""
    receipt = await systems.image_repository.receive(Upload(role=role, metadata=metadata, images=images), utc_now())
    return {
        "role": str(role),
        "signatures": receipt.signatures,
        "needed": receipt.needed,
        "published": receipt.published is not None,
    }


def _described(delegation: Delegation) -> dict[str, Any]:
    hardware = delegation.hardware_ids
    return {
        "roles": [
            {"role": str(role.name), "keys": list(map(str, role.keys.key_ids)), "threshold": role.keys.threshold}
            for role in delegation.roles
        ],
        "paths": list(map(str, delegation.paths)),
        "hardware": None if hardware is None else list(map(str, hardware)),
        "terminating": delegation.terminating,
    }
