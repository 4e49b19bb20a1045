"""Roots get their next version before they expire, from somebody who has their keys."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from uptane.assembly.production import DIRECTOR, IMAGE_REPOSITORY, Systems, signers_at_hand, utc_now
from uptane.formats.profile import Profile
from uptane.metadata.errors import FormatError, ProvisioningError, StorageError, UptaneError
from uptane.metadata.identifiers import VehicleIdentifier
from uptane.metadata.root import Role, Root
from uptane.signing.publish import Keyring, at_hand
from uptane.signing.signer import KeySigner
from uptane.storage.key_files import load_private_key
from uptane.storage.sql.roots import roots_in_service


async def renew_roots(
    systems: Systems,
    which: Collection[str],
    keys: Sequence[Path],
    left: timedelta,
) -> dict[str, Any]:
    """Publishes the next Root wherever little of the life of the present one is left; it names the same keys.

    What was cut off, or failed for one vehicle, is gone on with by the same call again.

    Args:
        systems: the servers.
        which: `director`, `image-repository` or both.
        keys: files of private keys that are not among those of the servers.
        left: Roots that have more of their life before them stay as they are.

    Returns:
        For each system how many Roots are new, of how many, and when the first of them all expires.

    Raises:
        StorageError: a file holds no private key, or a store fails.
        ProvisioningError: a Root names keys that are not at hand.
        UptaneError: the first of the failures; every other vehicle has got its new Root.
    """
    given = [KeySigner(load_private_key(file), systems.settings.profile.format.key_id_rule) for file in keys]
    said = {}
    if IMAGE_REPOSITORY in which:
        said[IMAGE_REPOSITORY] = await _of_the_image_repository(systems, given, left)
    if DIRECTOR in which:
        said[DIRECTOR] = await _of_the_director(systems, given, left)
    return said


async def _of_the_image_repository(systems: Systems, given: Sequence[KeySigner], left: timedelta) -> dict[str, Any]:
    repository, now = systems.image_repository, utc_now()
    repository.add_signers(given)
    root = (await repository.published()).root.payload
    due = root.expires - now < left
    if due:
        _require_keys("the Image repository", root, _keyring(systems, IMAGE_REPOSITORY, given))
        await repository.renew_expiring(now, frozenset({Role.ROOT}))
        root = (await repository.published()).root.payload
    return _described(int(due), 1, root.expires)


async def _of_the_director(systems: Systems, given: Sequence[KeySigner], left: timedelta) -> dict[str, Any]:
    profile, now, keyring = systems.settings.profile, utc_now(), _keyring(systems, DIRECTOR, given)
    systems.director.add_signers(given)
    renewed, looked_at, first = 0, 0, None
    failure: UptaneError | None = None
    async for vehicle, raw in roots_in_service(systems.engine, profile.metadata_name(Role.ROOT)):
        looked_at += 1
        try:
            root = stored_root(profile, vehicle, raw)
            if root.expires - now < left:
                _require_keys(f"vehicle {vehicle}", root, keyring)
                root = (await systems.director.renew_root(vehicle, now)).root.payload
                renewed += 1
            first = root.expires if first is None else min(first, root.expires)
        except UptaneError as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return _described(renewed, looked_at, first)


def stored_root(profile: Profile, vehicle: VehicleIdentifier, raw: bytes | None) -> Root:
    """The Root of a vehicle as its row says, unverified.

    Raises:
        ProvisioningError: there is none.
        StorageError: it is damaged.
    """
    remedy = "Restore it from a backup."
    if raw is None:
        raise ProvisioningError(f"there is no metadata of vehicle {vehicle}", next_step=remedy, vehicle=vehicle)
    try:
        return profile.format.decode(Root, raw).payload
    except FormatError as error:
        raise StorageError(
            f"the Root of vehicle {vehicle} was altered: {error.what}", next_step=remedy, vehicle=vehicle
        ) from error


def _keyring(systems: Systems, system: str, given: Sequence[KeySigner]) -> Keyring:
    at_hand = [*signers_at_hand(systems.settings, system).values(), *given]
    return {signer.key.key_id: signer for signer in at_hand}


def _require_keys(whose: str, root: Root, keyring: Keyring) -> None:
    """Before anything else is done for it: in a large fleet, a wrong key is told soon."""
    if not at_hand(root.roles[Role.ROOT], keyring):
        raise ProvisioningError(
            f"the Root of {whose} names other Root keys than those that are here",
            next_step="Name the files of these keys with --key.",
        )


def _described(renewed: int, of: int, first: datetime | None) -> dict[str, Any]:
    return {"renewed": renewed, "of": of, "first_expiry": None if first is None else f"{first:%Y-%m-%dT%H:%M:%SZ}"}
