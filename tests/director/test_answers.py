"""A vehicle hands in its manifest, and the Director answers with new metadata where there is need for it."""

import asyncio
import gc
import weakref

import pytest
from catalogs import catalog_of
from fleet import Fleet, Vehicle
from links import wait
from signed import FRESH, PATH, custom
from world import DIRECTOR, TCU, VIN, image

from uptane.director.check_images import UNSAFE_NO_CATALOG
from uptane.director.dependencies import read_dependencies
from uptane.director.director import Answer, Director
from uptane.director.issuing import Plan
from uptane.director.quick_answers import Followed
from uptane.formats.call_values import to_call
from uptane.formats.profile import KINDS, Profile
from uptane.metadata.errors import (
    ImageNotListedError,
    ProvisioningError,
    ReplayedReportError,
    StorageError,
    UnsatisfiableError,
)
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.root import Role, Root
from uptane.metadata.targets import Targets
from uptane.services.director_app import director_methods
from uptane.signing.publish import Lifetimes, new_root
from uptane.storage.memory import MemoryPublished
from uptane.storage.memory_inventory import MemoryInventory

BCU = EcuIdentifier("BCUdemocar")


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle whose Director answers manifests, and sees the Image repository."""
    car = Vehicle(Fleet(profile))
    car.add_secondary(BCU)
    car.fleet.restart_director(catalog=catalog_of(car.fleet))
    car.links.answers = []
    car.cycle()
    car.primary.update_cycle()
    return car


def last(car: Vehicle) -> Answer:
    """What the Director answered to the last manifest."""
    assert car.links.answers
    return car.links.answers[-1]


def versions(car: Vehicle) -> dict[Role, int]:
    """The version of each role that is published for the car."""
    decode = car.fleet.profile.format.decode
    return {role: decode(KINDS[role], car.fleet.file(DIRECTOR, role)).payload.version for role in Role}


def assign(car: Vehicle, path: str, content: bytes, ecu: EcuIdentifier = TCU, counter: int | None = None) -> None:
    """The Image repository publishes an image, and it is assigned; nobody tells the Director to publish."""
    wait(car.fleet.director.assign(VIN, ecu, car.fleet.add_image(path, content, custom(counter))))


@pytest.mark.standard("STD-5.3.2.1-12")
@pytest.mark.standard("STD-5.3.2.1-16")
def test_an_assigned_image_reaches_the_vehicle_with_its_next_manifest(car: Vehicle) -> None:
    before = versions(car)
    assign(car, PATH, FRESH)
    car.cycle()
    assert car.running() == FRESH
    answer = last(car)
    assert answer.published is not None and answer.withheld is None
    assert answer.outstanding == (TCU,)
    after = versions(car)
    assert after == before | {role: before[role] + 1 for role in (Role.TIMESTAMP, Role.SNAPSHOT, Role.TARGETS)}
    car.primary.update_cycle()
    assert last(car).outstanding == ()
    assert last(car).published is None


@pytest.mark.standard("STD-5.3.2.1-0")
def test_the_door_goes_from_identification_to_issuing_unless_the_operator_publishes(car: Vehicle) -> None:
    profile, director = car.fleet.profile, car.fleet.director
    assign(car, PATH, FRESH)
    before = versions(car)
    for answers in (False, True):
        door = director_methods(director, profile, lambda: car.fleet.now, answers=answers)
        manifest = to_call(car.primary.make_manifest(), as_struct=profile.structs_in_calls)
        wait(door["submit_vehicle_manifest"](VIN, car.primary_ecu, manifest))
        assert versions(car)[Role.TARGETS] == before[Role.TARGETS] + answers
    car.cycle()
    assert car.running() == FRESH


@pytest.mark.standard("STD-5.3.2.1-12")
def test_a_vehicle_that_is_up_to_date_is_signed_nothing_new(car: Vehicle) -> None:
    before = car.fleet.published(VIN)
    car.fleet.later(hours=15)
    wait(car.fleet.images.publish(car.fleet.now))
    car.cycle()
    assert last(car).published is None
    assert car.fleet.published(VIN) == before


@pytest.mark.standard("STD-5.3.2.1-16")
def test_metadata_that_expires_soon_is_renewed_with_the_next_manifest(car: Vehicle) -> None:
    assign(car, PATH, FRESH)
    car.cycle()
    before = versions(car)
    car.fleet.later(hours=17)
    wait(car.fleet.images.publish(car.fleet.now))
    car.cycle()
    assert versions(car) == before | {role: before[role] + 1 for role in (Role.TIMESTAMP, Role.SNAPSHOT)}


@pytest.mark.standard("STD-5.3.2.1-16")
def test_a_vehicle_that_was_away_for_months_comes_back_to_fresh_metadata(car: Vehicle) -> None:
    assign(car, PATH, FRESH)
    car.cycle()
    before = versions(car)
    car.fleet.later(days=100)
    wait(car.fleet.images.renew())
    wait(car.fleet.images.publish(car.fleet.now))
    car.cycle()
    assert versions(car) == before | {role: before[role] + 1 for role in before if role is not Role.ROOT}


@pytest.mark.standard("STD-5.4.4.3-8")
def test_a_vehicle_that_was_away_for_longer_than_its_root_lives_gets_the_next_one_with_its_manifest(
    car: Vehicle,
) -> None:
    before = versions(car)
    car.fleet.later(days=400)
    wait(car.fleet.images.renew_expiring(car.fleet.now))
    car.cycle()
    assert versions(car)[Role.ROOT] == before[Role.ROOT] + 1
    root = car.fleet.profile.format.decode(Root, car.fleet.file(DIRECTOR, Role.ROOT)).payload
    assert {role: set(root.roles[role].key_ids) for role in Role} == {
        role: {key.key.key_id for key in keys} for role, keys in car.fleet.director_keys.items()
    }
    assert root.expires == car.fleet.now + Lifetimes().root
    car.cycle()
    assert versions(car)[Role.ROOT] == before[Role.ROOT] + 1, "once is enough"


def test_a_root_that_whoever_writes_to_the_store_has_made_is_not_signed_again_with_the_genuine_key(
    car: Vehicle,
) -> None:
    thief, genuine = car.fleet.new_key(), car.fleet.director_keys[Role.ROOT][0].key.key_id
    his = Director(
        profile=car.fleet.profile,
        inventory=MemoryInventory(),
        metadata=lambda vin: car.fleet.metadata[vin],
        root=new_root({role: [*keys, thief] for role, keys in car.fleet.director_keys.items()}),
        catalog=UNSAFE_NO_CATALOG,
    )
    his.add_signers([thief])
    car.fleet.metadata[VIN]._files = {}
    wait(his.add_new_vehicle(VIN, car.fleet.now))
    car.fleet.restart_director()
    car.fleet.later(days=300)
    wait(car.fleet.images.renew_expiring(car.fleet.now))
    car.cycle()
    assert versions(car)[Role.ROOT] == 1
    with pytest.raises(StorageError, match="its keys have not signed"):
        wait(car.fleet.director.renew_root(VIN, car.fleet.now))
    for name, raw in car.fleet.published(VIN).items():
        if "root." in name:
            signatures = car.fleet.profile.format.decode(Root, raw).signatures
            assert genuine not in {signature.key_id for signature in signatures}, name


def test_a_renewed_root_that_a_backup_does_not_have_is_signed_anew_and_the_vehicle_takes_the_one_after_it(
    car: Vehicle,
) -> None:
    backup = car.fleet.published(VIN)
    car.fleet.later(days=300)
    wait(car.fleet.images.renew_expiring(car.fleet.now))
    car.cycle()
    lost = car.fleet.file(DIRECTOR, Role.ROOT)
    assert versions(car)[Role.ROOT] == 2
    car.fleet.metadata[VIN]._files = dict(backup)
    car.fleet.restart_director()
    car.fleet.later(hours=1)
    wait(car.fleet.director.leave_out_versions(VIN, 100, car.fleet.now))
    car.cycle()
    assert versions(car)[Role.ROOT] == 2 and car.fleet.file(DIRECTOR, Role.ROOT) != lost
    car.fleet.later(days=364)
    wait(car.fleet.images.renew_expiring(car.fleet.now))
    car.cycle()
    assert versions(car)[Role.ROOT] == 3


def test_where_the_root_key_is_kept_elsewhere_vehicles_are_answered_and_none_can_be_added(car: Vehicle) -> None:
    root_keys = car.fleet.director_keys.pop(Role.ROOT)
    director = car.fleet.director = Director(
        profile=car.fleet.profile,
        inventory=car.fleet.inventory,
        metadata=lambda vin: car.fleet.metadata.setdefault(vin, MemoryPublished()),
        root=None,
        **car.fleet.director_rules,
    )
    director.add_signers(key for keys in car.fleet.director_keys.values() for key in keys)
    before = versions(car)
    car.fleet.later(days=300)
    wait(car.fleet.images.renew_expiring(car.fleet.now))
    assign(car, PATH, FRESH)
    car.cycle()
    assert car.running() == FRESH and versions(car)[Role.ROOT] == before[Role.ROOT]
    new = VehicleIdentifier("new")
    with pytest.raises(ProvisioningError, match="Root key of the Director is kept elsewhere"):
        wait(director.add_new_vehicle(new, car.fleet.now))
    with pytest.raises(ProvisioningError, match="Root key of the Director is kept elsewhere"):
        wait(director.change_timeserver_keys([car.fleet.time_key.key], car.fleet.now))
    assert new not in wait(director.vehicles())
    with pytest.raises(ProvisioningError, match="keys needed to sign root"):
        wait(director.renew_root(VIN, car.fleet.now))
    director.add_signers(root_keys)
    wait(director.renew_root(VIN, car.fleet.now))
    car.cycle()
    assert versions(car)[Role.ROOT] == before[Role.ROOT] + 1 and car.running() == FRESH


def test_targets_are_signed_again_before_they_expire_by_an_ordinary_publication_too(car: Vehicle) -> None:
    before = versions(car)[Role.TARGETS]
    car.fleet.later(days=60)
    wait(car.fleet.director.publish(VIN, car.fleet.now))
    assert versions(car)[Role.TARGETS] == before
    car.fleet.later(days=1)
    wait(car.fleet.director.publish(VIN, car.fleet.now))
    assert versions(car)[Role.TARGETS] == before + 1


@pytest.mark.standard("STD-5.3.2.1-4")
@pytest.mark.standard("STD-5.3.2.1-11")
def test_a_manifest_that_is_dropped_is_answered_with_nothing(car: Vehicle) -> None:
    assign(car, PATH, FRESH)
    before = car.fleet.published(VIN)
    with pytest.raises(ReplayedReportError):
        car.links.submit_manifest(VIN, car.primary_ecu, car.links.manifests[-1])
    assert car.fleet.published(VIN) == before


@pytest.mark.standard("STD-5.3.2.1-13")
def test_an_impossible_plan_is_withheld_and_the_operator_is_told_why(car: Vehicle) -> None:
    assign(car, "kept.img", b"kept", BCU)
    car.cycle()
    car.fleet.restart_director(dependencies=read_dependencies("a.img requires b.img 2.."))
    assign(car, "a.img", b"a")
    before = car.fleet.published(VIN)
    for _ in range(2):
        car.cycle()
        answer = last(car)
        assert isinstance(answer.withheld, UnsatisfiableError)
        assert answer.published is None and TCU in answer.outstanding
    assert car.fleet.published(VIN) == before
    alerts = wait(car.fleet.director.alerts(VIN))
    assert [alert.code for alert in alerts].count("E-DEPENDENCY") == 1
    assert "a.img requires b.img 2.." in alerts[0].text
    assign(car, "b.img", b"b", BCU, counter=2)
    car.cycle()
    assert last(car).withheld is None
    assert [each.device.running() for each in car.secondaries] == [b"a", b"b"]


@pytest.mark.parametrize("kind", [Plan, Followed])
def test_why_something_is_withheld_is_forgotten_with_the_answer(kind: type[Plan] | type[Followed]) -> None:
    """An error leads by its traceback to those who called, and one of them has what holds the error."""

    def withheld() -> Plan | Followed:
        try:
            raise UnsatisfiableError("x")
        except UnsatisfiableError as error:
            why = error
        return kind(**{**dict.fromkeys(kind.__struct_fields__), "withheld": why})  # type: ignore[arg-type]

    def answered() -> weakref.ref[object]:
        held = withheld()
        return weakref.ref(held.withheld)

    why = answered()
    gc.collect()
    assert why() is None


def test_what_is_withheld_does_not_let_metadata_expire(car: Vehicle) -> None:
    assign(car, "kept.img", b"kept")
    car.cycle()
    wait(car.fleet.director.assign(VIN, BCU, image("unlisted.img", b"unlisted")))
    before = versions(car)
    car.fleet.later(hours=20)
    wait(car.fleet.images.publish(car.fleet.now))
    car.cycle()
    assert isinstance(last(car).withheld, ImageNotListedError)
    assert versions(car) == before | {role: before[role] + 1 for role in (Role.TIMESTAMP, Role.SNAPSHOT)}
    assert car.running() == b"kept"


def test_answers_to_manifests_of_one_vehicle_at_the_same_time_get_versions_of_their_own(car: Vehicle) -> None:
    assign(car, PATH, FRESH)
    before = versions(car)
    manifests = [car.primary.make_manifest() for _ in range(4)]

    async def together() -> list[Answer]:
        answer, now = car.fleet.director.answer_manifest, car.fleet.now
        return list(await asyncio.gather(*(answer(VIN, car.primary_ecu, raw, now) for raw in manifests)))

    answers = wait(together())
    assert sum(answer.published is not None for answer in answers) == 1
    assert versions(car)[Role.TARGETS] == before[Role.TARGETS] + 1
    car.cycle()
    assert car.running() == FRESH


def test_what_is_issued_says_the_vehicle_and_is_signed_by_the_online_keys_alone(car: Vehicle) -> None:
    assign(car, PATH, FRESH)
    car.cycle()
    raw = car.fleet.file(DIRECTOR, Role.TARGETS)
    targets = car.fleet.profile.format.decode(Targets, raw)
    assert targets.payload.vehicle == VIN
    assert [signature.key_id for signature in targets.signatures] == [
        signer.key.key_id for signer in car.fleet.director_keys[Role.TARGETS]
    ]
