"""Attacks that no advisory on TUF covers, since they need a Director, a vehicle, or a Primary between."""

import io
import zipfile
from datetime import timedelta

import pytest
from delegating import key
from fleet import Vehicle
from links import wait
from msgspec import structs
from signed import custom
from stage import MAKER, PATH, READERS, Stage
from world import DIRECTOR, IMAGES, PRIMARY, TCU, delegation, delegations, image, new_signer

from uptane.formats.profile import KINDS, Profile
from uptane.metadata.attacks import Attack
from uptane.metadata.errors import (
    BadSignatureError,
    BadTimeAttestationError,
    DirectorDelegationError,
    DuplicateEcuError,
    ForeignEcuError,
    HardwareMismatchError,
    ImageRollbackError,
    MixAndMatchError,
    ReplayedMetadataError,
    RepositoryMismatchError,
    UnreachableError,
    UptaneError,
    WrongVehicleError,
)
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, VehicleIdentifier
from uptane.metadata.root import Role
from uptane.metadata.targets import EcuAssignment, Image
from uptane.timeserver.timeserver import Timeserver
from uptane.vehicle.distribution import pack

OTHER, OTHER_PRIMARY, OTHER_TCU = VehicleIdentifier("112"), EcuIdentifier("P112"), EcuIdentifier("S112")
LATER = 10**18
"""A counter that no report has reached."""

as_each_reader = pytest.mark.parametrize("reader", READERS)


def assigned(stage: Stage, **changes: object) -> Image:
    """The image that the Secondary has, as the Director would list it again."""
    facts: dict[str, object] = {"ecus": (TCU,)} | changes
    return image(PATH, stage.content, **facts)  # type: ignore[arg-type]


def beside(stage: Stage) -> Vehicle:
    """Another vehicle of the same Director and the same repositories."""
    return Vehicle(stage.fleet, OTHER, OTHER_PRIMARY, OTHER_TCU)


@as_each_reader
@pytest.mark.parametrize("with_image", [True, False])
def test_uptane_director_delegation_is_refused(profile: Profile, reader: str, with_image: bool) -> None:
    """Whether or not the Director lists the image itself."""
    stage = Stage(profile, reader)
    below = delegations([key("a")], delegation("a", [key("a")], paths=[PATH]))
    with stage.refuses(DirectorDelegationError, Attack.ARBITRARY_SOFTWARE):
        stage.direct(*([assigned(stage)] if with_image else []), delegations=below)


@as_each_reader
def test_uptane_image_absent_from_the_image_repository_is_refused(profile: Profile, reader: str) -> None:
    stage = Stage(profile, reader)
    with stage.refuses(RepositoryMismatchError, Attack.ARBITRARY_SOFTWARE):
        stage.direct(image("supplier/parts/evil.img", b"evil", ecus=(TCU,)))


@as_each_reader
@pytest.mark.parametrize("difference", ["content", "length", "one hash fewer", "release counter", "hardware"])
def test_uptane_image_different_in_the_image_repository_is_refused(
    profile: Profile, reader: str, difference: str
) -> None:
    stage = Stage(profile, reader)
    other = {
        "content": image(PATH, bytes(len(stage.content)), ecus=(TCU,)),
        "length": image(PATH, stage.content + b"!", ecus=(TCU,)),
        "one hash fewer": assigned(stage, hashes=("sha256",)),
        "release counter": assigned(stage, counter=9),
        "hardware": assigned(stage, hardware=("TCU-1",)),
    }[difference]
    with stage.refuses(RepositoryMismatchError, Attack.ARBITRARY_SOFTWARE):
        stage.direct(other)


@pytest.mark.parametrize("ecu", [OTHER_TCU, EcuIdentifier("tcudemocar"), EcuIdentifier("nobody")])
def test_uptane_foreign_ecu_of_another_vehicle_is_refused(profile: Profile, ecu: EcuIdentifier) -> None:
    stage = Stage(profile)
    beside(stage)
    with stage.refuses(ForeignEcuError, Attack.REPLAY) as errors:
        stage.direct(assigned(stage, ecus=(TCU, ecu)))
    assert errors[0].facts["ecu"] == ecu


@as_each_reader
def test_uptane_duplicate_ecu_with_two_images_is_refused(profile: Profile, reader: str) -> None:
    stage = Stage(profile, reader)
    with stage.refuses(DuplicateEcuError, Attack.MIX_AND_MATCH) as errors:
        stage.direct(assigned(stage), image("supplier/parts/other.img", b"other", ecus=(TCU,)))
    assert errors[0].facts["ecu"] == TCU


def test_uptane_hardware_mismatch_in_what_the_director_states_is_refused_by_the_ecu(profile: Profile) -> None:
    """The image is for any hardware, and the Director takes the ECU for another one."""
    stage = Stage(profile, "secondary", hardware=HardwareIdentifier("TCU-1"))
    with stage.refuses(HardwareMismatchError, Attack.MIX_AND_MATCH) as errors:
        genuine = assigned(stage)
        other = {TCU: EcuAssignment(hardware_id=HardwareIdentifier("TCU-2"))}
        stage.direct(structs.replace(genuine, custom=structs.replace(genuine.custom, ecus=other)))
    assert errors[0].facts["expected"] == "TCU-1"


def test_uptane_hardware_mismatch_is_refused_by_the_ecu(profile: Profile) -> None:
    """Both repositories sign for it; the Primary knows no hardware, and the Secondary knows its own."""
    stage = Stage(profile, "secondary", hardware=HardwareIdentifier("TCU-1"))
    running = stage.content
    with stage.refuses(HardwareMismatchError, Attack.MIX_AND_MATCH) as errors:
        stage.release(custom(hardware=("TCU-2",)))
        stage.car.primary.update_cycle()
        stage.before = stage.handed_on()
    assert errors[0].facts["expected"] == "TCU-1"
    assert running != stage.content


@as_each_reader
@pytest.mark.parametrize("counter", [4, 0, None])
def test_uptane_release_counter_below_the_installed_one_is_refused(
    profile: Profile, reader: str, counter: int | None
) -> None:
    """Both repositories sign for the older release."""
    stage = Stage(profile, reader)
    stage.custom = custom(5)
    ecu = PRIMARY if reader == "primary" else TCU
    stage.release(ecu=ecu)
    stage.car.cycle()
    with stage.refuses(ImageRollbackError, Attack.ROLLBACK, ecu=ecu) as errors:
        stage.release(custom(counter), ecu)
        if reader == "secondary":
            stage.car.primary.update_cycle()
            stage.before = stage.handed_on()
    assert (errors[0].facts["expected"], errors[0].facts["offered"]) == (5, counter)


@as_each_reader
@pytest.mark.parametrize("roles", [("timestamp",), ("timestamp", "snapshot"), ("timestamp", "snapshot", "targets")])
def test_uptane_vehicle_replay_of_the_directors_metadata_for_another_is_refused(
    profile: Profile, reader: str, roles: tuple[str, ...]
) -> None:
    """Vehicles share the Director's keys, so that every signature is good."""
    stage = Stage(profile, reader)
    beside(stage)
    for _ in range(9):
        wait(stage.fleet.director.publish(OTHER, stage.fleet.now))
    with stage.refuses(WrongVehicleError, Attack.REPLAY) as errors:
        for role in roles:
            raw = stage.fleet.file(DIRECTOR, role, OTHER)
            version = profile.format.decode(KINDS[Role(role)], raw).payload.version
            stage.show(DIRECTOR, role, raw, version, relist=False)
    assert (errors[0].facts["expected"], errors[0].facts["offered"]) == (stage.car.vin, OTHER)


@as_each_reader
@pytest.mark.parametrize("role", ["root", "snapshot", "targets"])
def test_uptane_vehicle_replay_of_one_role_for_another_is_refused(profile: Profile, reader: str, role: str) -> None:
    """The thief of the Director's keys lists it for this vehicle, so that this one role is the only fault."""
    stage = Stage(profile, reader)
    with stage.refuses(WrongVehicleError, Attack.REPLAY):
        stage.forge(DIRECTOR, role, vehicle=OTHER)


def test_uptane_stale_nonce_in_a_time_attestation_is_no_answer(profile: Profile) -> None:
    """The attestation of the cycle before, byte for byte."""
    stage = Stage(profile)
    old = stage.car.primary.memory.read("attestation")
    assert old is not None
    with stage.refuses(BadTimeAttestationError, Attack.FREEZE):
        stage.attest(old)


def test_uptane_foreign_nonce_in_a_time_attestation_is_no_answer(profile: Profile) -> None:
    """What another vehicle was answered, and what holds all nonces but one."""
    stage = Stage(profile)
    other = beside(stage)
    other.cycle()
    foreign = other.primary.memory.read("attestation")
    assert foreign is not None
    nonces = [stage.car.primary.memory.state.nonce, *stage.car.primary.secondaries.nonces()]
    attest = stage.fleet.timeserver.attest
    for raw in (foreign, attest([], stage.fleet.now), attest(nonces[1:], stage.fleet.now)):
        with stage.refuses(BadTimeAttestationError, Attack.FREEZE):
            stage.attest(raw)
        nonces = [stage.car.primary.memory.state.nonce, *stage.car.primary.secondaries.nonces()]


@pytest.mark.parametrize("which", ["stale", "foreign"])
def test_uptane_stale_nonce_or_foreign_nonce_does_not_move_the_time_of_a_secondary(
    profile: Profile, which: str
) -> None:
    """Its Primary may simply not have asked again, so that it is no attack; the time stays, and the update comes."""
    stage = Stage(profile, "secondary")
    car = stage.car
    state = car.secondary.memory.state
    later = stage.fleet.now + timedelta(days=300)
    nonce = state.nonce + 1000 if which == "foreign" else max(state.nonce - 1, 0)
    stage.attest(stage.fleet.timeserver.attest([nonce], later))
    stage.release()
    car.primary.update_cycle()
    car.secondary.update_cycle()
    assert (car.secondary.memory.state.time, car.secondary.memory.state.nonce) == (state.time, state.nonce)
    assert car.running() == stage.content
    car.link.restore()
    car.cycle()


@as_each_reader
def test_uptane_time_backwards_is_refused(profile: Profile, reader: str) -> None:
    """It answers the nonce, and is signed by the Timeserver."""
    stage = Stage(profile, reader)
    raw = stage.fleet.timeserver.attest([stage.nonce, *stage.car.primary.secondaries.nonces()], earlier(stage))
    if reader == "primary":
        with stage.refuses(BadTimeAttestationError, Attack.FREEZE):
            stage.attest(raw)
        return
    before, car = stage.car.secondary.memory.state, stage.car
    stage.attest(raw)
    car.secondary.update_cycle()
    assert car.secondary.memory.state.time == before.time
    car.link.restore()
    car.primary.update_cycle()
    assert "E-TIME" in stage.fleet.reports(TCU)[0].attacks_detected
    stage.release()
    car.cycle()
    assert car.running() == stage.content


def earlier(stage: Stage) -> object:
    return stage.fleet.now - timedelta(seconds=1)


@as_each_reader
def test_uptane_time_backwards_by_somebody_else_is_forged(profile: Profile, reader: str) -> None:
    stage = Stage(profile, reader)
    forger = Timeserver(profile, new_signer())
    with stage.refuses(BadSignatureError, Attack.ARBITRARY_SOFTWARE):
        nonces = [stage.nonce, *stage.car.primary.secondaries.nonces()]
        stage.attest(forger.attest(nonces, stage.fleet.now + timedelta(days=300)))


WITHHELD = [(DIRECTOR, "snapshot"), (DIRECTOR, "targets"), (IMAGES, "snapshot"), (IMAGES, str(MAKER))]


@pytest.mark.parametrize("place", WITHHELD, ids=["-".join(place) for place in WITHHELD])
@pytest.mark.parametrize("how", ["withheld", "the one before"])
def test_uptane_partial_metadata_for_a_secondary_is_refused(profile: Profile, place: tuple[str, str], how: str) -> None:
    """The Primary hands on one file too few of a new release, or in its place the one that it has replaced."""
    stage = Stage(profile, "secondary")
    old = stage.raw(*place)  # type: ignore[arg-type]
    stage.release()
    stage.car.primary.update_cycle()
    version = stage.payload(*place).version  # type: ignore[arg-type]
    stage.before = stage.handed_on()
    expected: tuple[type[UptaneError], Attack]
    expected = (
        (UnreachableError, Attack.DROP_REQUEST) if how == "withheld" else (MixAndMatchError, Attack.MIX_AND_MATCH)
    )
    with stage.refuses(*expected):
        if how == "withheld":
            stage.withhold(*place, version)  # type: ignore[arg-type]
        else:
            stage.show(*place, old, version, relist=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("repository", [DIRECTOR, IMAGES])
def test_uptane_partial_metadata_out_of_order_is_refused(profile: Profile, repository: str) -> None:
    """Two releases; the Secondary gets the newer one first, and then one repository's files of the older one."""
    stage = Stage(profile, "secondary")
    older = stage.bundle()
    stage.release()
    stage.car.cycle()
    with stage.refuses(ReplayedMetadataError, Attack.ROLLBACK):
        newer = stage.bundle()
        mine = {name: raw for name, raw in older.items() if name.startswith(f"{repository}/")}
        rest = {name: raw for name, raw in newer.items() if not name.startswith(f"{repository}/")}
        stage.car.link.swapped_bundle = pack(mine | rest)


@pytest.mark.parametrize("repository", [DIRECTOR, IMAGES])
def test_uptane_mixed_bundles_of_two_cycles_are_refused(profile: Profile, repository: str) -> None:
    """One repository's files are those of the release before, the other's are new; the Secondary has neither."""
    stage = Stage(profile, "secondary")
    stage.release()
    stage.car.primary.update_cycle()
    first = stage.bundle()
    stage.release()
    stage.car.primary.update_cycle()
    with stage.refuses(RepositoryMismatchError, Attack.ARBITRARY_SOFTWARE):
        second = stage.bundle()
        mine = {name: raw for name, raw in first.items() if name.startswith(f"{repository}/")}
        rest = {name: raw for name, raw in second.items() if not name.startswith(f"{repository}/")}
        stage.car.link.swapped_bundle = pack(mine | rest)


def test_uptane_mixed_bundles_of_two_vehicles_are_refused(profile: Profile) -> None:
    """The Director's files are those of another vehicle's Primary."""
    stage = Stage(profile, "secondary")
    other = beside(stage)
    other.primary.update_cycle()
    with zipfile.ZipFile(io.BytesIO(other.primary.secondaries.get_metadata(OTHER_TCU))) as archive:
        theirs = {name: archive.read(name) for name in archive.namelist() if name.startswith(f"{DIRECTOR}/")}
    with stage.refuses(WrongVehicleError, Attack.REPLAY):
        mine = {name: raw for name, raw in stage.bundle().items() if not name.startswith(f"{DIRECTOR}/")}
        stage.car.link.swapped_bundle = pack(mine | theirs)
