"""The weaknesses of the archived implementation, 12 to 20: metadata, files, processes, doors, formats, memory."""

import ast
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fleet import Fleet, Vehicle
from links import wait
from msgspec import structs
from signed import EVIL, FRESH, PATH, custom
from world import DIRECTOR, IMAGES, VIN, listed

from uptane.formats.profile import Profile
from uptane.formats.profiles import PROFILES, recognised
from uptane.metadata.errors import (
    BadSignatureError,
    EndlessDataError,
    FormatError,
    ProvisioningError,
    ReplayedMetadataError,
)
from uptane.metadata.identifiers import EcuIdentifier, HardwareIdentifier, ImagePath, RoleName
from uptane.metadata.keys import KeyType
from uptane.metadata.root import Role, Root
from uptane.metadata.snapshot import MetadataFile, Snapshot
from uptane.metadata.targets import Targets
from uptane.metadata.timestamp import Timestamp
from uptane.services.director_app import director_methods
from uptane.services.primary_app import primary_methods
from uptane.services.timeserver_app import timeserver_methods
from uptane.signing.publish import new_root
from uptane.signing.sign import sign
from uptane.signing.signer import KeySigner
from uptane.storage.folders import ImageFolder
from uptane.vehicle.distribution import MAX_BUNDLE_BYTES, pack

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def car(profile: Profile) -> Vehicle:
    """A vehicle that got its update."""
    car = Vehicle(Fleet(profile))
    car.fleet.release(PATH, FRESH)
    car.cycle()
    return car


def forged(car: Vehicle, role: Role, payload: object) -> bytes:
    """A file of the Director by a thief of that role's key."""
    return sign(car.fleet.profile, payload, car.fleet.director_keys[role])  # type: ignore[arg-type]


def drafted(car: Vehicle, keys: Mapping[Role, Sequence[KeySigner]], version: int) -> Root:
    """A Root of the Director, as its publisher would write it."""
    unnamed, plain = car.fleet.profile.unsafe_no_vehicle_id, car.fleet.profile.unsafe_plain_names
    draft = structs.replace(new_root(keys), version=version, expires=car.fleet.now + timedelta(days=365))
    return structs.replace(draft, vehicle=None if unnamed else VIN, consistent_snapshot=not plain)


def put_root(car: Vehicle, raw: bytes) -> None:
    """The Director offers a Root where the Primary looks for the next one, and whatever makes it look."""
    profile, name = car.fleet.profile, car.fleet.profile.requested_metadata
    car.links.altered[DIRECTOR, name(Role.ROOT, 2)] = raw
    if profile.unsafe_root_through_snapshot:
        timestamp = profile.format.decode(Timestamp, car.fleet.file(DIRECTOR, Role.TIMESTAMP)).payload
        snapshot = profile.format.decode(Snapshot, car.fleet.file(DIRECTOR, Role.SNAPSHOT)).payload
        version = profile.format.decode(Root, raw).payload.version
        newer = structs.replace(snapshot, version=snapshot.version + 1, root=listed(raw, version))
        above = forged(car, Role.SNAPSHOT, newer)
        top = structs.replace(timestamp, version=timestamp.version + 1, snapshot=listed(above, newer.version))
        car.links.altered[DIRECTOR, name(Role.SNAPSHOT, newer.version)] = above
        car.links.altered[DIRECTOR, name(Role.TIMESTAMP)] = forged(car, Role.TIMESTAMP, top)


def test_weakness_12_another_root_of_the_same_version_replaces_nothing(car: Vehicle) -> None:
    stranger, name = Fleet(car.fleet.profile), car.fleet.profile.metadata_name
    stranger.add_vehicle(VIN)
    before = car.trusted()
    for file in (name(Role.ROOT, 1), name(Role.ROOT)):
        car.links.altered[DIRECTOR, file] = stranger.file(DIRECTOR, Role.ROOT)
    car.primary.update_cycle()
    assert car.trusted() == before


@pytest.mark.parametrize("by", ["old keys", "new keys"])
def test_weakness_12_a_new_root_is_signed_by_its_own_keys_and_the_ones_before(car: Vehicle, by: str) -> None:
    old, new = car.fleet.director_keys, car.fleet.director_keys | {Role.ROOT: [car.fleet.new_key()]}
    root = drafted(car, new, 2)
    with car.primary_refuses(BadSignatureError):
        raw = sign(car.fleet.profile, root, (old if by == "old keys" else new)[Role.ROOT])
        put_root(car, raw)


def test_weakness_12_the_next_root_has_the_next_version(car: Vehicle) -> None:
    missed = ProvisioningError if car.fleet.profile.unsafe_root_through_snapshot else ReplayedMetadataError
    with car.primary_refuses(missed):
        put_root(car, forged(car, Role.ROOT, drafted(car, car.fleet.director_keys, 3)))


def test_weakness_12_a_thief_of_the_timestamp_key_cannot_roll_the_snapshot_back(car: Vehicle) -> None:
    codec, name = car.fleet.profile.format, car.fleet.profile.metadata_name
    old = car.fleet.published(VIN)[name(Role.SNAPSHOT, 1)]
    genuine = codec.decode(Timestamp, car.fleet.file(DIRECTOR, Role.TIMESTAMP)).payload
    with car.primary_refuses(ReplayedMetadataError):
        newer = structs.replace(genuine, version=genuine.version + 1, snapshot=listed(old, 1))
        car.links.altered[DIRECTOR, name(Role.TIMESTAMP)] = forged(car, Role.TIMESTAMP, newer)


@pytest.mark.lies_in_the_wire("pouf1", "pouf1-json")
@pytest.mark.parametrize("how", ["forgets it", "lists an older one"])
def test_weakness_12_a_thief_of_the_online_keys_cannot_take_a_suppliers_targets_back(car: Vehicle, how: str) -> None:
    supplier, fleet, profile = RoleName("supplier"), car.fleet, car.fleet.profile
    fleet.grant(supplier, "supplier/*")
    for content in (EVIL, FRESH):
        wait(fleet.images.add_image(ImagePath("supplier/x.img"), content, role=supplier))
        wait(fleet.images.publish(fleet.now))
    car.cycle()
    timestamp = profile.format.decode(Timestamp, fleet.file(IMAGES, Role.TIMESTAMP)).payload
    snapshot = profile.format.decode(Snapshot, fleet.file(IMAGES, Role.SNAPSHOT)).payload
    files = {name: file for name, file in snapshot.files.items() if name != supplier}
    if how == "lists an older one":
        files[supplier] = listed(fleet.published()[profile.metadata_name(supplier, 1)], 1)
    with car.primary_refuses(ReplayedMetadataError) as errors:
        newer = structs.replace(snapshot, version=snapshot.version + 1, files=files)
        raw = sign(profile, newer, fleet.image_keys[Role.SNAPSHOT])
        top = structs.replace(timestamp, version=timestamp.version + 1, snapshot=listed(raw, newer.version))
        car.links.altered[IMAGES, profile.metadata_name(Role.SNAPSHOT, newer.version)] = raw
        car.links.altered[IMAGES, profile.metadata_name(Role.TIMESTAMP)] = sign(
            profile, top, fleet.image_keys[Role.TIMESTAMP]
        )
    assert errors[0].facts["role"] == supplier


@pytest.mark.lies_in_the_wire("pouf1", "pouf1-json")
def test_weakness_13_files_are_asked_for_by_version_and_images_by_hash(car: Vehicle) -> None:
    car.links.names.clear()
    released = car.fleet.release(PATH, EVIL)
    car.primary.update_cycle()
    plain = {car.fleet.profile.metadata_name(Role.TIMESTAMP)}
    asked = set(car.links.names) - plain
    hashed = {car.fleet.profile.requested_image(released.file.path, digest) for _, digest in released.file.digests}
    assert asked & hashed
    assert all(name.split(".")[0].isdecimal() for name in asked - hashed)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "%2e%2e/x", "..\\x", "C:/x", "a//b", "x\0"])
def test_weakness_14_no_name_leads_out_of_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "targets").mkdir()
    for outside in (tmp_path, tmp_path / "targets-private"):
        outside.mkdir(exist_ok=True)
        (outside / "x").write_bytes(b"secret")
    with pytest.raises(FormatError):
        ImagePath(name)
    folder = ImageFolder(tmp_path / "targets")
    for tried in (name, "../targets-private/x"):
        with suppress(FormatError):
            assert wait(folder.read(tried)) is None


def test_weakness_14_what_a_primary_sends_is_never_unpacked_onto_a_disk(car: Vehicle, tmp_path: Path) -> None:
    with car.secondary_refuses(EndlessDataError):
        car.link.swapped_bundle = pack({"../../evil": bytes(MAX_BUNDLE_BYTES + 1)})
    tree = ast.parse((REPOSITORY / "src/uptane/vehicle/distribution.py").read_text())
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not called & {"extract", "extractall"}


def test_weakness_15_two_clients_of_different_formats_live_in_one_process() -> None:
    cars = {name: Vehicle(Fleet(profile)) for name, profile in PROFILES.items()}
    errors: list[BaseException] = []

    def drive(car: Vehicle) -> None:
        try:
            for n in range(5):
                car.fleet.release(PATH, b"image %d" % n)
                car.cycle()
        except BaseException as error:  # noqa: BLE001 - told in the main thread
            errors.append(error)

    threads = [threading.Thread(target=drive, args=(car,)) for car in cars.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for car in cars.values():
        assert car.running() == b"image 4"
        assert {recognised(raw) for raw in car.trusted().values()} == {car.fleet.profile}


def test_weakness_15_nothing_changes_the_working_directory_or_writes_into_it(tmp_path: Path) -> None:
    modules = [
        ".".join(path.relative_to(REPOSITORY / "src").with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((REPOSITORY / "src/uptane").rglob("*.py"))
        if path.parts[-2:] != ("migrations", "env.py")  # a script that alembic runs, and no module
    ]
    program = f"import importlib, os\nfor name in {modules!r}: importlib.import_module(name)\nprint(os.getcwd())"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path.resolve())
    assert list(tmp_path.iterdir()) == []
    for path in (REPOSITORY / "src").rglob("*.py"):
        assert "chdir" not in path.read_text(), path


def test_weakness_16_the_library_imports_no_demonstration() -> None:
    core = ["metadata", "formats", "verification", "signing", "image_repository", "director", "timeserver", "vehicle"]
    outer = ["storage", "transport", "services", "assembly"]
    program = (
        "import importlib, pkgutil, sys, uptane\n"
        f"for room in {core + outer!r}:\n"
        "    package = importlib.import_module('uptane.' + room)\n"
        "    for found in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if not found.name.endswith('.migrations.env'):\n"
        "            importlib.import_module(found.name)\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'demo' or name.startswith('uptane.demo')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def tracked() -> list[Path]:
    """Every file of the project itself."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=False)
    names = [name for name in os.fsdecode(listing.stdout).split("\0") if name]
    if not names:
        rooms = [REPOSITORY / room for room in ("src", "demo", "tests", "docs")]
        return [path for room in rooms for path in room.rglob("*") if path.is_file() and "__pycache__" not in str(path)]
    return [REPOSITORY / name for name in names if (REPOSITORY / name).is_file()]


def test_weakness_17_the_project_holds_no_private_key() -> None:
    key = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}")
    for path in tracked():
        assert not key.search(path.read_bytes()), path
        assert path.suffix not in (".pem", ".key", ".p12", ".pub"), path


def test_weakness_17_the_doors_offer_what_ecus_need_and_nothing_else(car: Vehicle) -> None:
    def clock() -> datetime:
        return car.fleet.now

    profile = car.fleet.profile
    assert set(director_methods(car.fleet.director, profile, clock)) == {
        "submit_vehicle_manifest",
        "register_ecu_serial",
    }
    assert set(timeserver_methods({profile.name: car.fleet.timeserver}, clock)) == {
        "get_signed_time",
        "get_signed_time_der",
    }
    assert set(primary_methods(car.primary.secondaries, profile)) == {
        "submit_ecu_manifest",
        "register_new_secondary",
        "get_time_attestation_for_ecu",
        "get_image",
        "get_metadata",
        "update_exists_for_ecu",
        "get_image_block",
        "back_up_image",
        "get_backup_block",
    }


def test_weakness_17_everything_listens_on_this_machine_only() -> None:
    anywhere = ".".join("0000")
    as_a_name = {"profile.py", "asgi.py"}  # by which the archived clients call a server of this machine
    for path in [*(REPOSITORY / "src").rglob("*.py"), *(REPOSITORY / "demo").rglob("*.py")]:
        text = path.read_text()
        assert anywhere not in text or path.name in as_a_name, path
        assert "30309" not in text, path


def test_weakness_18_der_holds_thresholds_other_keys_delegations_and_long_names() -> None:
    long = "a supplier of brakes with a name of far more than 32 characters"
    fleet = Fleet(PROFILES["der"], KeyType.ECDSA, keys=3, threshold=2)
    fleet.grant(RoleName(long), f"{long}/*", keys=2, threshold=2)
    path = ImagePath(f"{long}/{long}.img")
    added = wait(fleet.images.add_image(path, FRESH, role=RoleName(long), custom=custom(7, ("tcu-7", "tcu-8"))))
    wait(fleet.images.publish(fleet.now))
    car = Vehicle(fleet, secondary=EcuIdentifier(long), hardware_id=HardwareIdentifier("tcu-7"))
    fleet.direct(added, car.tcu.ecu)
    car.cycle()
    assert car.running() == FRESH
    assert car.secondary.memory.state.release_counter == 7
    raw = fleet.file(DIRECTOR, Role.TARGETS)
    for damaged in (raw + b"\0", raw[:-1], raw.replace(b"\x02\x01\x01", b"\x02\x01\x02", 1)):
        with pytest.raises(FormatError):
            PROFILES["der"].format.decode(Targets, damaged)
    assert PROFILES["der"].format.decode(Root, fleet.file(IMAGES, Role.ROOT)).payload.roles[Role.ROOT].threshold == 2


def test_weakness_19_keys_can_be_revoked_again_and_again(car: Vehicle) -> None:
    for n in range(3):
        car.fleet.rotate_images(Role.TARGETS, Role.SNAPSHOT, Role.TIMESTAMP)
        car.fleet.rotate_director(Role.TARGETS, Role.SNAPSHOT, Role.TIMESTAMP)
        car.fleet.release(PATH, b"image %d" % n)
        car.cycle()
        assert car.running() == b"image %d" % n


def test_weakness_19_each_of_the_three_roles_under_revoked_keys_is_refused(car: Vehicle) -> None:
    codec, name, asked = car.fleet.profile.format, car.fleet.profile.metadata_name, car.fleet.profile.requested_metadata
    stolen = dict(car.fleet.director_keys)
    car.fleet.rotate_director(Role.TARGETS, Role.SNAPSHOT, Role.TIMESTAMP)
    car.cycle()
    timestamp = codec.decode(Timestamp, car.fleet.file(DIRECTOR, Role.TIMESTAMP)).payload
    snapshot = codec.decode(Snapshot, car.fleet.file(DIRECTOR, Role.SNAPSHOT)).payload
    targets = codec.decode(Targets, car.fleet.file(DIRECTOR, Role.TARGETS)).payload
    for last in (Role.TIMESTAMP, Role.SNAPSHOT, Role.TARGETS):
        by = {role: (stolen if role is last else car.fleet.director_keys)[role] for role in Role}
        with car.primary_refuses(BadSignatureError) as errors:
            raw = sign(car.fleet.profile, structs.replace(targets, version=targets.version + 1), by[Role.TARGETS])
            listing = listed(raw, targets.version + 1)
            if car.fleet.profile.unsafe_versions_only:
                listing = MetadataFile(version=listing.version)
            files = {RoleName("targets"): listing}
            above = sign(
                car.fleet.profile,
                structs.replace(snapshot, version=snapshot.version + 1, files=files),
                by[Role.SNAPSHOT],
            )
            top = structs.replace(
                timestamp, version=timestamp.version + 1, snapshot=listed(above, snapshot.version + 1)
            )
            car.links.altered[DIRECTOR, asked(Role.TARGETS, targets.version + 1)] = raw
            car.links.altered[DIRECTOR, asked(Role.SNAPSHOT, snapshot.version + 1)] = above
            car.links.altered[DIRECTOR, name(Role.TIMESTAMP)] = sign(car.fleet.profile, top, by[Role.TIMESTAMP])
        assert errors[0].facts["role"] == last


def test_weakness_19_no_file_holds_a_path_of_somebodys_machine() -> None:
    home = re.compile(rb"(?<![\w}])/(Users|home|root)/\w")
    for path in tracked():
        assert not home.search(path.read_bytes()), path
