"""What is remembered of vehicles is used only while it is certain that nobody has changed it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from uptane.director.ports import VehicleRecord, VehicleState
from uptane.director.vehicle_cache import READ_TOGETHER, AtHand, Known, VehicleCache
from uptane.metadata.identifiers import VehicleIdentifier

CAR, TRUCK, BUS = map(VehicleIdentifier, ("car", "truck", "bus"))
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def known(revision: int = 1, vehicle: VehicleIdentifier = CAR) -> Known:
    """A vehicle with one file."""
    state = VehicleState(record=VehicleRecord(vehicle=vehicle), revision=revision, ecus=(), assignments=(), directed=())
    files = {"timestamp.der": vehicle.encode(), "1.root.der": b"root"}
    return Known(state=state, own=None, files=files, missing="2.root.der", settled=(NOW, NOW + timedelta(hours=1)))


@pytest.fixture
def cache() -> VehicleCache:
    """An open cache that knows the car."""
    cache = VehicleCache(limit=2)
    cache.open()
    with cache.reading(CAR):
        cache.keep(known())
    return cache


def reassigned(cache: VehicleCache, vehicle: VehicleIdentifier = CAR) -> dict[VehicleIdentifier, int]:
    """What may be read together with a vehicle, and the revision of each."""
    with cache.reassigned(vehicle) as asked:
        return {last.vehicle: revision for last, revision in asked}


def told_that_assigned(cache: VehicleCache, *vehicles: VehicleIdentifier) -> None:
    """It knows these vehicles, and is told that each was assigned something."""
    for vehicle in vehicles:
        with cache.reading(vehicle):
            cache.keep(known(vehicle=vehicle))
        cache.changed(vehicle, 2, only_assignments=True)


def file(cache: VehicleCache, name: str, vehicle: VehicleIdentifier = CAR, now: datetime = NOW) -> object:
    """What is at hand."""
    return cache.file(vehicle, name, "timestamp.der", now)


def test_it_answers_with_the_vehicles_own_files_and_says_which_root_there_is_not(cache: VehicleCache) -> None:
    assert file(cache, "timestamp.der") == b"car"
    assert file(cache, "2.root.der") is None
    for name in ("3.root.der", "", "../truck", "1.targets.der"):
        assert file(cache, name) is AtHand.UNKNOWN
    assert file(cache, "timestamp.der", TRUCK) is AtHand.UNKNOWN


def test_a_timestamp_that_may_have_to_be_renewed_is_not_at_hand(cache: VehicleCache) -> None:
    assert file(cache, "timestamp.der", now=NOW + timedelta(hours=1)) is AtHand.UNKNOWN
    assert file(cache, "timestamp.der", now=NOW - timedelta(seconds=1)) is AtHand.UNKNOWN, "the clock was put back"
    assert file(cache, "1.root.der", now=NOW + timedelta(hours=1)) == b"root"


def test_a_change_by_others_ends_it_and_the_echo_of_ones_own_does_not(cache: VehicleCache) -> None:
    cache.changed(CAR, 1)
    assert file(cache, "timestamp.der") == b"car"
    cache.changed(CAR, 2)
    assert file(cache, "timestamp.der") is AtHand.UNKNOWN
    assert cache.last(CAR) == known(), "it is still good to compare with"


@pytest.mark.parametrize(
    ("told", "only_assignments_up_to"),
    [
        ([(2, True)], 2),
        ([(2, True), (3, True)], 3),
        ([(2, False)], None),
        ([(2, False), (3, True)], None),
        ([(2, True), (3, False), (4, True)], None),
        ([(3, True)], None),
        ([(2, True), (4, True)], None),
    ],
    ids=str,
)
def test_it_knows_whether_nothing_but_assignments_has_changed(
    cache: VehicleCache, told: list[tuple[int, bool]], only_assignments_up_to: int | None
) -> None:
    """Revision by revision: of one that it was not told, it does not know."""
    assert reassigned(cache) == {}
    for revision, only_assignments in told:
        cache.changed(CAR, revision, only_assignments=only_assignments)
    assert reassigned(cache).get(CAR) == only_assignments_up_to and cache.current(CAR) is None
    with cache.reading(CAR):
        cache.keep(known(told[-1][0]))
    assert cache.current(CAR) is not None and reassigned(cache) == {}


def test_after_anything_else_it_does_not_know_that_only_assignments_have_changed(cache: VehicleCache) -> None:
    cache.changed(CAR, 2, only_assignments=True)
    cache.changed(CAR)
    assert reassigned(cache) == {}
    with cache.reading(CAR):
        cache.changed(CAR, 4, only_assignments=True)
        cache.keep(known(3))
    assert cache.current(CAR) is None and reassigned(cache) == {}, "told before it was known what of"
    for loss in (cache.close, cache.all_changed):
        cache.open()
        with cache.reading(CAR):
            cache.keep(known(4))
        cache.changed(CAR, 5, only_assignments=True)
        loss()
        assert reassigned(cache) == {}


def test_vehicles_that_were_assigned_something_are_read_together_and_each_once() -> None:
    cache = VehicleCache()
    cache.open()
    told_that_assigned(cache, TRUCK, BUS, CAR)
    with cache.reading(CAR), cache.reassigned(CAR) as asked:
        assert [last.vehicle for last, _ in asked] == [CAR, TRUCK, BUS]
        assert reassigned(cache, BUS) == {BUS: 2}, "its own request does not wait for that of another"
        with cache.reading(BUS), cache.reassigned(BUS) as of_the_bus:
            assert [last.vehicle for last, _ in of_the_bus] == [BUS]
    with cache.changing(TRUCK):
        assert reassigned(cache) == {CAR: 2, BUS: 2}, "what somebody builds on is his"
        cache.keep(known(vehicle=TRUCK))
    assert reassigned(cache) == {CAR: 2, BUS: 2}, "and it does not know what has changed beside his"
    many = [VehicleIdentifier(f"car {number}") for number in range(3 * READ_TOGETHER)]
    told_that_assigned(cache, *many)
    assert list(reassigned(cache, many[-1])) == [many[-1], BUS, CAR, *many[: READ_TOGETHER - 3]]


NOTHING: dict[str, Callable[[VehicleCache], object]] = {
    "told of more assignments": lambda cache: cache.changed(TRUCK, 3, only_assignments=True),
    "told of another change": lambda cache: cache.changed(TRUCK, 3),
    "changed by this process": lambda cache: cache.changed(TRUCK),
    "nobody tells any more": VehicleCache.close,
    "told of nothing for a while": lambda cache: (cache.close(), cache.open()),
    "forgotten": lambda cache: told_that_assigned(cache, BUS, VehicleIdentifier("van")),
    "read by itself": lambda cache: told_that_assigned(cache, TRUCK),
}


@pytest.mark.parametrize("meanwhile", NOTHING)
def test_what_was_read_with_another_vehicle_is_kept_where_nothing_was_heard_of_it_meanwhile(
    cache: VehicleCache, meanwhile: str
) -> None:
    told_that_assigned(cache, TRUCK, CAR)
    for happens, is_kept in ((lambda cache: None, True), (NOTHING[meanwhile], False)):
        with cache.reading(CAR), cache.reassigned(CAR) as asked:
            last, revision = asked[1]
            happens(cache)
            cache.keep_reassigned(last, revision, known(revision, vehicle=TRUCK))
        assert (cache.current(TRUCK) is not None) == is_kept
        if is_kept:
            assert reassigned(cache) == {CAR: 2}
            told_that_assigned(cache, TRUCK)


def test_what_cannot_be_read_with_others_is_not_tried_again_and_takes_no_place_of_theirs(cache: VehicleCache) -> None:
    told_that_assigned(cache, TRUCK, CAR)
    with cache.reassigned(CAR) as asked:
        cache.keep_reassigned(*asked[1], None)
    assert reassigned(cache) == {CAR: 2} and cache.current(TRUCK) is None and reassigned(cache, TRUCK) == {}
    cache.changed(TRUCK, 3, only_assignments=True)
    assert reassigned(cache) == {CAR: 2}, "more than assignments may have changed before"


@pytest.mark.parametrize("read", [1, 2, 3])
def test_what_changes_while_it_is_read_is_not_taken_for_current(cache: VehicleCache, read: int) -> None:
    with cache.reading(CAR):
        cache.changed(CAR, 2)
        cache.keep(known(read))
    assert (cache.current(CAR) is not None) == (read >= 2)


def test_what_was_out_of_date_before_it_was_built_on_stays_so(cache: VehicleCache) -> None:
    cache.changed(CAR, 2)
    with cache.changing(CAR):
        cache.keep(known())
    assert cache.current(CAR) is None


def test_a_write_that_was_cut_off_leaves_nothing_current(cache: VehicleCache) -> None:
    with pytest.raises(KeyboardInterrupt), cache.changing(CAR):
        raise KeyboardInterrupt
    assert cache.current(CAR) is None


def test_nothing_is_current_while_changes_may_be_missed(cache: VehicleCache) -> None:
    with cache.reading(TRUCK):
        cache.close()
        cache.keep(known(vehicle=TRUCK))
    cache.open()
    assert cache.current(CAR) is None and cache.current(TRUCK) is None
    never_opened = VehicleCache()
    with never_opened.reading(CAR):
        never_opened.keep(known())
    assert never_opened.current(CAR) is None


def test_what_was_read_before_anybody_told_of_changes_is_not_taken_for_current() -> None:
    """Somebody may have changed it between the reading and the first word."""
    cache = VehicleCache()
    with cache.reading(CAR):
        cache.open()
        cache.keep(known())
    assert cache.current(CAR) is None
    with cache.reading(CAR):
        cache.keep(known())
    assert cache.current(CAR) is not None


def test_it_remembers_the_vehicles_of_the_latest_requests_and_no_more(cache: VehicleCache) -> None:
    for vehicle in (TRUCK, BUS):
        assert cache.current(CAR) is not None
        with cache.reading(vehicle):
            cache.keep(known(vehicle=vehicle))
    assert len(cache) == 2
    assert cache.current(TRUCK) is None and cache.last(TRUCK) is None
    assert cache.current(CAR) is not None and cache.current(BUS) is not None


def test_of_large_vehicles_it_remembers_fewer() -> None:
    cache = VehicleCache(limit_bytes=1_000)
    cache.open()

    def keep(vehicle: VehicleIdentifier, size: int) -> None:
        given = known(vehicle=vehicle)
        record = structs.replace(given.state.record, manifest=bytes(size))
        with cache.reading(vehicle):
            cache.keep(structs.replace(given, state=structs.replace(given.state, record=record)))

    for _ in range(5):
        for vehicle in (CAR, TRUCK, BUS):
            keep(vehicle, 300)
    assert len(cache) == 3, "what takes the place of something is not counted twice"
    keep(BUS, 500)
    assert cache.current(CAR) is None and cache.last(CAR) is None
    assert cache.current(TRUCK) is not None and cache.current(BUS) is not None
    keep(CAR, 2_000)
    assert len(cache) == 1 and cache.current(CAR) is not None
    keep(TRUCK, 300)
    keep(BUS, 300)
    assert len(cache) == 2
