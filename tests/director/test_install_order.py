"""The order in which ECUs install: given by hand, or what is required first; written, kept and read in both formats."""

import asyncio
from typing import Any

import pytest
from fleet import Fleet, Vehicle
from links import wait
from msgspec import structs
from signed import FRESH, PATH, custom
from world import NOW, PRIMARY, TCU, VIN, image, new_signer

from uptane.director.dependencies import read_dependencies
from uptane.director.ordering import derived_order
from uptane.director.planning import assignment_of
from uptane.director.ports import EcuRecord
from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import FormatError
from uptane.metadata.extensions import Extensions
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier
from uptane.metadata.install_order import in_install_order, install_order_of, with_install_order
from uptane.metadata.root import Role
from uptane.metadata.targets import EcuAssignment, Image, Targets

B, C, D = (EcuIdentifier(name) for name in "BCD")


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle of four Secondaries."""
    car = Vehicle(Fleet(profile))
    for ecu in (B, C, D):
        car.add_secondary(ecu)
    car.cycle()
    car.primary.update_cycle()
    return car


def bundle(car: Vehicle) -> dict[EcuIdentifier, Image]:
    """What each ECU is directed, read back as a Primary reads it."""
    raw = car.fleet.published(VIN)[car.fleet.profile.metadata_name(Role.TARGETS)]
    images = car.fleet.profile.format.decode(Targets, raw).payload.images
    return {ecu: each for each in images.values() for ecu in each.custom.ecus}


def assign(car: Vehicle, ecu: EcuIdentifier, path: str, order: int | None = None) -> None:
    """An image that both repositories know is assigned."""
    wait(car.fleet.director.assign(VIN, ecu, car.fleet.add_image(path, path.encode(), custom(1)), order))


def test_an_order_that_was_given_reaches_the_primary(car: Vehicle) -> None:
    for ecu, path, order in ((TCU, "a.img", 3), (B, "b.img", 1), (C, "c.img", None), (D, "d.img", 3)):
        assign(car, ecu, path, order)
    wait(car.fleet.director.publish(VIN, car.fleet.now))
    directed = bundle(car)
    assert in_install_order(directed) == (B, D, TCU, C)
    assert [install_order_of(directed[ecu].custom.ecus[ecu]) for ecu in (TCU, B, C)] == [3, 1, None]
    car.cycle()
    assert [each.device.running() for each in car.secondaries] == [b"a.img", b"b.img", b"c.img", b"d.img"]


def test_a_new_order_alone_is_news(car: Vehicle) -> None:
    assign(car, TCU, "a.img", 1)
    wait(car.fleet.director.publish(VIN, car.fleet.now))
    wait(car.fleet.director.assign(VIN, TCU, car.fleet.add_image("a.img", b"a.img", custom(1)), 2))
    wait(car.fleet.director.publish(VIN, car.fleet.now))
    assert install_order_of(bundle(car)[TCU].custom.ecus[TCU]) == 2


def test_an_ecu_that_gets_the_new_image_of_its_name_keeps_its_order(car: Vehicle) -> None:
    assign(car, TCU, "a.img", 5)
    wait(car.fleet.director.assign(VIN, B, car.fleet.add_image("a.img", b"newer", custom(2)), 1))
    wait(car.fleet.director.publish(VIN, car.fleet.now))
    assert in_install_order(bundle(car)) == (B, TCU)


@pytest.mark.parametrize("order", [-1, 65_536])
def test_an_order_outside_its_range_is_refused(car: Vehicle, order: int) -> None:
    with pytest.raises(FormatError):
        assign(car, TCU, "a.img", order)
    assert wait(car.fleet.director.outstanding(VIN)) == ()


def test_what_is_required_is_installed_first(car: Vehicle) -> None:
    rules = read_dependencies("a.img requires b.img\nb.img requires c.img\nc.img conflicts with x.img")
    car.fleet.restart_director(dependencies=rules)
    for ecu, path in ((B, "a.img"), (TCU, "b.img"), (C, "c.img"), (D, "d.img")):
        assign(car, ecu, path)
    wait(car.fleet.director.publish(VIN, car.fleet.now))
    assert in_install_order(bundle(car)) == (C, D, TCU, B)
    assign(car, D, "d.img", 9)  # by hand, for all of them then
    wait(car.fleet.director.publish(VIN, car.fleet.now))
    assert in_install_order(bundle(car)) == (D, B, C, TCU)


def test_images_that_require_each_other_are_installed_at_the_same_time() -> None:
    rules = read_dependencies(
        "a.img requires b.img\nb.img requires a.img\nd.img requires a.img on h\nc.img requires e.img"
    )
    assigned = [
        assignment_of(VIN, ecu, image(f"{name}.img", b"")) for ecu, name in zip((TCU, B, C, D), "abcd", strict=True)
    ]
    records = [
        EcuRecord(vehicle=VIN, ecu=TCU, key=new_signer().key, is_primary=False, hardware_id=HardwareIdentifier("h"))
    ]
    assert derived_order(rules, assigned, records) == {C: 1, TCU: 2, B: 2, D: 3}
    assert derived_order(rules[2:3], assigned, []) == {}
    assert derived_order((), assigned, records) == {}
    assert derived_order(rules, [structs.replace(assigned[0], install_order=1), *assigned[1:]], records) == {}


def test_the_event_loop_does_not_wait_while_an_order_is_derived(car: Vehicle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a vehicle with 256 ECUs under 1,000 rules that takes most of a second, for each manifest."""
    loops: list[object] = []

    def noted(*given: Any) -> Any:
        loops.append(asyncio._get_running_loop())
        return derived_order(*given)

    monkeypatch.setattr("uptane.director.deciding.derived_order", noted)
    car.fleet.restart_director(dependencies=read_dependencies("b.img requires a.img"))
    for ecu, path in ((B, "b.img"), (C, "a.img")):
        assign(car, ecu, path)
    wait(car.fleet.director.publish(VIN, car.fleet.now))
    assert in_install_order(bundle(car)) == (C, B)
    assert loops == [None]


@pytest.mark.parametrize("text", [b"", b"x", b"01", b"-1", b"1.5", b"65536", b"999999", "1".encode("utf-16"), b'"1"'])
def test_an_order_that_is_no_number_is_refused_by_whoever_reads_it(text: bytes) -> None:
    wrong = EcuAssignment(extensions=Extensions((("install_order", text),)))
    with pytest.raises(FormatError):
        install_order_of(wrong)
    one = image(PATH, FRESH)
    with pytest.raises(FormatError):
        in_install_order({TCU: structs.replace(one, custom=structs.replace(one.custom, ecus={TCU: wrong}))})


def test_an_order_stands_beside_other_extensions_and_survives_a_round_trip(profile: Profile) -> None:
    entry = EcuAssignment(hardware_id=HardwareIdentifier("h"), extensions=Extensions((("x", b"[1]"),)))
    ordered = with_install_order(with_install_order(entry, 7), 65_535)
    assert ordered.extensions.as_dict() == {"x": b"[1]", "install_order": b"65535"}
    one = image(PATH, FRESH)
    listed = structs.replace(one, custom=structs.replace(one.custom, ecus={TCU: ordered, PRIMARY: entry}))
    targets = Targets(version=1, expires=NOW, images={one.file.path: listed})
    raw = profile.format.assemble(profile.format.encode(targets), ())
    read = profile.format.decode(Targets, raw).payload.images[one.file.path]
    assert read == listed
    assert install_order_of(read.custom.ecus[TCU]) == 65_535
    assert in_install_order({PRIMARY: read, TCU: read}) == (TCU, PRIMARY)


@pytest.mark.parametrize("name", ["pouf1", "pouf1-json"])
def test_where_the_format_carries_no_order_none_is_derived_and_none_can_be_given(name: str) -> None:
    fleet = Fleet(PROFILES[name])
    fleet.add_vehicle()
    for ecu in (B, C):
        key = fleet.new_key().key
        wait(fleet.director.register_ecu(vehicle=VIN, ecu=ecu, key=key, is_primary=False))
    fleet.restart_director(dependencies=read_dependencies("a.img requires b.img"))
    images = [fleet.add_image(path, path.encode()) for path in ("a.img", "b.img")]
    with pytest.raises(FormatError):
        wait(fleet.director.assign(VIN, B, images[0], 1))
    for ecu, each in zip((B, C), images, strict=True):
        wait(fleet.director.assign(VIN, ecu, each))
    published = wait(fleet.director.publish(VIN, fleet.now))
    assert len(next(iter(published.targets.values())).payload.images) == 2
