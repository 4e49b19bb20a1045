"""A supplier and production servers: he gets a role, hands in what he signed, and loses the role again."""

import json
from pathlib import Path

import pytest

from uptane.cli import progress
from uptane.cli.exit_codes import CANNOT_READ_OR_WRITE, CHECK_FAILED, NOT_REGISTERED
from uptane.cli.main import main

BRAKES = "brakes/front.img"


class Desk:
    """An operator and a supplier on one machine."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        (folder / "images" / "brakes").mkdir(parents=True)
        (folder / "images" / BRAKES).write_bytes(b"brakes 7")
        assert main(["init", "fleet", "--port", "0", "--format", "json"]) == 0
        for name in ("one", "two"):
            assert main(["supplier", "key", f"{name}.pem"]) == 0

    def run(self, *words: str, code: int = 0) -> str:
        """Runs a command, which ends with that code, and gives what it says."""
        self._capsys.readouterr()
        assert main(list(words)) == code, words
        said = self._capsys.readouterr()
        return said.out if code == 0 else said.err

    def add(self, *words: str, role: str = "supplier", keys: tuple[str, ...] = ("one",), code: int = 0) -> str:
        """`uptane delegation add`."""
        given = [word for key in keys for word in ("--key", f"{key}.pem.pub")]
        return self.run("delegation", "add", role, *given, "--path", "brakes/*", *words, code=code)

    def sign(self, key: str = "one") -> None:
        """`uptane supplier sign`."""
        self.run("supplier", "sign", "images", "--role", "supplier", "--key", f"{key}.pem", "--format", "json")

    def upload(self, code: int = 0) -> str:
        """`uptane image-repository upload`."""
        return self.run("image-repository", "upload", "supplier.json", "images", code=code)

    def listed(self) -> list[str]:
        """The images of the repository."""
        return [image["name"] for image in json.loads(self.run("image", "list", "--json"))["images"]]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """Fresh servers, and the keys and images of a supplier."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPTANE_SERVERS", "fleet")
    return Desk(tmp_path, capsys)


@pytest.mark.standard("STD-5.3.1-4", "STD-5.3.1-5")
def test_a_supplier_signs_for_his_images_until_his_role_is_revoked(desk: Desk) -> None:
    desk.sign()
    assert "supplier" in desk.upload(code=CHECK_FAILED), "nobody delegates to him yet"
    desk.add("--terminating")
    assert "published: 1 images" in desk.upload()
    assert desk.listed() == [BRAKES]
    desk.run("vehicle", "add", "VIN1", "--package", "car")
    refused = desk.run("assignment", "set", "VIN1", "VIN1-primary", BRAKES, code=NOT_REGISTERED)
    assert "VIN1-primary" in refused, "the image is found, and the ECU is not"
    desk.run("delegation", "revoke", "supplier")
    gone = desk.run("assignment", "set", "VIN1", "VIN1-primary", BRAKES, code=CHECK_FAILED)
    assert f"lists no {BRAKES}" in gone
    desk.upload(code=CHECK_FAILED)
    assert "Choose another name" in desk.add(code=CHECK_FAILED), "clients know what the old keys signed"
    desk.add(role="supplier-2", keys=("two",))


def test_below_the_threshold_nothing_is_published(desk: Desk) -> None:
    desk.add("--threshold", "2", keys=("one", "two"))
    desk.sign()
    desk.upload(code=CHECK_FAILED)
    assert desk.listed() == []
    desk.run("supplier", "cosign", "supplier.json", "--key", "two.pem")
    desk.upload()
    assert desk.listed() == [BRAKES]


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["--key", "one.pem", "--path", "*"], CANNOT_READ_OR_WRITE, "one.pem.pub"),
        (["--key", "gone.pub", "--path", "*"], CANNOT_READ_OR_WRITE, "gone.pub"),
        (["--key", "one.pem.pub", "--path", "*", "--threshold", "2"], CHECK_FAILED, "threshold"),
        (["--key", "one.pem.pub", "--path", "/x"], CHECK_FAILED, "path"),
    ],
    ids=["a private key", "no file", "too few keys", "no path"],
)
def test_what_cannot_be_delegated_is_named_and_changes_nothing(
    words: list[str], code: int, named: str, desk: Desk
) -> None:
    assert named in desk.run("delegation", "add", "supplier", *words, code=code)
    assert json.loads(desk.run("delegation", "list", "--json")) == {"delegations": []}


def test_progress_is_shown_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for terminal in (False, True):
        monkeypatch.setattr("sys.stderr.isatty", lambda shown=terminal: shown)
        with progress.progress("Uploading", 8) as done:
            pieces = progress.counted({"image": lambda: [b"brak", b"es 7"]}, done)
            assert b"".join(pieces["image"]()) == b"brakes 7"
        assert ("Uploading" in capsys.readouterr().err) is terminal
