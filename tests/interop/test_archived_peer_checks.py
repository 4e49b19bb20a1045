"""The peer's own checks: what the archived clients refused, the peer refuses too, each in a world of its own."""

import random
import time
from pathlib import Path

import pytest
from archived import der
from archived.ecu import Ecu
from archived.errors import (
    BadHashError,
    BadSignatureError,
    BadTimeAttestation,
    BadVersionNumberError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    FailedToDecode,
    NoWorkingMirrorError,
    ReplayedMetadataError,
    UnknownTargetError,
)
from archived.key_files import load_or_generate_key
from archived.repository import ROLES, Repository, describe
from archived.settings import Settings
from archived.signatures import Key
from archived.trusted_metadata import TrustedMetadata, check_content, target_both_agree_on
from archived.wire_format import DER, JSON, WireFormat

DAY = 86_400


class FolderMirror:
    """A repository's folder, read without a server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def url(self, path: str) -> str:
        return path

    def read(self, path: str, limit: int) -> bytes:
        return (self._folder / path).read_bytes()[: limit + 1]


def _pairs() -> dict[str, Key]:
    return {role: Key.generate() for role in ROLES}


class World:
    """A repository with one image, and a client that has seen it."""

    def __init__(self, folder: Path, wire: WireFormat) -> None:
        self.keys = _pairs()
        self.repository = Repository(folder, wire, self.keys)
        self.clock = time.time()
        (self.repository.targets / "firmware.img").write_text("Fresh firmware image", encoding="utf-8")
        self.repository.add_target("firmware.img", {"ecu_serial": "TCUdemocar"})
        self.repository.write_to_live()
        root = self.repository.live("root").read_bytes()
        self.client = TrustedMetadata(wire, FolderMirror(folder), root, lambda: self.clock)
        self.client.refresh()

    def reason(self) -> Exception:
        """Why the client's next refresh fails."""
        with pytest.raises(NoWorkingMirrorError) as caught:
            self.client.refresh()
        (reason,) = caught.value.mirror_errors.values()
        return reason


@pytest.fixture(params=[DER, JSON], ids=["der", "json"])
def wire(request: pytest.FixtureRequest) -> WireFormat:
    wire: WireFormat = request.param
    return wire


@pytest.fixture
def world(tmp_path: Path, wire: WireFormat) -> World:
    return World(tmp_path, wire)


def test_an_old_timestamp_is_a_replay(world: World) -> None:
    old = world.repository.live("timestamp").read_bytes()
    world.repository.write_to_live()
    world.client.refresh()
    world.repository.live("timestamp").write_bytes(old)
    assert isinstance(world.reason(), ReplayedMetadataError)


def test_a_stranger_signs_in_vain(world: World) -> None:
    world.repository.sign_with(_pairs())
    assert isinstance(world.reason(), BadSignatureError)


def test_revoked_keys_are_replaced_by_those_of_the_new_root_and_do_not_come_back(world: World) -> None:
    world.repository.replace_keys({role: key for role, key in _pairs().items() if role != "root"})
    world.repository.write_to_live()
    world.client.refresh()
    world.repository.sign_with(world.keys)
    assert isinstance(world.reason(), BadSignatureError)
    world.repository.restore()
    world.client.refresh()


def test_a_timestamp_that_is_over_is_not_taken(world: World) -> None:
    world.clock += DAY + 1
    assert isinstance(world.reason(), ExpiredMetadataError)


def test_targets_other_than_snapshot_lists_are_not_taken(world: World) -> None:
    old = world.repository.live("targets").read_bytes()
    world.repository.add_target("firmware.img")
    world.repository.write_to_live()
    world.repository.live("targets").write_bytes(old)
    assert isinstance(world.reason(), BadVersionNumberError)


def test_a_role_file_in_place_of_another_is_not_taken(world: World) -> None:
    world.repository.live("timestamp").write_bytes(world.repository.live("root").read_bytes())
    assert "Root metadata in place of timestamp" in str(world.reason())


def test_an_image_must_have_the_length_and_every_hash() -> None:
    info = describe(b"Fresh firmware image", "sha256", "sha512")
    check_content(b"Fresh firmware image", info)
    with pytest.raises(BadHashError):
        check_content(b"Fresh firmware imagE", info)
    with pytest.raises(DownloadLengthMismatchError):
        check_content(b"Fresh firmware images", info)


def test_the_repositories_agree_only_on_the_same_set_of_hashes(tmp_path: Path, wire: WireFormat) -> None:
    director, image_repository = (World(tmp_path / name, wire).client for name in ("director", "imagerepo"))
    del image_repository.targets["/firmware.img"]["custom"]
    assert target_both_agree_on("/firmware.img", director, image_repository)["custom"]["ecu_serial"] == "TCUdemocar"
    del image_repository.targets["/firmware.img"]["hashes"]["sha512"]
    with pytest.raises(UnknownTargetError):
        target_both_agree_on("/firmware.img", director, image_repository)


def test_a_time_must_be_the_timeservers_and_answer_every_nonce(tmp_path: Path, wire: WireFormat) -> None:
    worlds = {name: World(tmp_path / name, wire) for name in ("director/democar", "imagerepo")}
    assert len(worlds) == 2
    settings = Settings(
        wire=wire,
        folder=tmp_path,
        image_repository=0,
        director=0,
        director_calls=0,
        timeserver=0,
        primary=0,
        calls_host="",
        mirror_host="",
    )
    timeserver = load_or_generate_key(settings.keys, "timeserver")
    mirrors = {"director": FolderMirror(tmp_path), "imagerepo": FolderMirror(tmp_path)}
    ecu = Ecu(settings, "democar", "TCUdemocar", "secondary", dict(mirrors))
    signed = {"time": "2030-01-01T00:00:00Z", "nonces": [1, 2]}
    with pytest.raises(BadSignatureError):
        ecu.check_time(wire.sign(signed, Key.generate()), [1])
    with pytest.raises(BadTimeAttestation):
        ecu.check_time(wire.sign(signed, timeserver), [3])
    ecu.check_time(wire.sign(signed, timeserver), [1, 2])
    assert ecu.trusted["director"].now() == der.epoch("2030-01-01T00:00:00Z")


def test_altered_or_cut_der_is_refused_or_read_and_never_loops() -> None:
    """The codec underneath loops for ever over list elements of another type."""
    chance = random.Random(1)
    image = {"filepath": "/a", "fileinfo": describe(b"a", "sha256", "sha512")}
    reported = {"timeserver_time": "2017-05-18T16:37:48Z", "previous_timeserver_time": "2017-05-18T16:37:46Z"}
    signed = {"ecu_serial": "TCUdemocar", "installed_image": image, "attacks_detected": "", **reported}
    key = Key.generate()
    manifest = DER.sign(signed, key)
    vehicle = {
        "vin": "democar",
        "primary_ecu_serial": "INFOdemocar",
        "ecu_version_manifests": {"TCUdemocar": [manifest]},
    }
    data = DER.to_bytes(DER.sign(vehicle, key))
    refused = 0
    for _ in range(500):
        altered = bytearray(data[: chance.randrange(2, len(data) + 1)] if chance.random() < 0.2 else data)
        altered[chance.randrange(len(altered))] = chance.randrange(256)
        try:
            DER.from_bytes(bytes(altered), chance.choice((der.VEHICLE, der.ROLE, der.TIME, der.ECU)))
        except FailedToDecode:
            refused += 1
    assert 250 < refused < 500
