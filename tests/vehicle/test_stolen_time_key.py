"""TH-24, TH-25: whoever steals the Timeserver's key can deny updates, never roll back; another key in Root cures it."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from fleet import Fleet, Vehicle
from links import wait
from msgspec import structs
from partial import FOLLOWS, PINNED
from signed import FRESH, PATH
from stage import Stage
from time_keys import TimeThief, name_keys, rotate, sign_with
from world import DIRECTOR, NOW, PRIMARY, TCU

from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES
from uptane.formats.timeserver_keys import timeserver_keys_of
from uptane.metadata.attacks import Attack
from uptane.metadata.errors import (
    BadSignatureError,
    BadTimeAttestationError,
    ExpiredMetadataError,
    FormatError,
    UnreachableError,
    UptaneError,
)
from uptane.metadata.extensions import Extensions
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.keys import PublicKey
from uptane.metadata.root import Role, Root
from uptane.metadata.time_attestation import TimeAttestation
from uptane.signing.sign import sign
from uptane.signing.signer import KeySigner
from uptane.timeserver.timeserver import Timeserver
from uptane.vehicle.memory import VerificationKind
from uptane.vehicle.provisioning import MAX_LEAP_DAYS
from uptane.vehicle.secondary import Outcome
from uptane.verification.steps import Keep

FAR = datetime(9999, 12, 31, tzinfo=UTC)
NEWER = b"what both repositories sign for after the theft"
FOLLOWERS = pytest.mark.parametrize("kind", [VerificationKind.FULL, FOLLOWS])


def unbounded(profile: Profile, kind: VerificationKind = VerificationKind.FULL) -> Vehicle:
    """A car whose ECUs believe any leap of time, and that has its update."""
    car = Vehicle(Fleet(profile), verification=kind)
    for memory in (car.primary.memory, car.secondary.memory):
        memory.longest_leap = timedelta(days=MAX_LEAP_DAYS)
    car.fleet.release(PATH, FRESH)
    car.cycle()
    return car


def deny(car: Vehicle) -> None:
    """The thief brings both ECUs to the year 9999, at which everything has expired."""
    thief = TimeThief(car, car.fleet.time_key, FAR)
    car.secondary.send_report()
    with pytest.raises(ExpiredMetadataError):
        car.primary.update_cycle()
    with pytest.raises(ExpiredMetadataError):
        car.secondary.update_cycle()
    assert car.primary.memory.state.time == car.secondary.memory.state.time == FAR
    thief.leave()


def told(car: Vehicle, ecu: str) -> str:
    return "; ".join(filter(None, (report.attacks_detected for report in car.fleet.reports(EcuIdentifier(ecu)))))


@FOLLOWERS
@pytest.mark.standard("STD-5.4-12", "STD-5.4.2.2-1", "STD-5.4.3.1-1")
def test_amb_05_a_far_future_denies_updates_until_root_names_another_key(
    profile: Profile, kind: VerificationKind
) -> None:
    car = unbounded(profile, kind)
    deny(car)
    car.fleet.release(PATH, NEWER)
    with pytest.raises(BadTimeAttestationError):
        car.primary.update_cycle()
    assert car.running() == FRESH
    rotate(car.fleet)
    with pytest.raises(BadTimeAttestationError):
        car.primary.update_cycle()  # the Director has refused the report of the year 9999
    car.secondary.update_cycle()
    assert (car.primary.memory.state.time, car.running()) == (car.fleet.now, NEWER)
    car.cycle()
    car.primary.update_cycle()
    assert car.secondary.memory.state.time == car.fleet.now
    assert "E-TIME" in told(car, PRIMARY) and f"{TCU} reported: E-FREEZE" in told(car, PRIMARY)


@FOLLOWERS
def test_a_stolen_key_is_refused_once_root_names_another(profile: Profile, kind: VerificationKind) -> None:
    car = Vehicle(Fleet(profile), verification=kind)
    car.fleet.release(PATH, FRESH)
    car.cycle()
    stolen = rotate(car.fleet)
    car.cycle()
    car.cycle()
    thief = TimeThief(car, stolen, car.fleet.now + timedelta(days=1))
    with car.primary_refuses(BadSignatureError, undo=thief.leave) as errors:
        pass
    assert errors[0].attack is Attack.ARBITRARY_SOFTWARE
    with car.secondary_refuses(BadSignatureError):
        nonce = car.secondary.memory.state.nonce
        car.link.swapped_attestation = Timeserver(profile, stolen).attest([nonce], car.fleet.now + timedelta(days=1))


def test_a_stolen_key_does_not_come_back_with_an_old_root_or_one_that_names_no_key(profile: Profile) -> None:
    car = Vehicle(Fleet(profile))
    old = car.fleet.file(DIRECTOR, Role.ROOT)
    stolen = rotate(car.fleet)
    car.cycle()
    keys = car.primary.memory.timeserver_keys
    assert keys == (car.fleet.time_key.key,)
    car.links.altered[DIRECTOR, profile.metadata_name(Role.ROOT, 3)] = old
    thief = TimeThief(car, stolen, car.fleet.now)
    with pytest.raises(UptaneError):
        car.primary.update_cycle()
    thief.leave()
    car.links.restore()
    car.fleet.director = car.fleet.open_director()  # which was not told of the Timeserver's keys
    car.fleet.rotate_director(Role.TARGETS)
    car.cycle()
    root = profile.format.decode(Root, car.fleet.file(DIRECTOR, Role.ROOT)).payload
    assert timeserver_keys_of(root) == keys
    silent = sign(
        profile, structs.replace(root, version=4, extensions=Extensions()), car.fleet.director_keys[Role.ROOT]
    )
    for memory in (car.primary.memory, car.secondary.memory):
        memory.keep(Keep(DIRECTOR, 4, silent, ()))
    car.restart_primary()
    assert car.primary.memory.timeserver_keys == car.secondary.memory.timeserver_keys == keys
    with pytest.raises(BadSignatureError):
        TimeThief(car, stolen, car.fleet.now)
        car.primary.update_cycle()


@pytest.mark.parametrize("reader", ["primary", "secondary"])
def test_a_root_whose_timeserver_keys_are_none_is_refused_as_a_whole(profile: Profile, reader: str) -> None:
    stage = Stage(profile, reader)
    with stage.refuses(FormatError, None):
        stage.forge(DIRECTOR, Role.ROOT, extensions=Extensions((("timeserver_keys", b"[]"),)))


@FOLLOWERS
def test_while_images_cannot_be_had_a_secondary_gets_no_time_that_its_roots_do_not_vouch_for(
    profile: Profile, kind: VerificationKind
) -> None:
    """The Primary knows the new key already; its Secondaries get Root with the next bundle, after the images."""
    car = Vehicle(Fleet(profile), verification=kind)
    car.cycle()
    before = car.secondary.memory.state.time
    new = car.fleet.new_key()
    name_keys(car.fleet, new)
    sign_with(car.fleet, new)
    car.fleet.release(PATH, FRESH)
    car.fleet.later(minutes=5)
    car.links.down |= {"mirror 1", "mirror 2"}
    for _ in range(2):
        with pytest.raises(UnreachableError):
            car.primary.update_cycle()
        car.secondary.update_cycle()
    assert car.secondary.memory.state.attacks == ()
    assert car.secondary.memory.state.time == before
    car.links.restore()
    car.cycle()
    assert (car.running(), car.secondary.memory.state.time) == (FRESH, car.fleet.now)
    assert car.secondary.memory.state.time_source == new.key.key_id
    car.primary.update_cycle()
    assert told(car, PRIMARY) == told(car, TCU) == ""


@FOLLOWERS
def test_a_secondary_follows_through_its_bundle_without_a_false_alarm(profile: Profile, kind: VerificationKind) -> None:
    """Its Primary learns of the new key after it has asked for the time, so that its attestation is by the old one."""
    car = Vehicle(Fleet(profile), verification=kind)
    car.cycle()
    old, new = car.fleet.time_key, car.fleet.new_key()
    name_keys(car.fleet, new)
    car.cycle()  # the Timeserver still signs with the old key
    assert car.primary.memory.state.time_source == old.key.key_id
    assert car.secondary.update_cycle().outcome is Outcome.NO_UPDATE
    assert car.secondary.memory.state.attacks == ()
    sign_with(car.fleet, new)
    car.fleet.release(PATH, FRESH)
    car.fleet.later(minutes=5)
    car.cycle()
    assert (car.running(), car.secondary.memory.state.time) == (FRESH, car.fleet.now)
    assert car.secondary.memory.state.time_source == new.key.key_id
    car.primary.update_cycle()
    assert told(car, PRIMARY) == told(car, TCU) == ""


@FOLLOWERS
def test_a_forged_attestation_is_told_also_where_no_root_can_be_had(profile: Profile, kind: VerificationKind) -> None:
    car = Vehicle(Fleet(profile), verification=kind)
    car.cycle()
    forger = Timeserver(profile, car.fleet.new_key())
    with car.primary_refuses(BadSignatureError):
        car.links.attestation = forger.attest([car.primary.memory.state.nonce], car.fleet.now)
        car.links.down.add(DIRECTOR)


@FOLLOWERS
@pytest.mark.standard("STD-5.4.3.1-1")
def test_a_forged_attestation_without_our_nonce_is_no_ordinary_old_one(
    profile: Profile, kind: VerificationKind
) -> None:
    """Only while the key of the trusted time is gone may a Primary still have one that no key of now has signed."""
    car = Vehicle(Fleet(profile), verification=kind)
    car.cycle()
    with car.secondary_refuses(BadSignatureError):
        car.link.swapped_attestation = Timeserver(profile, car.fleet.new_key()).attest([], car.fleet.now)


@FOLLOWERS
def test_an_ordinary_old_attestation_costs_a_secondary_no_second_bundle(
    profile: Profile, kind: VerificationKind
) -> None:
    car = Vehicle(Fleet(profile), verification=kind)
    car.cycle()
    car.link.calls.clear()
    car.secondary.update_cycle()
    assert car.link.calls.count("metadata") + car.link.calls.count("partial metadata") == 1


def test_in_an_orderly_change_both_keys_attest_and_time_never_goes_back(profile: Profile) -> None:
    car = Vehicle(Fleet(profile))
    old, new = car.fleet.time_key, car.fleet.new_key()
    name_keys(car.fleet, old, new)
    car.fleet.later(hours=2)
    car.cycle()
    sign_with(car.fleet, new)
    late, car.fleet.now = car.fleet.now, NOW
    with pytest.raises(BadTimeAttestationError, match="earlier"):
        car.primary.update_cycle()
    car.fleet.now = late
    car.cycle()
    assert car.primary.memory.state.time_source == new.key.key_id
    name_keys(car.fleet, new)
    car.cycle()
    car.fleet.now = NOW
    with pytest.raises(BadTimeAttestationError, match="earlier"):
        car.primary.update_cycle()


class Boaster(KeySigner):
    """Signs with one key in the name of another."""

    def __init__(self, key: PublicKey) -> None:
        super().__init__(ed25519.Ed25519PrivateKey.generate())
        self._boasted = key

    @property
    def key(self) -> PublicKey:
        return self._boasted


def test_an_entry_in_the_name_of_a_good_key_leaves_the_time_to_the_stolen_one_that_signed(profile: Profile) -> None:
    """Otherwise the time would stand under a key that stays, and could never be set back."""
    car = unbounded(profile)
    stolen, good = car.fleet.time_key, car.fleet.new_key()
    name_keys(car.fleet, good, stolen)
    car.cycle()
    nonces = (car.primary.memory.state.nonce, *car.primary.secondaries.nonces())
    car.links.attestation = sign(profile, TimeAttestation(time=FAR, nonces=nonces), [Boaster(good.key), stolen])
    with pytest.raises(ExpiredMetadataError):
        car.primary.update_cycle()
    assert car.primary.memory.state.time_source == stolen.key.key_id
    car.links.restore()
    name_keys(car.fleet, good)
    sign_with(car.fleet, good)
    with pytest.raises(BadTimeAttestationError):
        car.primary.update_cycle()  # the Director has refused the report of the year 9999
    assert car.primary.memory.state.time == car.fleet.now


@pytest.mark.parametrize("later", [timedelta(days=-3), timedelta(0)], ids=["earlier", "the same"])
def test_under_the_new_key_time_is_set_back_once_and_not_behind_the_factory(profile: Profile, later: timedelta) -> None:
    car = unbounded(profile)
    deny(car)
    rotate(car.fleet)
    car.fleet.now = NOW + later
    if later < timedelta(0):
        with pytest.raises(BadTimeAttestationError, match="earlier"):
            car.primary.update_cycle()
        assert car.primary.memory.state.time == FAR
        return
    with pytest.raises(BadTimeAttestationError):
        car.primary.update_cycle()
    assert car.primary.memory.state.time == NOW
    car.fleet.now = NOW - timedelta(seconds=1)
    with pytest.raises(BadTimeAttestationError, match="earlier"):
        car.primary.update_cycle()


@pytest.mark.standard("STD-5.4-12")
def test_an_older_time_by_the_stolen_key_is_refused_and_freezes_nothing_that_is_trusted(profile: Profile) -> None:
    car = Vehicle(Fleet(profile))
    car.fleet.later(hours=2)
    car.cycle()
    thief = TimeThief(car, car.fleet.time_key, NOW)
    with car.primary_refuses(BadTimeAttestationError, undo=thief.leave) as errors:
        pass
    assert errors[0].attack is Attack.FREEZE


def test_a_secondary_without_recent_time_still_follows_root_to_the_new_key(profile: Profile) -> None:
    car = Vehicle(Fleet(profile))
    car.cycle()
    for _ in range(car.secondary.memory.cycles_without_time + 1):
        car.secondary.memory.miss_time()
    rotate(car.fleet)
    car.fleet.release(PATH, FRESH)
    car.cycle()
    assert car.running() == FRESH


def test_pinned_keys_do_not_follow_root_to_the_new_key_and_say_so(profile: Profile) -> None:
    """The Director's Targets, which it would believe, name no keys of the Timeserver: such an ECU is made again."""
    car = Vehicle(Fleet(profile), verification=PINNED)
    car.cycle()
    car.secondary.send_report()
    rotate(car.fleet)
    car.primary.update_cycle()
    with pytest.raises(BadSignatureError):
        car.secondary.update_cycle()
    car.primary.update_cycle()
    assert "E-SIG" in told(car, TCU)


def test_an_ecu_that_is_made_after_the_rotation_believes_what_root_names(profile: Profile) -> None:
    fleet = Fleet(profile)
    stolen = fleet.time_key
    fleet.add_vehicle()
    rotate(fleet)
    car = Vehicle(fleet, timeserver_key=stolen.key)
    assert car.secondary.memory.timeserver_keys == (fleet.time_key.key,)
    fleet.release(PATH, FRESH)
    car.cycle()
    assert car.running() == FRESH


@pytest.mark.parametrize("name", ["pouf1", "pouf1-json"])
def test_a_root_that_has_no_place_for_the_keys_is_not_published(name: str) -> None:
    fleet = Fleet(PROFILES[name])
    vin = fleet.add_vehicle()
    with pytest.raises(FormatError, match="no place"):
        name_keys(fleet, fleet.new_key())
    wait(fleet.director.publish(vin, fleet.now))
