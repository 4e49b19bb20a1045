"""The online roles are signed again in time: by one process of all, with versions that only rise."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from failing_objects import in_memory
from fleet import Fleet
from links import wait
from signed import FRESH, PATH
from world import NOW

from uptane.formats.profile import Profile
from uptane.image_repository.ports import Turn
from uptane.image_repository.renewal import Renewal
from uptane.image_repository.repository import DEFAULT_LIFETIMES, ImageRepository
from uptane.metadata.errors import ExpiredMetadataError, ProvisioningError, StorageError, UptaneError
from uptane.metadata.identifiers import ImagePath, RoleName
from uptane.metadata.root import Role, Root
from uptane.metadata.targets import Targets
from uptane.signing.ports import MetadataStore
from uptane.signing.publish import new_root
from uptane.signing.signer import KeySigner
from uptane.storage.folders import ImageFolder, PublishedFolder
from uptane.storage.image_catalog import VerifiedImageCatalog
from uptane.storage.incoming import turn
from uptane.storage.memory import MemoryImages, MemoryPublished
from uptane.storage.objects import PublishedObjects
from uptane.verification.own_metadata import verify_own_metadata
from uptane.verification.trusted import Held

SUPPLIER, ELSEWHERE = RoleName("supplier"), RoleName("elsewhere")
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
LIFE = {
    Role.TIMESTAMP: DEFAULT_LIFETIMES.timestamp,
    Role.SNAPSHOT: DEFAULT_LIFETIMES.snapshot,
    Role.TARGETS: DEFAULT_LIFETIMES.targets,
    Role.ROOT: DEFAULT_LIFETIMES.root,
}


@pytest.fixture
def fleet(profile: Profile) -> Fleet:
    """An Image repository that lists one image."""
    fleet = Fleet(profile)
    fleet.add_image(PATH, FRESH)
    return fleet


def versions(fleet: Fleet) -> dict[str, int]:
    """What is published, verified."""
    own = wait(verify_own_metadata(fleet.image_metadata, fleet.profile))
    assert own is not None
    targets = {name: envelope.payload.version for name, envelope in own.targets.items()}
    return {"root": own.root.payload.version, "snapshot": own.snapshot_version, "timestamp": own.timestamp_version} | (
        {str(name): version for name, version in targets.items()}
    )


def risen(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """By how much the version of each role that is not the same any more has risen."""
    return {role: after[role] - before[role] for role in after if after[role] != before[role]}


def asked_by_a_client(fleet: Fleet, now: datetime) -> None:
    """A client that knows the first Root looks the image up."""
    first = fleet.image_metadata._files[fleet.profile.metadata_name(Role.ROOT, 1)]
    catalog = VerifiedImageCatalog(published=fleet.image_metadata, profile=fleet.profile, held=Held(root=first))
    assert ImagePath(PATH) in wait(catalog.look_up({ImagePath(PATH): None}, now))


def test_while_a_third_of_every_life_is_left_nothing_is_signed(fleet: Fleet) -> None:
    before, moment = fleet.published(), NOW + LIFE[Role.TIMESTAMP] * 2 / 3
    renewal = wait(fleet.images.renew_expiring(moment))
    assert (renewal.renewed, renewal.outlook.due, renewal.outlook.elsewhere) == (frozenset(), frozenset(), {})
    assert renewal.outlook.next_due == moment
    assert renewal.outlook.expires == NOW + LIFE[Role.TIMESTAMP]
    assert fleet.published() == before


def test_a_timestamp_with_less_than_a_third_of_its_life_is_signed_again_with_a_new_snapshot(fleet: Fleet) -> None:
    before, standing, now = versions(fleet), fleet.file("imagerepo", "targets"), NOW + DAY * 2 / 3 + SECOND
    renewal = wait(fleet.images.renew_expiring(now))
    assert renewal.renewed == {"timestamp"}
    assert risen(before, versions(fleet)) == {"timestamp": 1, "snapshot": 1}
    assert fleet.file("imagerepo", "targets") == standing
    assert renewal.outlook.expires == now + LIFE[Role.TIMESTAMP]
    assert wait(fleet.images.renew_expiring(now)) == Renewal(outlook=renewal.outlook), "once is enough"
    asked_by_a_client(fleet, now)


@pytest.mark.standard("STD-5.4.4.4-4", "STD-5.4.4.5-7", "STD-5.4.4.6-6")
def test_after_a_long_stop_what_has_expired_is_signed_again_and_clients_believe_it(fleet: Fleet) -> None:
    before, now = versions(fleet), NOW + 200 * DAY
    with pytest.raises(ExpiredMetadataError):
        asked_by_a_client(fleet, now)
    renewal = wait(fleet.images.renew_expiring(now))
    assert renewal.renewed == {"timestamp", "targets"}
    assert risen(before, versions(fleet)) == {"timestamp": 1, "snapshot": 1, "targets": 1}
    asked_by_a_client(fleet, now)


def without_root_key(fleet: Fleet) -> ImageRepository:
    """The Image repository of servers on which the Root key is not."""
    online = ImageRepository(profile=fleet.profile, metadata=fleet.image_metadata, images=MemoryImages())
    online.add_signers(key for role, keys in fleet.image_keys.items() if role is not Role.ROOT for key in keys)
    return online


def test_a_root_is_left_to_those_who_keep_its_keys_and_told_in_time(fleet: Fleet) -> None:
    now, root = NOW + LIFE[Role.ROOT] * 2 / 3 + SECOND, fleet.file("imagerepo", "root")
    renewal = wait(without_root_key(fleet).renew_expiring(now))
    assert renewal.outlook.elsewhere == {"root": NOW + LIFE[Role.ROOT]}
    assert "root" not in renewal.renewed and fleet.file("imagerepo", "root") == root


def test_a_root_whose_key_is_here_is_signed_again_with_the_same_keys_before_it_expires(fleet: Fleet) -> None:
    before, moment = versions(fleet), NOW + LIFE[Role.ROOT] * 2 / 3
    assert "root" not in wait(fleet.images.renew_expiring(moment)).renewed
    renewal = wait(fleet.images.renew_expiring(moment + SECOND))
    assert renewal.renewed == {"root"} and renewal.outlook.elsewhere == {}
    assert risen(before, versions(fleet))["root"] == 1
    published = wait(fleet.images.published()).root.payload
    assert published.expires == moment + SECOND + LIFE[Role.ROOT]
    assert {role: set(published.roles[role].key_ids) for role in Role} == {
        role: {key.key.key_id for key in keys} for role, keys in fleet.image_keys.items()
    }


@pytest.mark.standard("STD-5.4.4.3-8")
def test_a_client_that_was_away_for_longer_than_a_root_lives_follows_the_renewed_ones(fleet: Fleet) -> None:
    now = NOW + LIFE[Role.ROOT] + DAY
    wait(without_root_key(fleet).renew_expiring(now))
    with pytest.raises(ExpiredMetadataError):
        asked_by_a_client(fleet, now)
    wait(fleet.images.renew_expiring(now))
    asked_by_a_client(fleet, now)
    wait(fleet.images.renew_expiring(now + LIFE[Role.ROOT]))
    asked_by_a_client(fleet, now + LIFE[Role.ROOT])


def forged(fleet: Fleet) -> KeySigner:
    """Whoever can write to the store, without a key, puts a history of his own there that names the genuine keys."""
    thief = fleet.new_key()
    store = MemoryPublished()
    his = ImageRepository(profile=fleet.profile, metadata=store, images=MemoryImages())
    his.add_signers([thief])
    his.stage_root(new_root({role: [*fleet.image_keys[role], thief] for role in Role}))
    wait(his.add_image(ImagePath("evil.img"), b"evil"))
    wait(his.publish(NOW))
    fleet.image_metadata._files = dict(store._files)
    return thief


@pytest.mark.parametrize("wanted", [frozenset(), frozenset({Role.ROOT, Role.TARGETS})], ids=["in time", "asked for"])
def test_a_key_signs_again_only_what_it_has_signed_so_that_nobody_gets_his_own_key_into_a_genuine_root(
    fleet: Fleet, wanted: frozenset[str]
) -> None:
    genuine, now = {key.key.key_id for keys in fleet.image_keys.values() for key in keys}, NOW + 300 * DAY
    forged(fleet)
    knows_nothing = fleet.open_images()
    if wanted:
        with pytest.raises(StorageError, match="its keys have not signed"):
            wait(knows_nothing.renew_expiring(now, wanted))
    else:
        outlook = wait(knows_nothing.renew_expiring(now)).outlook
        assert set(outlook.elsewhere) == {"root", "targets"} and not outlook.due
    decode = fleet.profile.format.decode
    for name, raw in fleet.published().items():
        for role, kind in ((Role.ROOT, Root), (Role.TARGETS, Targets)):
            if f"{role}." in name:
                signatures = decode(kind, raw).signatures  # type: ignore[type-var]
                assert not genuine & {signature.key_id for signature in signatures}, name


def test_somebody_with_the_root_key_renews_it_at_any_time_and_nobody_else_can(fleet: Fleet) -> None:
    before, published = versions(fleet), fleet.published()
    with pytest.raises(ProvisioningError, match="keys needed to sign root"):
        wait(without_root_key(fleet).renew_expiring(NOW, frozenset({Role.ROOT})))
    assert fleet.published() == published
    assert wait(fleet.images.renew_expiring(NOW, frozenset({Role.ROOT}))).renewed == {"root"}
    assert risen(before, versions(fleet)) == {"root": 1, "timestamp": 1, "snapshot": 1}


def test_a_role_whose_key_is_kept_elsewhere_is_told_and_hinders_nobody(fleet: Fleet) -> None:
    fleet.grant(SUPPLIER, "supplier/*")
    owners = fleet.grant(ELSEWHERE, "elsewhere/*")
    wait(fleet.images.publish(NOW))
    before, now = versions(fleet), NOW + 200 * DAY
    online = ImageRepository(profile=fleet.profile, metadata=fleet.image_metadata, images=MemoryImages())
    kept = [key for role in (Role.SNAPSHOT, Role.TIMESTAMP, Role.TARGETS) for key in fleet.image_keys[role]]
    online.add_signers([*kept, *owners])
    renewal = wait(online.renew_expiring(now))
    assert renewal.renewed == {"timestamp", "targets", "elsewhere"}
    assert renewal.outlook.elsewhere == {"supplier": NOW + LIFE[Role.TARGETS]}
    assert risen(before, versions(fleet)) == {"timestamp": 1, "snapshot": 1, "targets": 1, "elsewhere": 1}


@pytest.mark.parametrize("at_hand", [True, False])
def test_what_stands_below_a_revoked_role_is_neither_signed_again_nor_told(fleet: Fleet, at_hand: bool) -> None:
    fleet.grant(SUPPLIER, "supplier/*")
    fleet.grant(ELSEWHERE, "supplier/*", delegator=SUPPLIER)
    wait(fleet.images.publish(NOW))
    wait(fleet.images.revoke(SUPPLIER))
    wait(fleet.images.publish(NOW))
    online = fleet.images if at_hand else fleet.open_images()
    renewal = wait(online.renew_expiring(NOW + 80 * DAY))
    assert renewal.renewed == {"timestamp", "targets"}
    assert renewal.outlook.elsewhere == {}


def test_a_role_that_was_left_no_path_is_neither_signed_again_nor_told(fleet: Fleet) -> None:
    fleet.grant(SUPPLIER, "supplier/*")
    fleet.grant(ELSEWHERE, delegator=SUPPLIER)
    wait(fleet.images.publish(NOW))
    renewal = wait(fleet.open_images().renew_expiring(NOW + 80 * DAY))
    assert renewal.outlook.elsewhere.keys() == {SUPPLIER}


def test_what_an_operator_has_added_and_not_published_stays_unpublished(fleet: Fleet) -> None:
    wait(fleet.images.add_image(ImagePath("waits.img"), FRESH))
    wait(fleet.images.renew_expiring(NOW + 200 * DAY))
    assert list(fleet.targets().images) == [PATH]
    wait(fleet.images.publish(NOW + 200 * DAY))
    assert list(fleet.targets().images) == [PATH, "waits.img"]


def test_an_older_timestamp_that_somebody_put_back_is_not_built_on(fleet: Fleet) -> None:
    names = [fleet.profile.metadata_name(role) for role in (Role.SNAPSHOT, Role.TIMESTAMP)]
    old = {name: fleet.published()[name] for name in names}
    wait(fleet.images.renew_expiring(NOW + DAY))
    fleet.image_metadata._files.update(old)
    attacked = fleet.published()
    with pytest.raises(StorageError) as refusal:
        wait(fleet.images.renew_expiring(NOW + 2 * DAY))
    assert refusal.value.facts["code"] == "E-ROLLBACK-META"
    assert fleet.published() == attacked


@pytest.mark.parametrize("empty", [True, False])
def test_a_whole_older_set_that_somebody_put_back_is_not_signed_again_by_who_has_seen_a_newer_one(
    fleet: Fleet, empty: bool
) -> None:
    """Nothing newer is beside it, so that it verifies: clients would take it for fresh."""
    old = {} if empty else fleet.published()
    wait(fleet.images.renew_expiring(NOW + DAY))
    renewed = fleet.published()
    fleet.image_metadata._files.clear()
    fleet.image_metadata._files.update(old)
    if not empty:
        assert wait(verify_own_metadata(fleet.image_metadata, fleet.profile)) is not None
    for attempt in (fleet.images.renew_expiring(NOW + 2 * DAY), fleet.images.publish(NOW + 2 * DAY)):
        with pytest.raises((StorageError, ProvisioningError)) as refusal:
            wait(attempt)
        assert empty or refusal.value.facts["code"] == "E-ROLLBACK-META"
    assert fleet.published() == old
    fleet.image_metadata._files.update(renewed)
    wait(fleet.images.renew_expiring(NOW + 2 * DAY))


def test_without_the_key_of_the_timestamp_or_without_a_root_nothing_is_signed(fleet: Fleet) -> None:
    before = fleet.published()
    keyless = ImageRepository(profile=fleet.profile, metadata=fleet.image_metadata, images=MemoryImages())
    empty = ImageRepository(profile=fleet.profile, metadata=MemoryPublished(), images=MemoryImages())
    begun, first = MemoryPublished(), fleet.profile.metadata_name(Role.ROOT, 1)
    begun._files[first] = before[first]
    root_only = ImageRepository(profile=fleet.profile, metadata=begun, images=MemoryImages())
    for repository in (keyless, empty, root_only):
        with pytest.raises(ProvisioningError):
            wait(repository.renew_expiring(NOW + DAY))
    assert fleet.published() == before


Opened = tuple[MetadataStore, Turn]


def _in_a_folder(root: Path) -> Callable[[], Opened]:
    return lambda: (PublishedFolder(root / "metadata"), partial(turn, root))


def _on_object_storage(root: Path) -> Callable[[], Opened]:
    objects = in_memory()

    def opened() -> Opened:
        metadata = PublishedObjects(objects)
        return metadata, metadata.turn

    return opened


@pytest.mark.parametrize("place", [_in_a_folder, _on_object_storage], ids=["folder", "objects"])
def test_of_several_servers_that_sign_again_at_the_same_time_exactly_one_publishes(
    place: Callable[[Path], Callable[[], Opened]], fleet: Fleet, tmp_path: Path
) -> None:
    opened = place(tmp_path)

    def server() -> ImageRepository:
        metadata, taken = opened()
        images = ImageFolder(tmp_path / "targets")
        made = ImageRepository(profile=fleet.profile, metadata=metadata, images=images, turn=taken)
        made.add_signers(key for keys in fleet.image_keys.values() for key in keys)
        return made

    async def scenario() -> None:
        servers = [server() for _ in range(4)]
        servers[0].stage_root(new_root(fleet.image_keys))
        before, now = await servers[0].publish(NOW), NOW
        for round_ in range(1, 4):
            now += 2 * DAY
            results = await asyncio.gather(*(each.renew_expiring(now) for each in servers), return_exceptions=True)
            assert all(isinstance(each, Renewal | StorageError) for each in results), results
            assert sum(isinstance(each, Renewal) and bool(each.renewed) for each in results) == 1
            after = await servers[0].published()
            assert after.timestamp_version == before.timestamp_version + round_
            assert after.snapshot_version == before.snapshot_version + round_
            for each in servers:  # whoever was told that somebody else is at it tries again, and is content
                assert (await each.renew_expiring(now)).renewed == frozenset()

    asyncio.run(scenario())


def test_a_store_that_fails_leaves_what_was_there_and_the_next_try_signs(fleet: Fleet) -> None:
    before, now = fleet.published(), NOW + DAY

    class Failing(MemoryPublished):
        fails = True

        async def publish(self, *publication: object) -> None:
            if self.fails:
                raise StorageError("the disk is full")
            await super().publish(*publication)  # type: ignore[arg-type]

    store = Failing()
    store._files = dict(before)
    images = ImageRepository(profile=fleet.profile, metadata=store, images=MemoryImages())
    images.add_signers(key for keys in fleet.image_keys.values() for key in keys)
    with pytest.raises(UptaneError, match="disk is full"):
        wait(images.renew_expiring(now))
    assert store._files == before
    store.fails = False
    assert wait(images.renew_expiring(now)).renewed == {"timestamp"}
