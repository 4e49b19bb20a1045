"""Publishing: versions rise, the Timestamp comes last, and what was cut off does not stand in the way."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs
from world import (
    DIRECTOR,
    FAR,
    IMAGES,
    NOW,
    VIN,
    Ecu,
    FilesInMemory,
    Repository,
    World,
    delegation,
    delegations,
    image,
    listed,
    new_signer,
    targets,
)

from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.delegations import TARGETS_ROLE
from uptane.metadata.errors import ProvisioningError, StorageError
from uptane.metadata.identifiers import EcuIdentifier, RoleName, VehicleIdentifier
from uptane.metadata.root import Role
from uptane.metadata.targets import Custom, EcuAssignment, MustMatch
from uptane.signing.publish import Draft, Lifetimes, Published, Publisher, load_published, new_root
from uptane.signing.sign import sign

SUPPLIER = RoleName("supplier")


@pytest.fixture(params=["der", "json"])
def profile(request: pytest.FixtureRequest) -> Profile:
    return PROFILES[request.param]


@pytest.fixture
def repository(profile: Profile) -> Repository:
    repository = Repository(profile)
    repository.publish_targets(image("a.img", b"a"))
    return repository


def versions(repository: Repository) -> dict[str, int]:
    return {role: repository.payload(role).version for role in Role}


def loaded(repository: Repository) -> Published | None:
    return asyncio.run(load_published(repository.store, repository.profile))


@pytest.mark.standard("STD-5.2.1-7", "STD-5.1.4-1", "STD-5.2.1-8")
def test_a_change_raises_targets_snapshot_and_timestamp(repository: Repository) -> None:
    repository.publish_targets(image("a.img", b"b"))
    assert versions(repository) == {"root": 1, "targets": 3, "snapshot": 3, "timestamp": 3}


def test_publishing_without_a_change_raises_timestamp_and_snapshot_only(repository: Repository) -> None:
    before = dict(repository.files)
    repository.publish()
    assert versions(repository) == {"root": 1, "targets": 2, "snapshot": 3, "timestamp": 3}
    changed = {name for name, raw in repository.files.items() if before.get(name) != raw}
    name = repository.name
    assert changed == {name("snapshot", 3), name("snapshot"), name("timestamp")}


@pytest.mark.standard("STD-5.2.7-1")
@pytest.mark.standard("STD-5.2.7-2")
def test_files_have_their_versions_in_front_and_plain_names_beside_them(repository: Repository) -> None:
    name = repository.name
    expected = {name("timestamp"), name("root", 1), name("root")}
    expected |= {name(role, version) for role in ("targets", "snapshot") for version in (None, 1, 2)}
    assert set(repository.files) == expected
    assert repository.files[name("snapshot")] == repository.files[name("snapshot", 2)]


@pytest.mark.standard("STD-5.1.4-2", "STD-5.2.5-1", "STD-5.2.5-2")
def test_amb_10_the_timestamp_names_the_newest_snapshot_with_its_version_hash_and_length(
    repository: Repository,
) -> None:
    for _ in range(2):
        repository.publish()
        raw = repository.files[repository.name("snapshot")]
        assert repository.timestamp.snapshot == listed(raw, repository.snapshot.version)
        assert repository.timestamp.snapshot.length == len(raw)


@pytest.mark.standard("STD-5.2.1-6")
def test_every_role_expires_when_its_lifetime_is_over(repository: Repository) -> None:
    lifetimes = Lifetimes()
    for role in Role:
        assert repository.payload(role).expires == NOW + getattr(lifetimes, role)
    short = Lifetimes(timestamp=timedelta(seconds=5))
    publisher = replace(repository.publisher, lifetimes=short)
    asyncio.run(publisher.publish(repository.published, Draft(), NOW.replace(microsecond=999_999)))
    assert repository.timestamp.expires == NOW + timedelta(seconds=5)


def test_what_is_published_is_what_is_loaded(repository: Repository) -> None:
    assert loaded(repository) == repository.published
    signer = new_signer()
    repository.keyring[signer.key.key_id] = signer
    below = delegations([signer], delegation("supplier", [signer], paths=["*"]))
    content = {SUPPLIER: targets(image("s.img", b"s")), TARGETS_ROLE: targets(delegations=below)}
    repository.publish(Draft(targets=content))
    assert loaded(repository) == repository.published
    repository.rotate(*Role)
    assert loaded(repository) == repository.published


def test_an_empty_store_holds_nothing(profile: Profile) -> None:
    assert asyncio.run(load_published(FilesInMemory(), profile)) is None


def test_a_listed_file_that_is_missing_is_named(repository: Repository) -> None:
    for role in ("targets", "snapshot"):
        name = repository.name(role, 2)
        raw = repository.files.pop(name)
        with pytest.raises(StorageError) as refusal:
            loaded(repository)
        assert refusal.value.facts == {"file": name}
        repository.files[name] = raw


def test_a_root_that_stands_only_under_its_version_is_found(repository: Repository) -> None:
    del repository.files[repository.name("root")]
    assert loaded(repository) == repository.published


@pytest.mark.standard("STD-5.1.1-1")
@pytest.mark.parametrize("role", list(Role))
def test_without_the_keys_nothing_is_written(repository: Repository, role: Role) -> None:
    before = dict(repository.files)
    for signer in repository.signers[role]:
        del repository.keyring[signer.key.key_id]
    with pytest.raises(ProvisioningError) as refusal:
        repository.publish(Draft(root=repository.draft_root(), targets={TARGETS_ROLE: targets()}))
    assert refusal.value.facts["role"] == role
    assert repository.files == before


def test_a_new_root_needs_the_keys_of_the_old_one_as_well(repository: Repository) -> None:
    old = repository.signers[Role.ROOT][0]
    del repository.keyring[old.key.key_id]
    with pytest.raises(ProvisioningError):
        repository.rotate(Role.ROOT)


@pytest.mark.standard("STD-5.1.2-1")
def test_every_key_at_hand_signs_and_a_threshold_is_enough(profile: Profile) -> None:
    repository = Repository(profile, keys=3, threshold=2)
    missing = repository.signers[Role.TARGETS][0]
    del repository.keyring[missing.key.key_id]
    published = repository.publish_targets()
    assert len(published.root.signatures) == 3
    assert {s.key_id for s in published.targets[TARGETS_ROLE].signatures} == {
        signer.key.key_id for signer in repository.signers[Role.TARGETS][1:]
    }


def test_a_new_repository_needs_a_root(profile: Profile) -> None:
    store = FilesInMemory()
    publisher = Publisher(store=store, profile=profile, keyring={})
    with pytest.raises(ProvisioningError):
        asyncio.run(publisher.publish(None, Draft(), NOW))
    assert store.files == {}


def test_a_role_that_nobody_delegates_to_is_not_published(repository: Repository) -> None:
    before = dict(repository.files)
    with pytest.raises(ProvisioningError):
        repository.publish(Draft(targets={SUPPLIER: targets()}))
    assert repository.files == before
    assert repository.published is not None and repository.published.keys_for(SUPPLIER) is None


@pytest.mark.parametrize("order", [("targets", "a", "b"), ("b", "a", "targets"), ("a", "targets", "b")])
def test_a_draft_may_name_delegators_and_delegated_roles_in_any_order(
    repository: Repository, order: Sequence[str]
) -> None:
    a, b = new_signer(), new_signer()
    repository.keyring |= {signer.key.key_id: signer for signer in (a, b)}
    content = {
        "targets": targets(delegations=delegations([a], delegation("a", [a], paths=["*"]))),
        "a": targets(delegations=delegations([b], delegation("b", [b], paths=["*"]))),
        "b": targets(image("b.img", b"b")),
    }
    published = repository.publish(Draft(targets={RoleName(name): content[name] for name in order}))
    assert {name: len(envelope.payload.images) for name, envelope in published.targets.items()} == {
        "targets": 0,
        "a": 0,
        "b": 1,
    }


def test_a_supplier_signs_its_own_file(repository: Repository) -> None:
    """Its key never comes near the repository."""
    supplier = new_signer()
    below = delegations([supplier], delegation("supplier", [supplier], paths=["*"]))
    raw = sign(repository.profile, structs.replace(targets(image("s.img", b"s")), version=4), [supplier])
    published = repository.publish(Draft(targets={TARGETS_ROLE: targets(delegations=below)}, signed={SUPPLIER: raw}))
    assert published.targets[SUPPLIER].raw == raw == repository.files[repository.name(SUPPLIER, 4)]
    assert repository.snapshot.files[SUPPLIER].version == 4
    assert published.keys_for(SUPPLIER) == below.roles[0].keys


@pytest.mark.standard("STD-5.2.3.1-6")
def test_a_director_writes_its_vehicle_into_every_role(profile: Profile) -> None:
    repository = Repository(profile, vehicle=VIN)
    assert {repository.payload(role).vehicle for role in Role} == {VIN}


class Recording(FilesInMemory):
    """A store that fails after some writes, in the order that the port asks for."""

    def __init__(self, files: dict[str, bytes], writes: int) -> None:
        super().__init__(dict(files))
        self.writes = writes
        self.order: list[str] = []

    def _write(self, name: str, raw: bytes) -> None:
        if len(self.order) == self.writes:
            raise StorageError("the disk is full", file=name)
        self.order.append(name)
        self.files[name] = raw

    async def publish(self, files: Sequence[tuple[str, bytes]], mutable: Mapping[str, bytes]) -> None:
        for name, raw in files:
            if self.files.get(name, raw) != raw:
                raise StorageError(f"{name} is immutable", file=name)
            self._write(name, raw)
        for name, raw in mutable.items():
            self._write(name, raw)


def test_the_timestamp_is_written_last_and_after_all_that_it_leads_to(repository: Repository) -> None:
    store = Recording(repository.files, 100)
    publisher = replace(repository.publisher, store=store)
    draft = Draft(root=repository.draft_root(), targets={TARGETS_ROLE: targets()})
    asyncio.run(publisher.publish(repository.published, draft, NOW))
    name = repository.name
    immutable = [name("root", 2), name("targets", 3), name("snapshot", 3)]
    assert store.order == [*immutable, name("root"), name("targets"), name("snapshot"), name("timestamp")]


@pytest.mark.parametrize("rotated", [(), (Role.ROOT,), (Role.TARGETS,), tuple(Role)])
@pytest.mark.parametrize("writes", range(8))
def test_a_publication_that_was_cut_off_does_not_block_the_next(
    profile: Profile, writes: int, rotated: tuple[Role, ...]
) -> None:
    """The store fails after any number of writes; whoever comes next starts from what the store holds."""
    world = World(profile)
    world.release("a.img", b"a")
    world.primary.cycle()
    images = world.images
    draft = Draft(targets={TARGETS_ROLE: targets(image("a.img", b"a"), image("b.img", b"b"))})
    if rotated:
        for role in rotated:
            images.signers[role] = [new_signer()]
            images.keyring |= {signer.key.key_id: signer for signer in images.signers[role]}
        draft = structs.replace(draft, root=images.draft_root())
    store = Recording(images.files, writes)
    publisher = replace(images.publisher, store=store)
    try:
        asyncio.run(publisher.publish(images.published, draft, NOW))
    except StorageError:
        assert writes < 7
    images.files.clear()
    images.files.update(store.files)
    images.published = asyncio.run(load_published(images.store, profile))
    for _ in range(2):
        images.publish()
        world.primary.cycle()
    assert world.primary.held[IMAGES] == images.held()
    images.publish(draft)
    world.primary.cycle()
    assert world.primary.held[IMAGES] == images.held()
    assert len(images.payload("targets").images) == 2


@pytest.mark.standard("STD-5-2")
@pytest.mark.parametrize("writes", range(8))
def test_the_very_first_publication_may_be_cut_off(profile: Profile, writes: int) -> None:
    repository = Repository(profile)
    store = Recording({}, writes)
    publisher = replace(repository.publisher, store=store)
    draft = Draft(root=repository.draft_root())
    try:
        asyncio.run(publisher.publish(None, draft, NOW))
    except StorageError:
        assert writes < 7
    store.writes = 100
    before = asyncio.run(load_published(store, profile))
    asyncio.run(publisher.publish(before, draft if before is None else Draft(), NOW))
    repository.files.clear()
    repository.files.update(store.files)
    director = Repository(profile, vehicle=VIN)
    ecu = Ecu(director, repository, {})
    assert set(ecu.cycle().files) == {DIRECTOR, IMAGES}
    assert asyncio.run(load_published(store, profile)) is not None


def test_readers_of_a_store_that_failed_see_what_was_published_before(profile: Profile) -> None:
    world = World(profile)
    world.release("a.img", b"a")
    for writes in range(6):
        store = Recording(world.images.files, writes)
        publisher = replace(world.images.publisher, store=store)
        with pytest.raises(StorageError):
            asyncio.run(
                publisher.publish(
                    world.images.published,
                    Draft(root=world.images.draft_root(), targets={TARGETS_ROLE: targets()}),
                    NOW,
                )
            )
        ecu = Ecu(world.director, world.images, world.primary.ecus)
        genuine = dict(world.images.files)
        world.images.files.update(store.files)
        assert len(ecu.cycle().images) == 1
        world.images.files.clear()
        world.images.files.update(genuine)


def test_targets_of_revoked_keys_are_signed_again_and_those_of_a_supplier_are_not(repository: Repository) -> None:
    supplier, new = new_signer(), new_signer()
    repository.keyring |= {signer.key.key_id: signer for signer in (supplier, new)}
    trust = {signer: delegations([signer], delegation("supplier", [signer], paths=["*"])) for signer in (supplier, new)}
    content = targets(image("s.img", b"s"))
    repository.publish(Draft(targets={TARGETS_ROLE: targets(delegations=trust[supplier]), SUPPLIER: content}))
    repository.signers[Role.TARGETS] = [new_signer()]
    repository.keyring |= {signer.key.key_id: signer for signer in repository.signers[Role.TARGETS]}
    published = repository.publish(Draft(root=repository.draft_root()))
    signed_by = {signature.key_id for signature in published.targets[TARGETS_ROLE].signatures}
    assert signed_by == {repository.signers[Role.TARGETS][0].key.key_id}
    published = repository.publish(Draft(targets={TARGETS_ROLE: targets(delegations=trust[new])}))
    assert {signature.key_id for signature in published.targets[SUPPLIER].signatures} == {supplier.key.key_id}


def test_a_root_draft_names_every_key_once(profile: Profile) -> None:
    signer = new_signer()
    root = new_root({role: [signer] for role in Role}, {Role.ROOT: 1})
    assert list(root.keys) == [signer.key.key_id] and root.expires == FAR


CUSTOM = Custom(must_match=MustMatch(release_counter=2), ecus={EcuIdentifier("TCU"): EcuAssignment()})


@pytest.mark.parametrize("shape", [{}, {"vehicle": VehicleIdentifier("democar")}, {"keys": 3, "threshold": 2}], ids=str)
def test_what_was_signed_is_kept_as_it_would_be_read_back(profile: Profile, shape: dict[str, Any]) -> None:
    """A publisher does not read what it has just written, so the two must be the same."""
    repository = Repository(profile, **shape)
    directed = structs.replace(image("a.img", b"a"), custom=CUSTOM)
    published = repository.publish_targets(directed, image("b.img", b"b"))
    kept = (published.root, *published.targets.values())
    read = [profile.format.decode(type(envelope.payload), envelope.raw) for envelope in kept]
    for made, again in zip(kept, read, strict=True):
        assert (made.message, made.signatures, made.raw) == (again.message, again.signatures, again.raw)
        assert type(made.payload) is type(again.payload)
    assert read[0].payload == published.root.payload
    assert dict(read[1].payload.images) == dict(published.targets[TARGETS_ROLE].payload.images)
