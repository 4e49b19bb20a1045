"""A Secondary with room for one image: it verifies metadata, leaves a copy with its Primary, and is overwritten."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from device import Device, new_device
from fleet import Fleet, Vehicle
from signed import FACTORY, FRESH, PATH, custom
from world import TCU, image

from uptane.formats.profile import Profile
from uptane.metadata.attacks import Attack
from uptane.metadata.errors import (
    BadHashError,
    BadSignatureError,
    EndlessDataError,
    LengthMismatchError,
    UnknownEcuError,
    UnreachableError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier
from uptane.storage.memory import MemoryImageSlots
from uptane.vehicle import blocks
from uptane.vehicle.installation import slot_of, stored_as
from uptane.vehicle.installation_states import Installation, Phase
from uptane.vehicle.memory import VerificationKind
from uptane.vehicle.ports import ImageWriter
from uptane.vehicle.secondary import Outcome
from uptane.verification.full_verification import AskImageRepositories

BCU = EcuIdentifier("BCUdemocar")
SECOND = b"the second image of the small one"
GONE = b""


class SmallFlash(MemoryImageSlots):
    """Holds one image: a second one finds no room."""

    most = 0

    @contextmanager
    def receive(self, name: str) -> Iterator[ImageWriter]:
        self.most = max(self.most, len(self._images) + 1)
        with super().receive(name) as writer:
            yield writer


@pytest.fixture(params=[VerificationKind.FULL, VerificationKind.PARTIAL])
def car(profile: Profile, request: pytest.FixtureRequest) -> Vehicle:
    """A vehicle whose Secondary has one slot, with an update for it on the Primary."""

    def device() -> Device:
        made = new_device()
        return Device(made.store, SmallFlash(), made.signer)

    car = Vehicle(Fleet(profile), device=device, verification=request.param, storage_limited=True)
    car.fleet.release(PATH, FRESH, custom=custom(5))
    car.primary.update_cycle()
    return car


def content(car: Vehicle) -> bytes:
    """What is in the only slot."""
    return b"".join(car.tcu.device.slots.chunks("slot-a") or ())


def phase(car: Vehicle) -> Phase:
    """How far the Secondary's installation has come."""
    return car.secondary.memory.state.installation.phase


@pytest.mark.standard("STD-5.4.3.3-1", "STD-5.4.3.3-3", "STD-5.4.3.3-8", "STD-5.4.2.7-2", "STD-5.4.2.7-3")
def test_amb_14_an_image_is_streamed_over_the_one_that_runs_once_the_primary_has_a_copy_of_that(car: Vehicle) -> None:
    car.link.calls.clear()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert content(car) == car.running() == FRESH
    flash = car.tcu.device.slots
    assert isinstance(flash, SmallFlash) and flash.most == 1, "no second image was ever in its flash"
    calls = car.link.calls
    assert "image" not in calls, "it is never sent whole"
    assert calls.count("image block") == -(-len(FRESH) // car.link.block) + 1
    first, last = calls.index("image block"), max(n for n, call in enumerate(calls) if "metadata" in call)
    assert last < calls.index("back up") < first, "metadata is verified before anything is asked for"


@pytest.mark.standard("STD-5.4.3.3-3")
def test_what_the_primary_has_a_copy_of_is_not_sent_again(car: Vehicle) -> None:
    with_copy = []
    for _ in range(2):
        car.link.calls.clear()
        car.link.swapped_image = (PATH, FRESH[::-1])
        with pytest.raises(BadHashError):
            car.secondary.update_cycle()
        with_copy.append(car.link.calls.count("back up"))
    assert with_copy == [2, 1]


@pytest.mark.standard("STD-5.4.3.3-8", "STD-5.4.3.3-9", "STD-5.4.3.4-9", "STD-5.4.3.4-11", "STD-5.4.3.4-12")
@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (FRESH[::-1], BadHashError),
        (FRESH[:-1], LengthMismatchError),
        (FRESH + b"!", EndlessDataError),
        (GONE, LengthMismatchError),
    ],
    ids=["altered", "short", "long", "empty"],
)
def test_amb_14_whatever_a_hostile_primary_streams_the_image_before_comes_back(
    car: Vehicle, sent: bytes, error: type[UptaneError]
) -> None:
    car.tcu.device.may_install = False
    assert car.secondary.update_cycle().outcome is Outcome.DEFERRED, "it has verified the metadata"
    car.tcu.device.may_install = True
    with car.secondary_refuses(error):
        car.link.swapped_image = (PATH, sent)
    assert car.running() == FRESH
    assert phase(car) is Phase.RUNNING


@pytest.mark.standard("STD-5.4.2.7-3")
def test_with_bad_metadata_nothing_is_asked_for_and_nothing_overwritten(car: Vehicle) -> None:
    stranger = Vehicle(Fleet(car.fleet.profile))
    stranger.fleet.release(PATH, b"what a stranger signed")
    stranger.primary.update_cycle()
    partial = car.secondary.memory.verification is VerificationKind.PARTIAL
    door = stranger.primary.secondaries
    car.link.swapped_bundle = door.get_partial_metadata(TCU) if partial else door.get_metadata(TCU)
    car.link.calls.clear()
    with pytest.raises(BadSignatureError):
        car.secondary.update_cycle()
    assert not {"back up", "image block"} & set(car.link.calls)
    assert content(car) == FACTORY


@pytest.mark.standard("STD-5.4.3.3-9", "STD-5.4.4-5")
def test_amb_14_the_connection_may_break_after_any_block(car: Vehicle) -> None:
    whole = -(-len(FRESH) // car.link.block)
    honest = car.link.image_block
    for blocks_left in range(whole):

        def broken(ecu: EcuIdentifier, name: str, offset: int, left: int = blocks_left) -> bytes:
            if offset >= left * car.link.block:
                raise UnreachableError("the line is cut")
            return honest(ecu, name, offset)

        car.link.image_block = broken  # type: ignore[method-assign]
        with pytest.raises(UnreachableError):
            car.secondary.update_cycle()
        assert content(car) == FACTORY
        assert phase(car) is Phase.RUNNING
    car.link.image_block = honest  # type: ignore[method-assign]
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED


@pytest.mark.standard("STD-5.4.4-4", "STD-5.4.4-5", "STD-5.4.3.6-1")
def test_amb_14_an_ecu_that_lost_its_image_and_the_line_says_so_and_is_restored_later(car: Vehicle) -> None:
    honest = car.link.image_block, car.link.backup_block

    def broken(ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        raise UnreachableError("the line is cut")

    def cut_after_one(ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        return broken(ecu, name, offset) if offset else honest[0](ecu, name, offset)

    car.link.image_block, car.link.backup_block = cut_after_one, broken  # type: ignore[method-assign]
    for _ in range(2):
        with pytest.raises(UnreachableError):
            car.secondary.update_cycle()
        assert (content(car), phase(car)) == (GONE, Phase.RESTORING)
    car.primary.update_cycle()
    assert "no image to start from" in car.fleet.reports(TCU)[0].attacks_detected
    car.tcu.start()
    car.link.backup_block = honest[1]  # type: ignore[method-assign]
    with pytest.raises(UnreachableError):
        car.secondary.update_cycle()
    assert (content(car), phase(car)) == (FACTORY, Phase.RUNNING)
    car.link.image_block = honest[0]  # type: ignore[method-assign]
    car.cycle()
    assert car.running() == FRESH


def test_amb_14_a_line_that_is_down_from_the_first_byte_on_costs_the_ecu_nothing(car: Vehicle) -> None:
    flash = car.tcu.device.slots
    erased: list[frozenset[str]] = []
    flash.keep_only = erased.append  # type: ignore[method-assign]

    def broken(ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        raise UnreachableError("the line is cut")

    car.link.image_block = broken  # type: ignore[method-assign]
    with pytest.raises(UnreachableError):
        car.secondary.update_cycle()
    assert (erased, content(car), phase(car)) == ([], FACTORY, Phase.RUNNING)


@pytest.mark.standard("STD-5.4.4.2-10")
def test_amb_14_an_ecu_that_lost_image_and_copy_gets_the_image_that_it_had_when_that_is_directed_again(
    car: Vehicle,
) -> None:
    """Its report still names that image, and yet it is new to the ECU: it does not run."""
    car.cycle()
    car.rules = {"ask": AskImageRepositories.WHEN_NEEDED}
    car.restart_primary()
    second = car.fleet.release("second.img", SECOND, custom=custom(6))
    honest = car.link.image_block

    def cut_after_one(ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        if offset:
            raise UnreachableError("the line is cut")
        return honest(ecu, name, offset)

    car.primary.update_cycle()
    car.link.image_block = cut_after_one  # type: ignore[method-assign]
    with pytest.raises(UnreachableError):
        car.secondary.update_cycle()
    assert phase(car) is Phase.RUNNING, "the copy was there"
    car.link.image_block = honest  # type: ignore[method-assign]
    car.cycle()
    assert car.running() == SECOND
    car.primary.update_cycle()
    car.tcu.device.slots.keep_only(frozenset())
    car.secondary.memory.change(installation=Installation(phase=Phase.RESTORING))
    copies = [name for name in car.device.slots._images if name.startswith("backup-")]  # type: ignore[attr-defined]
    for name in copies:
        del car.device.slots._images[name]  # type: ignore[attr-defined]
    car.secondary.send_report()
    car.fleet.direct(second)
    car.cycle()
    assert (car.running(), phase(car)) == (SECOND, Phase.RUNNING)


def test_amb_14_an_ecu_without_image_takes_the_new_one_where_the_old_one_is_lost_for_good(car: Vehicle) -> None:
    def gone(ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        raise UnreachableError("no such copy")

    car.link.backup_block = gone  # type: ignore[method-assign]
    car.link.swapped_image = (PATH, FRESH[::-1])
    with pytest.raises(BadHashError):
        car.secondary.update_cycle()
    assert (content(car), phase(car)) == (GONE, Phase.RESTORING)
    car.link.restore()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert car.running() == FRESH
    car.fleet.release("second.img", SECOND, custom=custom(6))
    car.cycle()
    assert car.running() == SECOND


@pytest.mark.standard("STD-5.4.3.4-9")
def test_amb_14_a_copy_that_was_altered_on_the_primary_is_not_restored(car: Vehicle) -> None:
    car.link.swapped_image = (PATH, FRESH[::-1])
    with pytest.raises(BadHashError):
        car.secondary.update_cycle()
    copy = next(name for name in car.device.slots._images if name.startswith("backup-"))  # type: ignore[attr-defined]
    honest = car.link.backup_block

    def altered(ecu: EcuIdentifier, name: str, offset: int) -> bytes:
        return honest(ecu, name, offset)[::-1]

    car.link.backup_block = altered  # type: ignore[method-assign]
    with pytest.raises(BadHashError):
        car.secondary.update_cycle()
    assert (content(car), phase(car)) == (GONE, Phase.RESTORING)
    car.link.backup_block = honest  # type: ignore[method-assign]
    car.link.restore()
    assert car.secondary.update_cycle().outcome is Outcome.UPDATED
    assert copy in car.device.slots._images  # type: ignore[attr-defined]


def test_an_image_that_does_not_confirm_is_replaced_by_the_copy(car: Vehicle) -> None:
    car.tcu.device.confirms = lambda file: False
    assert car.secondary.update_cycle().outcome is Outcome.ROLLED_BACK
    assert (content(car), phase(car)) == (FACTORY, Phase.RUNNING)


def test_nothing_is_overwritten_while_the_vehicle_is_not_ready(car: Vehicle) -> None:
    car.tcu.device.may_install = False
    assert car.secondary.update_cycle().outcome is Outcome.DEFERRED
    assert content(car) == FACTORY
    assert not {"back up", "image block"} & set(car.link.calls)


def test_nothing_is_overwritten_when_the_primary_keeps_no_copy(car: Vehicle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MAX_BACKUP_BYTES", len(FACTORY) - 1)
    with pytest.raises(EndlessDataError):
        car.secondary.update_cycle()
    assert (content(car), phase(car)) == (FACTORY, Phase.RUNNING)
    car.link.back_up = lambda *arguments: False  # type: ignore[method-assign]
    with pytest.raises(UnreachableError, match="not overwritten"):
        car.secondary.update_cycle()
    assert content(car) == FACTORY


@pytest.mark.standard("STD-5.4.2.7-2")
def test_the_primary_streams_to_an_ecu_its_own_image_only(car: Vehicle) -> None:
    other = car.add_secondary(BCU)
    door, wanted = car.primary.secondaries, slot_of(image(PATH, FRESH))
    assert door.get_image_block(TCU, wanted, 0) == FRESH
    assert door.get_image_block(TCU, wanted, 3) == FRESH[3:]
    assert door.get_image_block(TCU, wanted, len(FRESH)) == b""
    for ecu, name in ((other.ecu, wanted), (TCU, stored_as(car.secondary.memory.state.installed))):
        with pytest.raises(UnreachableError):
            door.get_image_block(ecu, name, 0)
    with pytest.raises(UnknownEcuError):
        door.get_image_block(EcuIdentifier("nobody"), wanted, 0)


def test_nobody_can_put_something_else_in_the_place_of_an_ecus_copy(car: Vehicle) -> None:
    door, name = car.primary.secondaries, stored_as(car.secondary.memory.state.installed)
    with pytest.raises(BadHashError):
        door.back_up(TCU, name, 0, FACTORY[::-1])
    with pytest.raises(UnreachableError, match="not reported"):
        door.back_up(TCU, slot_of(image(PATH, FRESH)), 0, FRESH)
    assert not door.back_up(TCU, name, 0, FACTORY[:3])
    with pytest.raises(UptaneError, match="byte 2"):
        door.back_up(TCU, name, 2, FACTORY[2:])
    with pytest.raises(UptaneError, match="byte 3"):
        door.back_up(TCU, name, 3, FACTORY[3:])
    with pytest.raises(UnreachableError):
        door.get_backup_block(TCU, name, 0)
    assert not door.back_up(TCU, name, 0, FACTORY[:3])
    assert door.back_up(TCU, name, 3, FACTORY[3:])
    assert door.get_backup_block(TCU, name, 2) == FACTORY[2:]


def test_an_ecu_that_is_taken_out_leaves_no_transfer_open(car: Vehicle) -> None:
    door, name = car.primary.secondaries, stored_as(car.secondary.memory.state.installed)
    assert not door.back_up(TCU, name, 0, FACTORY[:3])
    assert door.get_image_block(TCU, slot_of(image(PATH, FRESH)), 0) == FRESH
    assert door._backups._incoming and door._blocks._open
    door.retire_secondary(TCU)
    assert not door._backups._incoming and not door._blocks._open


def test_a_copy_outlives_the_primarys_cycles_and_its_restart_and_ends_with_the_next_one(car: Vehicle) -> None:
    door, before = car.primary.secondaries, stored_as(car.secondary.memory.state.installed)
    car.cycle()
    car.restart_primary()
    car.primary.update_cycle()
    assert b"".join(car.device.slots.chunks(f"backup-{before}") or ()) == FACTORY
    car.fleet.release("second.img", SECOND, custom=custom(6))
    car.cycle()
    car.primary.update_cycle()
    assert car.device.slots.chunks(f"backup-{before}") is None
    assert b"".join(car.device.slots.chunks(f"backup-{slot_of(image(PATH, FRESH))}") or ()) == FRESH
    assert door is not car.primary.secondaries


def test_attack_names_of_a_stream_are_those_of_any_image(car: Vehicle) -> None:
    car.link.swapped_image = (PATH, FRESH + b"!" * 9)
    with pytest.raises(EndlessDataError) as caught:
        car.secondary.update_cycle()
    assert caught.value.attack is Attack.ENDLESS_DATA
