"""Advisories on names that leave their folder: of roles, images, ECUs, vehicles and repositories, and planted links."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat import asn1
from der_bytes import tlv
from device import Device
from links import wait
from signed import signed_manifest, signed_report
from stage import MAKER, PATH, READERS, SUPPLIER, Place, Stage, every, on_disk
from wire import replaced, signed_again
from world import DIRECTOR, IMAGES, PRIMARY, TCU

from uptane.director.check_images import UNSAFE_NO_CATALOG
from uptane.director.director import Director
from uptane.formats.der_objects import SignedRole
from uptane.formats.profile import Profile
from uptane.metadata.errors import FormatError, StorageError, UptaneError
from uptane.metadata.identifiers import EcuIdentifier, ImagePath, RepositoryName, VehicleIdentifier
from uptane.metadata.root import Role
from uptane.signing.publish import new_root
from uptane.storage.ecu_state import EcuStateFolder
from uptane.storage.folders import ImageFolder, PublishedFolder
from uptane.storage.image_slots import ImageSlotFolder
from uptane.storage.memory_inventory import MemoryInventory
from uptane.vehicle.installation import slot_of
from uptane.vehicle.installation_states import SLOTS
from uptane.vehicle.memory import EcuMemory

HOSTILE = {
    "dots": "..",
    "one above": "../evil",
    "absolute": "/evil",
    "a drive": "C:\\evil",
    "nul": "evil\0",
    "encoded dots": "%2e%2e/evil",
    "encoded slash": "..%2fevil",
    "too long": "e" * 300,
}
names = pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
LATER = 10**18


@contextmanager
def nothing_outside(folder: Path, *inside: str) -> Iterator[None]:
    """Whatever happens, files appear below these folders only, and no other file changes."""

    def found() -> dict[str, bytes]:
        files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        names = {str(path.relative_to(folder)): path for path in files}
        return {name: path.read_bytes() for name, path in names.items() if name.split("/")[0] not in inside}

    (folder / "beside").mkdir()
    (folder / "beside" / "evil").write_bytes(b"what was there before")
    before = found()
    yield
    assert found() == before


def change_role_name(name: str, place: Place) -> tuple[Callable[[Any], object], Callable[[Any], object]]:
    """Gives a role a name, in the Snapshot that lists it or in the file that delegates to it."""

    def text(signed: dict[str, Any]) -> None:
        if place[1] == Role.SNAPSHOT:
            signed["meta"][f"{name}.json"] = signed["meta"]["targets.json"]
        else:
            signed["delegations"]["roles"][0]["name"] = name

    def der(wire: Any) -> None:
        body = wire.signed.body
        if place[1] == Role.SNAPSHOT:
            last = body.files[-1]
            body.files.append(type(last)(name=f"{name}.der", version=1, length=None, hashes=None))
            body.files.sort(key=lambda entry: entry.name)
        else:
            body.delegations.delegations[0].roles[0].name = name

    return text, der


def refuses_changed(
    stage: Stage, place: Place, text: Callable[[Any], object], der: Callable[[Any], object]
) -> UptaneError:
    """A role, so changed and genuinely signed, is refused."""
    with stage.refuses(FormatError, None) as errors:
        raw = signed_again(stage.profile, stage.forged(*place), stage.signers(*place), text=text, der=der)
        stage.show(*place, raw)
    return errors[0]


NAMING = [(DIRECTOR, "snapshot"), (IMAGES, "snapshot"), (IMAGES, "targets"), (IMAGES, str(SUPPLIER))]


@every(NAMING, READERS[:1])
def test_cve_2021_41131_no_role_has_a_name_that_leaves_its_folder(
    profile: Profile, place: Place, reader: str, tmp_path: Path
) -> None:
    stage = Stage(profile, reader, device=on_disk(tmp_path / "ecus"))
    with nothing_outside(tmp_path, "ecus"):
        for name in HOSTILE.values():
            error = refuses_changed(stage, place, *change_role_name(name, place))
            assert error.facts["field"] == "role name"


LISTING = [(DIRECTOR, "targets"), (IMAGES, "targets"), (IMAGES, str(MAKER))]


def on_flash(folder: Path) -> Callable[[], Device]:
    """Makes the parts of ECUs whose memory and images lie in folders."""
    make = on_disk(folder / "memory")

    def with_slots() -> Device:
        device = make()
        device.slots = ImageSlotFolder(folder / device.store._folder.path.name)  # type: ignore[attr-defined]
        return device

    return with_slots


@every(LISTING, READERS[:1])
def test_cve_2021_41149_41150_no_image_has_a_name_that_leaves_its_folder(
    profile: Profile, place: Place, reader: str, tmp_path: Path
) -> None:
    """The image is listed for nobody's use, or for the Secondary's; both ECUs keep images in folders."""
    stage = Stage(profile, reader, device=on_flash(tmp_path / "ecus"))
    with nothing_outside(tmp_path, "ecus"):
        for name in HOSTILE.values():
            error = refuses_changed(stage, place, *change_image_name(stage, name, place))
            assert error.facts["field"] == "image path"


def change_image_name(stage: Stage, name: str, place: Place) -> tuple[Callable[[Any], object], Callable[[Any], object]]:
    """Gives an image a name, in the Targets file that lists it."""

    def text(signed: dict[str, Any]) -> None:
        entry = {"length": 1, "hashes": {"sha256": "00" * 32}}
        if place[0] == DIRECTOR:
            entry = signed["targets"].pop(str(PATH))
        signed["targets"][name] = entry

    def der(wire: Any) -> None:
        images = wire.signed.body.images
        if images:
            images[0].file.path = name
        else:
            wire.signed.body.images = [shown(stage, name)]

    return text, der


def shown(stage: Stage, name: str) -> Any:
    """An entry of DER for an image of that name."""
    entry = asn1.decode_der(SignedRole, stage.raw(IMAGES, MAKER)).signed.body.images[0]  # type: ignore[union-attr]
    entry.file.path = name
    return entry


@pytest.mark.parametrize("what", ["ecu", "hardware", "vehicle"])
def test_cve_2021_41149_41150_the_director_gives_no_identifier_that_leaves_its_folder(
    profile: Profile, what: str, tmp_path: Path
) -> None:
    """An ECU, its hardware, or the vehicle, in the Director's Targets."""
    stage = Stage(profile, device=on_disk(tmp_path / "ecus"))
    with nothing_outside(tmp_path, "ecus"):
        for name in HOSTILE.values():
            refuses_changed(stage, (DIRECTOR, "targets"), *change_identifier(name, what))


def change_identifier(name: str, what: str) -> tuple[Callable[[Any], object], Callable[[Any], object]]:
    """Gives an ECU, its hardware or the vehicle a name."""

    def text(signed: dict[str, Any]) -> None:
        custom = signed["targets"][str(PATH)]["custom"]
        if what == "vehicle":
            signed["vin"] = name
        elif what == "ecu":
            custom["ecus"] = {name: {}}
        else:
            custom["ecus"][str(TCU)]["hardware_id"] = name

    def der(wire: Any) -> None:
        assignment = wire.signed.body.images[0].custom.ecus[0]
        if what == "vehicle":
            wire.signed.vehicle = name
        elif what == "ecu":
            assignment.ecu = name
        else:
            assignment.hardware_id = name

    return text, der


@every([(IMAGES, "snapshot"), (IMAGES, str(SUPPLIER))], READERS[1:])
def test_cve_2021_41131_a_secondary_takes_no_such_role_from_its_primary(
    profile: Profile, place: Place, reader: str
) -> None:
    stage = Stage(profile, reader)
    for name in HOSTILE.values():
        refuses_changed(stage, place, *change_role_name(name, place))


@every(LISTING[1:], READERS[1:])
def test_cve_2021_41149_41150_a_secondary_takes_no_such_image_from_its_primary(
    profile: Profile, place: Place, reader: str
) -> None:
    stage = Stage(profile, reader)
    for name in HOSTILE.values():
        refuses_changed(stage, place, *change_image_name(stage, name, place))


@names
def test_cve_2021_41149_41150_no_report_or_manifest_is_of_such_an_ecu(profile: Profile, name: str) -> None:
    stage = Stage(profile)
    secondary, primary = stage.car.tcu.device.signer, stage.car.device.signer

    def renamed(signed: dict[str, Any]) -> None:
        signed.update({key: name for key, value in signed.items() if value in (str(TCU), str(PRIMARY))})

    hostile = signed_again(
        profile,
        signed_report(profile, secondary, TCU, counter=LATER),
        [secondary],
        text=renamed,
        der=lambda wire: setattr(wire.signed, "ecu", name),
    )
    stage.refuses_report(hostile, FormatError, None)
    manifest = signed_manifest(profile, primary, signed_report(profile, primary, PRIMARY, counter=LATER), counter=LATER)
    hostile = signed_again(
        profile,
        manifest,
        [primary],
        text=renamed,
        der=lambda wire: setattr(wire.signed, "primary", name),
    )
    stage.refuses_manifest(hostile, FormatError, None)


@names
def test_ghsa_jqc5_w2xx_5vq4_cve_2026_24686_no_repository_of_the_map_leaves_its_folder(
    profile: Profile, name: str, tmp_path: Path
) -> None:
    """A map with such a name does not start an ECU; with the genuine map back, it does."""
    stage = Stage(profile, device=on_disk(tmp_path / "ecus"))
    store = stage.ecu.store
    genuine = store.read("map")
    assert genuine is not None
    with nothing_outside(tmp_path, "ecus"):
        store.write({"map": renamed_map(profile, genuine, name)})
        before = stage.ecu.trusted()
        with pytest.raises(FormatError):
            EcuMemory(store, profile)
        assert stage.ecu.trusted() == before
    store.write({"map": genuine})
    stage.restart()
    stage.release()
    stage.car.cycle()
    assert stage.car.running() == stage.content
    with pytest.raises(FormatError):
        RepositoryName(name)


def renamed_map(profile: Profile, raw: bytes, name: str) -> bytes:
    """The map with another name for its Image repository."""
    if profile.format.name == "json":
        return json.dumps(json.loads(raw.replace(b'"imagerepo"', json.dumps(name).encode()))).encode()
    return replaced(raw, tlv(0x0C, b"imagerepo"), tlv(0x0C, name.encode()))


@names
def test_ghsa_jqc5_w2xx_5vq4_cve_2026_24686_no_vehicle_gets_a_folder_outside_the_directors(
    profile: Profile, name: str, tmp_path: Path
) -> None:
    """The Director publishes each vehicle's metadata in a folder of the vehicle's name."""
    stage = Stage(profile)
    director = Director(
        profile=profile,
        inventory=MemoryInventory(),
        metadata=lambda vehicle: PublishedFolder(tmp_path / "director" / vehicle / "metadata"),
        root=new_root(stage.fleet.director_keys, stage.fleet.thresholds),
        catalog=UNSAFE_NO_CATALOG,
    )
    director.add_signers(signer for signers in stage.fleet.director_keys.values() for signer in signers)
    with nothing_outside(tmp_path, "director"):
        with pytest.raises(FormatError):
            wait(director.add_new_vehicle(VehicleIdentifier(name), stage.fleet.now))
        for identifier in (EcuIdentifier, VehicleIdentifier):
            with pytest.raises(FormatError):
                identifier(name)
        assert list(wait(director.vehicles())) == []
        wait(director.add_new_vehicle(VehicleIdentifier("113"), stage.fleet.now))
    assert os.listdir(tmp_path / "director") == ["113"]


@pytest.mark.parametrize("name", [name for name in HOSTILE.values() if "%" not in name])
def test_cve_2026_6968_a_name_that_reached_the_disk_unchecked_still_leaves_no_folder(name: str, tmp_path: Path) -> None:
    """The layer below looks again at names that pretend to be checked; encoded ones are names like any other there."""
    images, metadata = ImageFolder(tmp_path / "site" / "targets"), PublishedFolder(tmp_path / "site" / "metadata")
    with nothing_outside(tmp_path, "site"):
        with pytest.raises(FormatError):
            wait(images.add(str.__new__(ImagePath, name), b"evil"))
        with pytest.raises(FormatError):
            wait(metadata.publish([(name, b"evil")], {}))
        assert images.open_for_reading(name) is None


def test_cve_2026_6968_a_link_planted_among_the_images_leads_nowhere(profile: Profile, tmp_path: Path) -> None:
    """In the slot of the image that will come, and in that of the one that runs: neither read nor written through."""
    stage = Stage(profile, device=on_flash(tmp_path / "ecus"))
    image = stage.release()
    primary, secondary = tmp_path / "ecus" / "0", tmp_path / "ecus" / "1"
    with nothing_outside(tmp_path, "ecus"):
        for slot in (primary / slot_of(image), *(secondary / name for name in SLOTS)):
            slot.unlink(missing_ok=True)
            slot.symlink_to(tmp_path / "beside" / "evil")
        with pytest.raises(StorageError):
            stage.car.primary.update_cycle()
        (primary / slot_of(image)).unlink()
        stage.car.cycle()
    assert stage.car.running() == stage.content
    assert not (secondary / stage.car.secondary.memory.state.installation.active).is_symlink()


@pytest.mark.parametrize("planted", ["supplier", "supplier/parts"])
def test_cve_2026_6968_a_link_planted_above_an_image_is_not_followed(planted: str, tmp_path: Path) -> None:
    """In the folder of published images, for the image's folder or the one above it."""
    images = ImageFolder(tmp_path / "site")
    with nothing_outside(tmp_path, "site"):
        link = tmp_path / "site" / planted
        link.parent.mkdir(parents=True)
        link.symlink_to(tmp_path / "beside", target_is_directory=True)
        with pytest.raises(StorageError):
            wait(images.add(PATH, b"evil"))
        assert images.open_for_reading(f"{planted}/evil") is None
        link.unlink()
        wait(images.add(PATH, b"good"))
    assert wait(images.read(PATH)) == b"good"


def test_cve_2026_6968_a_link_planted_in_an_ecus_memory_is_not_followed(profile: Profile, tmp_path: Path) -> None:
    """In the place of the index, and of the folder of the large values."""
    stage = Stage(profile, device=on_disk(tmp_path / "ecus"))
    folder = tmp_path / "ecus" / "0"
    stage.ecu.store.close()  # type: ignore[attr-defined]
    with nothing_outside(tmp_path, "ecus"):
        for name in ("index.json", "objects"):
            (folder / name).rename(folder / "aside")
            (folder / name).symlink_to(tmp_path / "beside", target_is_directory=True)
            with pytest.raises(StorageError):
                EcuStateFolder(folder)
            (folder / name).unlink()
            (folder / "aside").rename(folder / name)
    stage.ecu.store = EcuStateFolder(folder)
    stage.restart()
    stage.release()
    stage.car.cycle()
    assert stage.car.running() == stage.content
