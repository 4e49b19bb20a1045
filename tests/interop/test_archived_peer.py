"""The peer of the archived implementation is a fair witness: it reads and writes what that one wrote."""

import subprocess
import sys
from pathlib import Path
from xmlrpc.client import Fault, ServerProxy

import pytest
from archived import der
from archived.errors import FailedToEncode
from archived.key_files import decrypt, encrypt, load_or_generate_key, load_public_key
from archived.signatures import Key
from archived.trusted_metadata import HttpMirror
from archived.wire_format import DER, JSON, WireFormat
from mixed_windows import START, WINDOWS, MixedWindows, archived_peer

SAMPLES = "interop/pouf1/samples"
KEYS = "interop/pouf1/keys"
WIRE = {".der": DER, ".json": JSON}
SIGNERS = {
    "director/root": "directorroot",
    "director/targets": "director",
    "director/snapshot": "directorsnapshot",
    "director/timestamp": "directortimestamp",
    "imagerepo/root": "mainroot",
    "imagerepo/targets": "maintargets",
    "imagerepo/snapshot": "mainsnapshot",
    "imagerepo/timestamp": "maintimestamp",
}
# The archived project wrote this one with the members of `hashes` in another order.
UNSORTED = "sample_ecu_manifest_TCUdemocar.json"


def _samples(shared: Path) -> list[Path]:
    return sorted(path for path in (shared / SAMPLES).rglob("*") if path.suffix in WIRE)


def _kind_and_signer(path: Path) -> tuple[str, str]:
    if path.name.startswith("sample_timeserver"):
        return der.TIME, "timeserver"
    if path.name.startswith("sample_ecu"):
        return der.ECU, "secondary"
    if path.name.startswith("sample_vehicle"):
        return der.VEHICLE, "primary"
    return der.ROLE, SIGNERS[f"{path.parent.name}/{path.stem}"]


def test_every_sample_is_decoded_and_encoded_again_byte_for_byte(shared: Path) -> None:
    samples = _samples(shared)
    changed = []
    for path in samples:
        wire, data = WIRE[path.suffix], path.read_bytes()
        encoded = wire.to_bytes(wire.from_bytes(data, _kind_and_signer(path)[0]))
        if encoded != data:
            changed.append(path.name)
    assert len(samples) >= 28
    assert changed == [UNSORTED]


def test_every_sample_verifies_with_the_key_of_its_role(shared: Path) -> None:
    for path in _samples(shared):
        wire = WIRE[path.suffix]
        kind, signer = _kind_and_signer(path)
        key = load_public_key(shared / KEYS, signer)
        signable = wire.from_bytes(path.read_bytes(), kind)
        assert [signature["keyid"] for signature in signable["signatures"]] == [key.keyid], path
        wire.check_signature(signable, key)


def test_the_ecu_manifests_within_a_vehicle_manifest_verify_on_their_own(shared: Path) -> None:
    key = load_public_key(shared / KEYS, "secondary")
    checked = 0
    for path in _samples(shared):
        kind, _ = _kind_and_signer(path)
        if kind == der.VEHICLE:
            wire = WIRE[path.suffix]
            vehicle = wire.from_bytes(path.read_bytes(), kind)["signed"]
            for manifest in (each for listed in vehicle["ecu_version_manifests"].values() for each in listed):
                wire.check_signature(manifest, key)
                checked += 1
    assert checked == 6


@pytest.mark.parametrize("wire", [DER, JSON], ids=["der", "json"])
def test_a_nonce_or_a_manifest_less_is_still_an_object(wire: WireFormat) -> None:
    key = Key.generate()
    for kind, signed in (
        (der.TIME, {"nonces": [], "time": "2017-05-18T16:23:13Z"}),
        (der.VEHICLE, {"vin": "democar", "primary_ecu_serial": "INFOdemocar", "ecu_version_manifests": {}}),
    ):
        signable = wire.from_bytes(wire.to_bytes(wire.sign(signed, key)), kind)
        assert signable["signed"] == signed
        wire.check_signature(signable, key)


def test_a_key_file_has_the_archived_size_opens_again_and_is_never_written_over(tmp_path: Path) -> None:
    key = load_or_generate_key(tmp_path, "primary")
    assert load_or_generate_key(tmp_path, "primary") == key
    assert load_public_key(tmp_path, "primary").keyid == key.keyid
    text = (tmp_path / "primary").read_text(encoding="utf-8")
    assert len(text) == 686
    assert decrypt(text) == decrypt(encrypt(key)) == key


def test_a_report_of_an_attack_with_line_ends_is_read_as_the_archived_encoder_wrote_it() -> None:
    key = Key.generate()
    image = {"filepath": "/firmware.img", "fileinfo": {"length": 1, "hashes": {"sha256": "00" * 32}}}
    signed = {
        "ecu_serial": "TCUdemocar",
        "installed_image": image,
        "timeserver_time": "2017-05-18T16:37:48Z",
        "previous_timeserver_time": "2017-05-18T16:37:46Z",
        "attacks_detected": "Image from Primary failed to validate: hash mismatch.\n",
    }
    data = DER.to_bytes(DER.sign(signed, key))
    assert b"\x1a\x36Image from Primary" in data
    read = DER.from_bytes(data, der.ECU)
    assert read["signed"] == signed
    DER.check_signature(read, key)


def test_a_name_that_is_too_long_for_the_archived_der_cannot_be_signed() -> None:
    targets = {"/" + "a" * 32: {"length": 1, "hashes": {"sha256": "00" * 32}}}
    signed = {
        "_type": "Targets",
        "version": 1,
        "expires": "2030-01-01T00:00:00Z",
        "targets": targets,
        "delegations": {"keys": {}, "roles": []},
    }
    with pytest.raises(FailedToEncode):
        DER.sign(signed, Key.generate())


def test_the_peer_shares_no_code_with_what_it_checks() -> None:
    program = "import sys, archived_peer; print(*(name for name in sys.modules if name.partition('.')[0] == 'uptane'))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == ""


@pytest.mark.slow
@pytest.mark.parametrize(("wire_format", "wire"), [("pouf1", DER), ("pouf1-json", JSON)])
def test_the_services_speak_as_the_archived_ones_did(wire_format: str, wire: WireFormat, tmp_path: Path) -> None:
    """Plain names over HTTP; XML-RPC with keys as structs, and signed objects as structs or base64."""
    commands = {window: archived_peer(window) for window in WINDOWS}
    extension = wire.extension
    names = {f"{role}.{extension}" for role in ("root", "targets", "snapshot", "timestamp")}
    with MixedWindows(commands, wire_format=wire_format, folder=tmp_path) as windows:
        windows.play([START])
        windows.call("dd.write_to_live", "democar")
        ports = windows.ports
        mirror = f"http://localhost:{ports['DIRECTOR']}/democar/metadata"
        timestamp = wire.from_bytes(HttpMirror(mirror).read(f"timestamp.{extension}", 16_384))["signed"]
        with ServerProxy(f"http://0.0.0.0:{ports['TIMESERVER']}") as timeserver:
            in_json, in_der = timeserver.get_signed_time([1, 2]), timeserver.get_signed_time_der([])
        with ServerProxy(f"http://0.0.0.0:{ports['DIRECTOR_CALLS']}", allow_none=True) as director:
            key = Key.generate()
            director.register_ecu_serial("ecu11111", key.in_call(), "democar")
            with pytest.raises(Fault, match="Spoofing"):
                director.register_ecu_serial("ecu11111", Key.generate().in_call(), "democar")
            with pytest.raises(Fault, match="UnknownVehicle"):
                director.register_ecu_serial("ecu2", key.in_call(), "no such car", False)
            manifest = {"vin": "democar", "primary_ecu_serial": "ecu11111", "ecu_version_manifests": {}}
            signed = wire.to_call(wire.sign(manifest, key))
            assert director.submit_vehicle_manifest("democar", "ecu11111", signed) is None
            with pytest.raises(Fault, match="BadSignatureError"):
                stolen = wire.to_call(wire.sign(manifest, Key.generate()))
                director.submit_vehicle_manifest("democar", "ecu11111", stolen)
    assert {path.name for path in (tmp_path / "director/democar/metadata").iterdir()} == names
    assert {path.name for path in (tmp_path / "imagerepo/metadata").iterdir()} == names
    assert (timestamp["version"], timestamp["meta"][f"snapshot.{extension}"]["version"]) == (2, 2)
    timeserver_key = load_public_key(tmp_path / "demo/keys", "timeserver")
    JSON.check_signature(JSON.from_call(in_json, der.TIME), timeserver_key)
    DER.check_signature(DER.from_call(in_der, der.TIME), timeserver_key)
    assert JSON.from_call(in_json, der.TIME)["signed"]["nonces"] == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("wire_format", ["pouf1", "pouf1-json"])
def test_the_peer_plays_the_whole_walkthrough_in_all_three_windows(wire_format: str, tmp_path: Path) -> None:
    commands = {window: archived_peer(window) for window in WINDOWS}
    with MixedWindows(commands, wire_format=wire_format, folder=tmp_path) as windows:
        played = windows.play()
        vehicle_manifests = windows.call("dd.kept_vehicle_manifests", "democar").value
        ecu_manifests = windows.call("dd.kept_ecu_manifests", "TCUdemocar").value
        dropped = windows.call("dd.dropped_manifests").value
    assert {step.section: step.errors for step in played if step.errors} == {}
    assert [(step.section, step.seen) for step in played] == [(step.section, step.expected) for step in played]
    assert sum(len(step.seen) for step in played) == 10
    # A nonce is asked for once. Its answer is missed when it is still on its way (1), and when the Primary has asked
    # the time again before the Secondary came (3.5, end): the archived Primary kept the last answer only.
    unanswered = [step.section for step in played if "time attestation" in " ".join(step.lines)]
    assert unanswered == ["1", "3.5", "end"]
    # The Primary's: one on its clean slate, one in each cycle. The Secondary's last one has not left the Primary yet.
    assert (vehicle_manifests, ecu_manifests, dropped) == (14, 5, "")
