"""The power fails at every single write of a cycle: an ECU comes up again, lies about nothing and gets its update."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from device import Device, new_device
from fleet import Fleet, Vehicle
from power import Bench, Fuse, FusedSlots, FusedStore, PowerCut
from signed import FRESH, PATH

from uptane.formats.profile import Profile
from uptane.metadata.errors import StorageError, UptaneError
from uptane.metadata.root import Role
from uptane.vehicle.memory import VerificationKind

Count = Callable[[int], None]

WHO = pytest.mark.parametrize(
    ("who", "made"),
    [
        (0, {}),
        (1, {}),
        (1, {"verification": VerificationKind.PARTIAL}),
        (1, {"storage_limited": True}),
        (0, {"storage_limited": True}),
    ],
    ids=["Primary", "Secondary", "partial Secondary", "storage-limited Secondary", "Primary of such a one"],
)
"""The ECU whose power fails, and how the Secondary is made."""


@WHO
@pytest.mark.standard("STD-5.4.4-5")
@pytest.mark.standard("STD-5.4.2.6-5")
@pytest.mark.standard("STD-5.4.2.1.2-11")
def test_whenever_the_power_fails_the_next_cycles_bring_the_update(
    profile: Profile, who: int, made: dict[str, object], count_power_cuts: Count
) -> None:
    cuts = 0
    while True:
        bench = Bench(profile, **made)
        fuse = bench.fuses[who]
        fuse.arm(cuts + 1)
        with suppress(PowerCut):
            bench.car.cycle()
        if not fuse.blown:
            break
        cuts += 1
        bench.car.restart_primary()
        bench.car.tcu.start()
        bench.check()
        bench.finish()
    assert cuts > 8
    count_power_cuts(cuts)


@WHO
@pytest.mark.standard("STD-5.4.4-4")
def test_whenever_the_disk_is_full_the_next_cycles_bring_the_update(
    profile: Profile, who: int, made: dict[str, object]
) -> None:
    cuts = 0
    while True:
        bench = Bench(profile, **made)
        fuse = bench.fuses[who]
        fuse.arm(cuts + 1, error=StorageError)
        with suppress(UptaneError):
            bench.car.cycle()
        if not fuse.blown:
            break
        cuts += 1
        bench.finish()
    assert cuts > 8


def test_a_power_cut_during_provisioning_leaves_an_empty_device(profile: Profile) -> None:
    fleet = Fleet(profile)
    fuse = Fuse()
    fuse.arm(2)
    with pytest.raises(PowerCut):
        Vehicle(fleet, device=lambda: Device(FusedStore(fuse), FusedSlots(fuse), new_device().signer))
    car = Vehicle(fleet)
    car.fleet.release(PATH, FRESH)
    car.cycle()
    assert car.running() == FRESH


def test_the_primary_does_not_blame_the_director_when_its_own_disk_is_full(profile: Profile) -> None:
    bench = Bench(profile)
    bench.fuses[0].arm(1, error=StorageError)
    with pytest.raises(StorageError):
        bench.car.primary.update_cycle()
    assert not any("Director refused" in line for line in bench.car.said)


def test_a_primary_whose_keys_changed_while_the_power_failed_serves_nothing_until_it_verified_again(
    profile: Profile,
) -> None:
    bench = Bench(profile)
    car = bench.car
    car.links.down.add("imagerepo")
    with pytest.raises(UptaneError):
        car.primary.update_cycle()
    car.restart_primary()
    assert f"repository/director/role/{Role.TIMESTAMP}" not in car.device.trusted()
    with pytest.raises(UptaneError) as caught:
        car.secondary.update_cycle()
    assert caught.value.code == "E-NET"
    car.links.restore()
    bench.finish()
