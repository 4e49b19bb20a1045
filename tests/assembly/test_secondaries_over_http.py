"""A whole vehicle on production servers: a Primary over mutual TLS, and Secondaries over HTTP to its door."""

import io
import json
import os
import signal
import zipfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from help_examples import examples

from uptane.assembly.device import Device, open_device
from uptane.assembly.device_package import (
    DeviceSettings,
    Door,
    SecondarySettings,
    load_device,
    load_secondary,
)
from uptane.assembly.http_server import ServerThread
from uptane.assembly.production import System
from uptane.assembly.secondary_device import SecondaryDevice, open_secondary
from uptane.assembly.serving import RevokedCertificates, serving
from uptane.assembly.settings import load_settings
from uptane.assembly.tls_server import listening
from uptane.cli.main import main
from uptane.metadata.errors import (
    FormatError,
    MixAndMatchError,
    RetiredVehicleError,
    SettingsError,
    SpoofingError,
    UnknownEcuError,
    UnreachableError,
    UptaneError,
)
from uptane.metadata.identifiers import EcuIdentifier
from uptane.storage.key_files import KeyFolder
from uptane.storage.sql.enrolment import SqlEnrolment
from uptane.vehicle.distribution import pack
from uptane.vehicle.polling import Polling
from uptane.vehicle.secondary import Outcome

BRAKES, LAMP = "brakes", "lamp"


class Reading(RevokedCertificates):
    """The servers' list of revoked certificates, which a test can have read again at once."""

    made: ClassVar[list[RevokedCertificates]] = []

    def __init__(self, enrolment: SqlEnrolment) -> None:
        super().__init__(enrolment)
        self.made.append(self)


class Garage:
    """Servers, and the ECUs of vehicles on them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
        self.folder, self._capsys = folder, capsys
        self._servers, self._open = ServerThread(), AsyncExitStack()
        self.ecus = ExitStack()
        self.run("init", "fleet", "--port", "0", "--format", form)
        opening = serving(load_settings(folder / "fleet"), frozenset(System), listening("127.0.0.1", 0))
        self.port = self._servers.serve(self._servers.run(self._open.enter_async_context(opening)))
        for name in (BRAKES, LAMP):
            (folder / f"{name}.img").write_text(f"fresh {name}")
            self.run("image", "add", f"{name}.img", "--hardware", f"{name}-1")

    def read_revoked_again(self) -> None:
        """What servers do every ten seconds."""
        self._servers.run(Reading.made[-1].read())

    def run(self, *words: str) -> str:
        """A command of an operator, which succeeds, and what it prints."""
        self._capsys.readouterr()
        assert main(list(words)) == 0, (words, self._capsys.readouterr().err)
        return self._capsys.readouterr().out

    def add(self, vin: str, package: str = "", *words: str) -> DeviceSettings:
        """A vehicle with a full and a partial Secondary, whose door takes any port."""
        self.run(
            "vehicle", "add", vin, "--package", package or vin, "--server", f"https://localhost:{self.port}",
            "--door-port", "0", "--secondary", f"{vin}-{BRAKES}:{BRAKES}-1",
            "--secondary", f"{vin}-{LAMP}:{LAMP}-1:partial", *words,
        )  # fmt: skip
        return load_device(self.folder / (package or vin))

    def start(self, settings: DeviceSettings, polled: list[str] | None = None) -> Device:
        """The Primary, with its door open."""
        return self.ecus.enter_context(open_device(settings, polled=([] if polled is None else polled).append))

    def settings_of(self, device: Device, name: str) -> SecondarySettings:
        """What a Secondary was made with, and where its Primary is."""
        vin = str(device.primary.memory.vehicle)
        made = load_secondary(self.folder / vin / "secondaries" / f"{vin}-{name}")
        return replace(made, primary=f"http://127.0.0.1:{device.port}")

    def secondary(self, device: Device, name: str) -> SecondaryDevice:
        """A Secondary, which has come to the door for the first time."""
        made = self.ecus.enter_context(open_secondary(self.settings_of(device, name)))
        with pytest.raises(UnreachableError):  # it has registered and reported, and nothing is verified yet
            made.cycle()
        return made

    def reports(self, vin: str) -> dict[str, dict[str, object]]:
        """The latest report of each ECU, as the Director has it."""
        shown = json.loads(self.run("manifest", "show", vin, "--json"))
        return {report["ecu"]: report for report in shown["reports"]}

    def close(self) -> None:
        self.ecus.close()
        self._servers.stop(self.port)
        self._servers.run(self._open.aclose())
        self._servers.close()


@pytest.fixture
def garage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> Iterator[Garage]:
    """Fresh servers that listen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPTANE_SERVERS", "fleet")
    monkeypatch.setenv("UPTANE_LISTEN__POLL_SECONDS", "77")
    monkeypatch.setattr("uptane.assembly.serving.RevokedCertificates", Reading)
    monkeypatch.setattr("uptane.assembly.tls_server.CLOSE_SECONDS", 0.1)  # our clients' idle connections say no goodbye
    made = Garage(tmp_path, capsys, getattr(request, "param", "der"))
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("garage", ["der", "json"], indirect=True)
@pytest.mark.standard("STD-5.4.2.6-3", "STD-5.4.3.6-2")
def test_every_ecu_of_a_vehicle_is_updated_and_confirmed_and_a_tampered_bundle_is_told(
    garage: Garage, monkeypatch: pytest.MonkeyPatch
) -> None:
    polled: list[str] = []
    device = garage.start(garage.add("VIN1"), polled)
    brakes, lamp = garage.secondary(device, BRAKES), garage.secondary(device, LAMP)
    device.cycle()
    assert set(filter(None, polled)) == {"77"}, "the server says when to come back"
    shown = garage.reports("VIN1")
    assert {ecu: report["registered"] for ecu, report in shown.items()} == dict.fromkeys(
        ["VIN1-brakes", "VIN1-lamp", "VIN1-primary"], True
    )
    assert {report["installed"] for report in shown.values()} == {"factory.img"}
    for name in (BRAKES, LAMP):
        garage.run("assignment", "set", "VIN1", f"VIN1-{name}", f"{name}.img")
    device.cycle()
    good = device.primary.secondaries.get_metadata

    def tampered(ecu: EcuIdentifier) -> bytes:
        with zipfile.ZipFile(io.BytesIO(good(ecu))) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        name = next(name for name in files if name.startswith("director/") and "targets" in name)
        return pack(files | {name: files[name][:-1] + b"!"})

    with monkeypatch.context() as hostile:
        hostile.setattr(device.primary.secondaries, "get_metadata", tampered)
        with pytest.raises(MixAndMatchError):
            brakes.cycle()
    assert brakes.secondary.memory.state.installed.path == "factory.img"
    assert lamp.cycle().outcome is Outcome.UPDATED
    device.cycle()
    told = garage.reports("VIN1")
    assert "E-MIXMATCH" in str(told["VIN1-brakes"]["attacks_detected"])
    assert (told["VIN1-brakes"]["installed"], told["VIN1-lamp"]["installed"]) == ("factory.img", "lamp.img")
    assert "mix-and-match" in garage.run("manifest", "show", "VIN1")
    assert brakes.cycle().outcome is Outcome.UPDATED
    device.cycle()
    told = garage.reports("VIN1")
    assert (told["VIN1-brakes"]["installed"], told["VIN1-brakes"]["attacks_detected"]) == ("brakes.img", "")
    listed = json.loads(garage.run("assignment", "list", "VIN1", "--json"))["assignments"]
    assert [(each["ecu"], each["done"]) for each in listed] == [("VIN1-brakes", True), ("VIN1-lamp", True)]


def test_a_key_that_the_factory_knew_is_the_only_one_for_its_ecu(garage: Garage) -> None:
    right = KeyFolder(garage.folder).load_or_generate("right")
    settings = garage.add("VIN1", "VIN1", "--ecu-key", "VIN1-brakes=right.pub")
    device = garage.start(settings)
    with garage.ecus.enter_context(ExitStack()) as thief:
        stranger = thief.enter_context(open_secondary(garage.settings_of(device, BRAKES)))
        with pytest.raises(SpoofingError):
            stranger.cycle()
    keys = device.primary.secondaries.keys()
    assert [key.material for key in keys.values()] == [right.public_key().public_bytes_raw()]
    shown = json.loads(garage.run("vehicle", "show", "VIN1", "--json"))
    again = ["vehicle", "add", "VIN2", "--package", "VIN2", "--secondary", "new", "--ecu-key", "new=right.pub"]
    assert main(again) == 1, "a key belongs to one ECU"
    assert json.loads(garage.run("vehicle", "list", "--json"))["vehicles"] == ["VIN1"]
    assert [(ecu["ecu"], ecu["hardware"]) for ecu in shown["ecus"] if not ecu["primary"]] == [
        ("VIN1-brakes", "brakes-1")
    ]


def test_a_stranger_at_the_door_is_sent_away_and_keeps_nobody_from_the_director(garage: Garage) -> None:
    device = garage.start(garage.add("VIN1"))
    lamp = garage.secondary(device, LAMP)
    link = lamp.secondary.primary
    with pytest.raises(UnknownEcuError):
        link.register_secondary(EcuIdentifier("STRANGER"), lamp.key)
    assert [str(ecu) for ecu in device.primary.secondaries.known()] == ["VIN1-lamp"]
    device.cycle()
    assert set(garage.reports("VIN1")) == {"VIN1-primary", "VIN1-lamp"}


def test_what_the_director_refuses_of_one_ecu_is_told_and_keeps_no_other_back(garage: Garage) -> None:
    taken = garage.add("VIN1")
    garage.run(
        "vehicle", "add", "VIN2", "--package", "VIN2", "--server", f"https://localhost:{garage.port}",
        "--door-port", "0", "--secondary", "VIN1-brakes", "--secondary", "VIN2-lamp::partial",
    )  # fmt: skip
    first = garage.start(taken)
    garage.secondary(first, BRAKES)
    first.cycle()
    warned: list[str] = []
    second = garage.ecus.enter_context(open_device(load_device(garage.folder / "VIN2"), warn=warned.append))
    made = load_secondary(garage.folder / "VIN2" / "secondaries" / "VIN1-brakes")
    for settings in (replace(made, primary=f"http://127.0.0.1:{second.port}"), garage.settings_of(second, LAMP)):
        secondary = garage.ecus.enter_context(open_secondary(settings))
        with pytest.raises(UnreachableError):
            secondary.cycle()
    second.cycle()
    assert len(warned) == 1 and "VIN1-brakes" in warned[0] and "E-SPOOF" in warned[0]
    told = garage.reports("VIN2")
    assert (told["VIN2-lamp"]["registered"], told["VIN1-brakes"]["registered"]) == (True, False)
    assert "NOT REGISTERED" in garage.run("manifest", "show", "VIN2")


def test_the_programs_do_the_same(garage: Garage, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = garage.add("VIN456", "van")
    first = json.loads(garage.run("vehicle", "run", "van", "--cycles", "1", "--json"))
    assert first == {"ecu": "VIN456-primary", "runs": "factory.img", "nothing_new": True}
    intervals: list[float] = []

    def asked_to_end(polling: Polling) -> float:
        intervals.append(polling.interval)
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("not reached")

    with monkeypatch.context() as waiting:
        waiting.setattr(Polling, "succeeded", asked_to_end)
        assert garage.run("vehicle", "run", "van").endswith("VIN456-primary runs factory.img\n")
    assert intervals == [77], "it would have come back when the server asks for it"
    device, (program,) = garage.start(settings), examples("vehicle secondary run")
    file = Path(program[3]) / "secondary.toml"
    file.write_text(file.read_text().replace("127.0.0.1:0", f"127.0.0.1:{device.port}"))
    assert garage.run(*program) == "VIN456-brakes runs factory.img\n"
    device.cycle()
    garage.run("assignment", "set", "VIN456", "VIN456-brakes", "brakes.img")
    device.cycle()
    done = garage.run(*program, "--json")
    assert (json.loads(done)["runs"], json.loads(done)["outcome"]) == ("brakes.img", "updated")
    assert garage.run(*program) == "VIN456-brakes runs brakes.img\n"


def test_a_retired_vehicle_is_told_so_once_and_keeps_what_it_runs(garage: Garage) -> None:
    device = garage.start(garage.add("VIN1"))
    garage.secondary(device, LAMP)
    device.cycle()
    garage.run("vehicle", "retire", "VIN1")
    garage.read_revoked_again()
    with pytest.raises(RetiredVehicleError) as refused:
        device.cycle()
    assert "VIN1 was taken out of service" in refused.value.what
    assert device.primary.memory.state.installed.path == "factory.img"


def test_the_door_is_not_open_to_other_machines_unless_the_settings_say_so(garage: Garage) -> None:
    settings = garage.add("VIN1")
    assert settings.door == Door(port=0)
    with pytest.raises(UptaneError) as refused, open_device(replace(settings, door=Door(address="0.0.0.0", port=0))):  # noqa: S104
        pass
    assert "other machines" in refused.value.what
    with open_device(replace(settings, door=None)) as device:
        assert device.port == 0


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nonsense = 1", "nonsense"),
        ("[door]\nport = 70000", "port"),
        ("[door]\nprt = 1", "prt"),
        ('[door]\nunsafe_listen_on_network = "yes"', "unsafe_listen_on_network"),
        ("secondary = 1", "secondary"),
        ("secondary = [1]", "secondary"),
        ('[[secondary]]\nhardware_id = "x"', "ecu"),
        ('[[secondary]]\necu = "x"\ncolour = "red"', "colour"),
    ],
)
def test_a_vehicle_file_with_nonsense_names_it(text: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "vehicle.toml").write_text(f'server = "https://x"\nvehicle = "V"\necu = "E"\n{text}')
    with pytest.raises(SettingsError) as refused:
        load_device(tmp_path)
    assert refused.value.facts["field"] == named


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "primary"),
        ('primary = "http://x"\nverification = "none"', "verification"),
        ('primary = "http://x"\npoll_seconds = 0', "poll_seconds"),
        ('primary = "http://x"\nserver = "https://x"', "server"),
    ],
)
def test_a_secondary_file_with_nonsense_names_it(text: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "secondary.toml").write_text(f'vehicle = "V"\necu = "E"\n{text}')
    with pytest.raises(SettingsError) as refused:
        load_secondary(tmp_path)
    assert refused.value.facts["field"] == named


@pytest.mark.parametrize(
    "words",
    [
        ["--secondary", "a:b:full:x"],
        ["--secondary", "a:b:most"],
        ["--secondary", "a", "--secondary", "a"],
        ["--secondary", "VIN9-primary"],
        ["--ecu-key", "other=fleet/keys/timeserver.pub"],
    ],
)
def test_ecus_that_do_not_fit_together_make_no_vehicle(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPTANE_SERVERS", "fleet")
    assert main(["init", "fleet", "--port", "0"]) == 0
    assert main(["vehicle", "add", "VIN9", "--package", "car", *words]) == 1
    assert f"({FormatError.code})" in capsys.readouterr().err
    assert main(["vehicle", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["vehicles"] == []
    assert not (tmp_path / "car").exists()
