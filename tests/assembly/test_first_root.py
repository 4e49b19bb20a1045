"""Whoever writes over the Image repository's published files cannot put another first Root there."""

import asyncio
import shutil
from pathlib import Path

import pytest
from world import new_signer

from uptane.assembly import production
from uptane.assembly.doctor import examine
from uptane.assembly.first_root import pin_of
from uptane.assembly.production import IMAGE_REPOSITORY, System, signers_of, utc_now
from uptane.assembly.servers import image_repository_over_folder
from uptane.assembly.serving import serving
from uptane.assembly.settings import FILE_NAME, load_settings
from uptane.assembly.tls_server import listening
from uptane.cli.main import main
from uptane.metadata.identifiers import ImagePath
from uptane.metadata.root import Role
from uptane.signing.publish import new_root
from uptane.storage.sql.inventory import SqlInventory

STORE = Path("data") / "image-repository"


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """Servers with an image."""
    folder = tmp_path / "fleet"
    (tmp_path / "firmware.img").write_text("Fresh firmware image")
    assert main(["init", str(folder), "--port", "0"]) == 0
    assert main(["image", "add", str(tmp_path / "firmware.img"), "--servers", str(folder)]) == 0
    return folder


def put_another_history_there(fleet: Path) -> None:
    """A thief who can write to the store, and has no key, names the genuine keys beside his own."""
    settings = load_settings(fleet)
    rule = settings.profile.format.key_id_rule
    genuine, own = signers_of(settings, IMAGE_REPOSITORY), {role: new_signer(id_rule=rule) for role in Role}
    shutil.rmtree(fleet / STORE / "metadata")
    repository = image_repository_over_folder(settings.profile, fleet / STORE)
    repository.add_signers(own.values())
    repository.stage_root(new_root({role: [own[role], genuine[role]] for role in Role}))
    asyncio.run(repository.add_image(ImagePath("evil.img"), b"evil"))
    asyncio.run(repository.publish(utc_now()))


def init(fleet: Path, *more: str) -> int:
    """The same command again, once the settings are gone."""
    (fleet / FILE_NAME).unlink(missing_ok=True)
    return main(["init", str(fleet), "--port", "0", *more])


def everything(fleet: Path) -> dict[Path, bytes]:
    """All that lies there but the settings, which an `init` that fails takes away."""
    return {file: file.read_bytes() for file in fleet.rglob("*") if file.is_file() and file.name != FILE_NAME}


def published(fleet: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (fleet / STORE / "metadata").iterdir() if file.is_file()}


def unwell(fleet: Path) -> set[str]:
    return {finding.check for finding in asyncio.run(examine(fleet)) if not finding.well}


@pytest.mark.parametrize(
    "command",
    [
        ["image", "add", "new.img"],
        ["vehicle", "add", "VIN456", "--package", "van"],
    ],
    ids=lambda words: words[0],
)
def test_nothing_is_signed_and_no_vehicle_made_from_another_history(
    fleet: Path, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new.img").write_text("new")
    put_another_history_there(fleet)
    before = published(fleet)
    capsys.readouterr()
    assert main([*command, "--servers", str(fleet)]) != 0
    assert "is not the first Root that these servers were made with" in capsys.readouterr().err
    assert published(fleet) == before
    assert not (tmp_path / "van").exists()
    assert "Image repository" in unwell(fleet)


def test_a_vehicle_is_made_with_what_was_verified_and_not_with_what_lies_beside_it(fleet: Path, tmp_path: Path) -> None:
    """A thief writes over the files without a version number alone, which no verification asks for."""
    genuine = published(fleet)
    put_another_history_there(fleet)
    thiefs = published(fleet)
    for name, raw in genuine.items():
        (fleet / STORE / "metadata" / name).write_bytes(raw)
    plain = [f"{role}.der" for role in (Role.ROOT, Role.SNAPSHOT, Role.TARGETS)]
    for name in plain:
        (fleet / STORE / "metadata" / name).write_bytes(thiefs[name])
    add = ["vehicle", "add", "VIN456", "--package", str(tmp_path / "van"), "--servers", str(fleet)]
    assert main(add) == 0
    made = tmp_path / "van" / "factory" / "repo"
    for name in (*plain, "timestamp.der"):
        assert (made / name).read_bytes() == genuine[name]


@pytest.mark.parametrize("harm", ["empty", "a folder"])
def test_a_first_root_that_cannot_be_read_is_not_taken_from_the_store(fleet: Path, harm: str, tmp_path: Path) -> None:
    pin = pin_of(load_settings(fleet))
    pin.unlink()
    pin.mkdir() if harm == "a folder" else pin.write_bytes(b"")
    put_another_history_there(fleet)
    before = published(fleet)
    (tmp_path / "new.img").write_text("new")
    assert main(["image", "add", str(tmp_path / "new.img"), "--servers", str(fleet)]) != 0
    assert published(fleet) == before
    assert "Image repository" in unwell(fleet)


def test_no_image_of_another_history_is_directed(
    fleet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add = ["vehicle", "add", "VIN123", "--package", str(tmp_path / "car"), "--servers", str(fleet)]
    assert main(add) == 0
    put_another_history_there(fleet)
    capsys.readouterr()
    assert main(["assignment", "set", "VIN123", "VIN123-primary", "evil.img", "--servers", str(fleet)]) != 0
    assert "E-SIG" in capsys.readouterr().err


def test_servers_that_have_not_kept_the_first_root_go_on_and_the_doctor_tells(fleet: Path, tmp_path: Path) -> None:
    assert unwell(fleet) == set()
    pin = pin_of(load_settings(fleet))
    kept = pin.read_bytes()
    pin.unlink()
    assert unwell(fleet) == {"Image repository"}
    (tmp_path / "new.img").write_text("new")
    assert main(["image", "add", str(tmp_path / "new.img"), "--servers", str(fleet)]) == 0
    shutil.copyfile(fleet / STORE / "metadata" / "1.root.der", pin)
    assert pin.read_bytes() == kept and unwell(fleet) == set()


@pytest.mark.parametrize(
    ("systems", "told"), [(frozenset(System), True), (frozenset({System.TIMESERVER}), False)], ids=["all", "Timeserver"]
)
def test_servers_that_have_not_kept_the_first_root_say_so_when_they_start(
    fleet: Path, systems: frozenset[System], told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    settings = load_settings(fleet)

    async def story() -> None:
        with listening("127.0.0.1", 0) as listener:
            async with serving(settings, systems, listener):
                pass

    asyncio.run(story())
    assert "first Root" not in caplog.text
    pin_of(settings).unlink()
    asyncio.run(story())
    assert (f"first Root is not in {pin_of(settings)}" in caplog.text) is told


def test_an_init_that_was_cut_off_goes_on_with_what_it_has_published(fleet: Path) -> None:
    pin = pin_of(load_settings(fleet))
    kept, before = pin.read_bytes(), published(fleet)
    pin.unlink()
    assert init(fleet) == 0
    assert (pin.read_bytes(), published(fleet)) == (kept, before)
    assert unwell(fleet) == set()


def test_an_init_over_what_was_made_changes_nothing(fleet: Path) -> None:
    before = everything(fleet)
    assert init(fleet) == 0
    assert everything(fleet) == before


@pytest.mark.parametrize("is_kept", [True, False], ids=["kept", "not kept"])
@pytest.mark.parametrize("form", ["der", "json"])
def test_no_init_keeps_the_first_root_of_another_history(
    tmp_path: Path, form: str, is_kept: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the genuine keys beside the thief's."""
    fleet = tmp_path / "fleet"
    assert init(fleet, "--format", form) == 0
    pin = pin_of(load_settings(fleet))
    put_another_history_there(fleet)
    if not is_kept:
        pin.unlink()
    before = everything(fleet)
    capsys.readouterr()
    assert init(fleet, "--format", form) != 0
    said = capsys.readouterr().err
    assert ("is not the first Root that these servers were made with" in said) is is_kept
    assert ("restore the published files" if is_kept else f"bring {pin.name} to") in said
    assert everything(fleet) == before


def test_no_init_signs_into_the_store_of_others(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """New servers beside it, with new keys: neither its first Root nor its keys are theirs."""
    new, before = fleet.parent / "new", everything(fleet)
    capsys.readouterr()
    assert main(["init", str(new), "--port", "0", "--storage", str(fleet / STORE)]) != 0
    assert "Name a store that is empty" in capsys.readouterr().err
    assert everything(fleet) == before and everything(new) == {}


def test_no_init_signs_another_history_that_is_put_there_while_it_runs(
    fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was cut off once before it had published, so that a thief may know the public keys."""
    put_another_history_there(fleet)
    shutil.move(fleet / STORE, tmp_path / "thief")
    pin_of(load_settings(fleet)).unlink()
    (fleet / "keys" / "image-repository-newest.json").unlink()
    before = everything(fleet)
    open_inventory = production.open_inventory

    async def meanwhile(url: str) -> SqlInventory:
        shutil.copytree(tmp_path / "thief", fleet / STORE)
        return await open_inventory(url)

    monkeypatch.setattr(production, "open_inventory", meanwhile)
    assert init(fleet) != 0
    thief = everything(tmp_path / "thief")
    assert everything(fleet) == before | {
        fleet / STORE / file.relative_to(tmp_path / "thief"): raw for file, raw in thief.items()
    }


def test_no_init_keeps_a_first_root_that_names_these_keys_and_that_they_have_not_signed(fleet: Path) -> None:
    settings = load_settings(fleet)
    pin_of(settings).unlink()
    first = fleet / STORE / "metadata" / "1.root.der"
    raw = first.read_bytes()
    first.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    before = everything(fleet)
    assert init(fleet) != 0
    assert everything(fleet) == before


def test_no_init_signs_a_second_first_root_into_a_store_that_was_emptied(
    fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(fleet / STORE)
    before = everything(fleet)
    capsys.readouterr()
    assert main(["image", "add", str(fleet.parent / "firmware.img"), "--servers", str(fleet)]) != 0
    assert init(fleet) != 0
    said = capsys.readouterr().err
    assert said.count("is missing") == said.count("Restore the published files from a backup") == 2
    assert everything(fleet) == before


@pytest.mark.parametrize(("made", "named"), [("der", "json"), ("json", "der")])
def test_settings_of_another_format_do_not_hide_the_first_root_that_was_kept(
    tmp_path: Path, made: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet, other = tmp_path / "fleet", tmp_path / "thief"
    (tmp_path / "new.img").write_text("new")
    assert init(fleet, "--format", made) == 0
    assert init(other, "--format", named) == 0
    shutil.copytree(other / STORE, fleet / STORE, dirs_exist_ok=True)
    settings = (fleet / FILE_NAME).read_text()
    (fleet / FILE_NAME).write_text(settings.replace(f'format = "{made}"', f'format = "{named}"'))
    assert load_settings(fleet).format == named
    before = everything(fleet)
    capsys.readouterr()
    assert main(["image", "add", str(tmp_path / "new.img"), "--servers", str(fleet)]) != 0
    assert f"these servers were made with {made}" in capsys.readouterr().err
    assert "Image repository" in unwell(fleet)
    assert init(fleet, "--format", named) != 0
    assert f"Name the format {made}" in capsys.readouterr().err
    assert everything(fleet) == before
