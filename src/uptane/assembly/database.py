"""What operators do to the Director's database; each gives what it did, as a JSON object."""

from typing import Any

from uptane.assembly.floor import floor_file
from uptane.assembly.production import System, open_systems, utc_now
from uptane.assembly.serving import alone
from uptane.assembly.settings import Settings
from uptane.image_repository.seen import Seen
from uptane.metadata.errors import StorageError, UptaneError
from uptane.metadata.root import MAX_VERSION
from uptane.storage.sql.engine import database_name, open_engine, require_existing
from uptane.storage.sql.enrolment import SqlEnrolment
from uptane.storage.sql.revision import revision_of
from uptane.storage.sql.schema import REVISION

MOST_BEHIND = MAX_VERSION // 2
"""Nobody comes that far in one life of servers, though they leave out millions: it is a thief's number."""


async def show_database(settings: Settings) -> dict[str, Any]:
    """The revision of its tables, and the one that this program needs; changes nothing."""
    require_existing(settings.database_url)
    engine = open_engine(settings.database_url)
    try:
        return {"database": database_name(engine), "revision": await revision_of(engine), "needed": REVISION}
    finally:
        await engine.dispose()


async def settle_restored(settings: Settings, skipped: int) -> dict[str, Any]:
    """Publishes all metadata under versions that no vehicle has seen, and makes every token worthless.

    Args:
        settings: of servers that do not run.
        skipped: how many versions are left out; not fewer than any role has published since the backup. Of the Image
            repository, not fewer are left out than this machine has seen published.

    Returns:
        How many vehicles there are, how many versions were left out, by how many the Image repository was older than
        what this machine has seen, and the roles of it that still are: no key of theirs is here, or they are a Root.

    Raises:
        StorageError: a server holds the database, a store cannot be opened, or no repository of ours can have published
            as many versions as this machine has seen; nothing is published.
        UptaneError: the first of the failures; every other vehicle has its new metadata.
    """
    failures: list[UptaneError] = []
    with alone(settings):
        async with open_systems(settings, frozenset({System.DIRECTOR, System.IMAGE_REPOSITORY})) as systems:
            await SqlEnrolment(systems.engine).forget_tokens()
            repository, floor = systems.image_repository, await systems.newest.accept_restored()
            behind = max(Seen.of(await repository.published()).behind(floor).values(), default=0)
            if behind > MOST_BEHIND:
                raise _not_ours(settings, behind)
            await repository.renew()
            published = await repository.publish(utc_now(), skipped=max(skipped, behind))
            lost = sorted(Seen.of(published).behind(floor))
            vehicles = await systems.director.vehicles()
            for vehicle in vehicles:
                try:
                    await systems.director.leave_out_versions(vehicle, skipped, utc_now())
                except UptaneError as error:
                    failures.append(error)
    if failures:
        raise failures[0]
    return {"vehicles": len(vehicles), "skipped": skipped, "behind": behind, "lost": lost}


def _not_ours(settings: Settings, behind: int) -> StorageError:
    """To go on from such a number would use up those that are left."""
    return StorageError(
        f"the Image repository is {behind} versions older than what was seen published: a thief of a key signed that",
        next_step=f"Remove {floor_file(settings)}, run this again, and publish a Root with other keys for the roles "
        "whose keys were stolen: vehicles forget the versions of these then.",
    )


async def upgrade_database(settings: Settings) -> dict[str, Any]:
    """Migrates its tables to the revision that this program needs.

    Raises:
        StorageError: a server holds the database, its tables cannot be upgraded, or it fails; nothing is changed.
    """
    from uptane.storage.sql.upgrade import upgrade

    with alone(settings):
        done = await upgrade(settings.database_url)
    return {"before": done.before, "after": done.after}
