"""`uptane metadata show` on files of the archived formats, and on public keys of every format."""

import json
from pathlib import Path

import pytest
from pouf1_samples import FORMATS, payloads, private_key, public_key, report, root, sample_name, sign, targets

from uptane.cli.main import main
from uptane.formats.der_format import DER
from uptane.formats.json_format import JSON
from uptane.formats.profile import Format
from uptane.metadata.keys import PublicKey


class Shown:
    """How the command ended and what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> None:
        self.code = main(["metadata", "show", *map(str, arguments)])
        self.out, self.err = capsys.readouterr()


@pytest.mark.parametrize("wire", FORMATS, ids=sample_name)
def test_every_kind_of_file_is_shown_with_the_name_of_its_format(
    wire: Format, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, payload in payloads(wire).items():
        file = tmp_path / name
        file.write_bytes(sign(wire, payload))
        shown = Shown(capsys, file)
        assert shown.code == 0, shown.err
        assert f" in {wire.name}: {file}\n" in shown.out
        described = json.loads(Shown(capsys, file, "--json").out)
        assert described["format"] == wire.name
        assert "counter" not in described["content"]
        assert "nonce" not in described["content"]


@pytest.mark.parametrize("wire", FORMATS, ids=sample_name)
def test_a_file_verifies_under_its_root_and_not_under_another(
    wire: Format, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, trusted = tmp_path / "good", tmp_path / "bad", tmp_path / "root"
    trusted.write_bytes(sign(wire, root(), 1))
    good.write_bytes(sign(wire, targets(), 4))
    bad.write_bytes(sign(wire, targets(), 5))
    assert Shown(capsys, good, "--root", trusted).out.endswith(f"Verifies under {trusted}.\n")
    shown = Shown(capsys, bad, "--root", trusted)
    assert shown.code == 1
    assert "0 valid signature(s)" in shown.out


@pytest.mark.parametrize("wire", FORMATS, ids=sample_name)
def test_an_attack_of_several_lines_cannot_look_like_our_own_lines(
    wire: Format, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report"
    file.write_bytes(sign(wire, report(attacks="none\nVerifies under root.")))
    shown = Shown(capsys, file)
    assert r"none\nVerifies under root." in shown.out
    assert "\nVerifies" not in shown.out


@pytest.mark.parametrize("wire", FORMATS, ids=sample_name)
def test_a_damaged_file_is_refused_under_the_name_of_its_format(
    wire: Format, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"targets.{wire.extension}"
    file.write_bytes(sign(wire, targets()).replace(b"/TCU", b"-TCU"))
    shown = Shown(capsys, file)
    assert shown.code == 1
    assert f"is not {wire.name} metadata" in shown.err


@pytest.mark.parametrize("name", ["der", "json", "pouf1-json"])
def test_a_public_key_is_shown_in_every_format(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = PublicKey.of(private_key(1).public_key())
    raw = {
        "der": DER.encode_key(ours),
        "json": JSON.encode_key(ours),
        "pouf1-json": FORMATS[1].encode_key(public_key(1)),
    }
    key = public_key(1) if name == "pouf1-json" else ours
    file = tmp_path / "key.pub"
    file.write_bytes(raw[name])
    shown = Shown(capsys, file)
    assert shown.out.startswith(f"Public key in {name}: ")
    assert key.key_id in shown.out
    assert json.loads(Shown(capsys, file, "--json").out)["content"] == {
        "key_id": key.key_id,
        "key_type": "ed25519",
        "scheme": "ed25519",
        "public": key.text,
    }
    assert "a Root names no keys for a public key" in Shown(capsys, file, "--root", _root(tmp_path)).out


def _root(folder: Path) -> Path:
    file = folder / "root"
    file.write_bytes(sign(FORMATS[0], root()))
    return file


def test_golden_files_are_shown_and_verify_under_the_golden_root_of_their_repository(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = shared / "interop" / "pouf1"
    files = sorted(path for path in (*golden.rglob("*.der"), *golden.rglob("*.json"), *golden.rglob("*.pub")))
    assert files
    for file in files:
        shown = Shown(capsys, file)
        assert shown.code == 0
        assert f" in {'pouf1' if file.suffix == '.der' else 'pouf1-json'}: " in shown.out
        for repository in ("director", "imagerepo"):
            if file.parent.name in ("director", "imagerepo"):
                trusted = golden / "samples" / "initial" / repository / f"root{file.suffix}"
                assert Shown(capsys, file, "--root", trusted).code == (file.parent.name != repository)
