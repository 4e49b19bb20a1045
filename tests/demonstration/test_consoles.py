"""The walkthrough, line by line as its text has it, in real shells behind a terminal."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from shells import REPOSITORY, Shell, banners, errors, free_ports

from uptane.formats.profiles import PROFILES

SHARED = Path(os.environ.get("UPTANE_SHARED", REPOSITORY.parent / "shared"))
TEXT = SHARED / "mission" / "walkthrough.txt"
PRIMARY_SHOWS = [[], [], [], ["DEFENDED"], ["DEFENDED"], [], ["REPLAY"], ["DEFENDED"], [], [], ["DEFENDED"], []]
SECONDARY_SHOWS = [["NO UPDATE"], ["UPDATED"], ["COMPROMISED"], ["UPDATED"]]


@pytest.fixture(params=["der", "json"])
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator["Office"]:
    """A working directory with its services window."""
    opened = Office(tmp_path, str(request.param))
    yield opened
    opened.close()


class Office:
    """The windows of one demonstration."""

    def __init__(self, folder: Path, format_name: str) -> None:
        self.folder = folder
        self.variables = free_ports() | {"UPTANE_DEMO__FORMAT": format_name}
        self.windows: list[Shell] = []
        script = str(REPOSITORY / "demo" / "start_servers.py")
        self.services = self.open(script, "--format", format_name)
        assert not errors(self.services.greeting), self.services.greeting

    def open(self, *arguments: str) -> Shell:
        window = Shell(self.folder, self.variables, *arguments)
        self.windows.append(window)
        return window

    def close(self) -> None:
        for window in reversed(self.windows):
            window.close()


def statements(text: str) -> list[list[str]]:
    """The blocks of a text whose lines begin with the prompt, with continuation lines joined."""
    blocks: list[list[str]] = []
    block: list[str] = []
    for line in [*text.split("\n"), ""]:
        if line.startswith(">>> "):
            block.append(line.removeprefix(">>> "))
        elif block and block[-1].count("(") > block[-1].count(")"):
            block[-1] += " " + line.strip()
        elif block:
            blocks.append(block)
            block = []
    return blocks


def must_be_quiet(output: str) -> None:
    """No error and no traceback."""
    assert not errors(output), output
    assert "Traceback" not in output, output


@pytest.mark.parametrize("office", PROFILES, indirect=True)
def test_every_line_of_the_walkthrough_does_what_its_text_says(office: Office) -> None:
    if not TEXT.is_file():
        if os.environ.get("CI"):
            pytest.fail(f"the walkthrough is not at {TEXT}")
        pytest.skip(f"the walkthrough is not at {TEXT}; set UPTANE_SHARED")
    primaries: list[Shell] = []
    secondary: Shell | None = None
    seen: dict[str, list[list[str]]] = {"dp": [], "ds": []}
    for block in statements(TEXT.read_text()):
        window = primaries[0] if primaries else None
        for line in block:
            if line.startswith("import demo.demo_primary"):
                window = office.open()
                primaries.append(window)
            elif line.startswith("import demo.demo_secondary"):
                secondary = office.open()
            name = line[:2]
            target = {"dp": window, "ds": secondary}.get(name, office.services)
            if line.startswith("import"):
                target = secondary if "secondary" in line else window
            assert target is not None
            output = target.type(line)
            must_be_quiet(output)
            if line.endswith("update_cycle()"):
                seen[name].append(banners(output))
    assert seen["dp"] == PRIMARY_SHOWS
    assert seen["ds"] == SECONDARY_SHOWS
    assert secondary is not None
    assert banners(secondary.type("ds.update_cycle()")) == ["NO UPDATE NEEDED"]
    assert "Traceback" not in "".join(window.type("None") for window in office.windows)


@pytest.mark.standard("STD-5-1", "STD-5-2", "STD-5-5", "STD-5-6", "STD-5.3-1", "STD-5.3.1-1", "STD-5.3.1-2")
@pytest.mark.standard("STD-5.3.2-1", "STD-5.3.2-2")
def test_several_vehicles_and_several_secondaries_work_side_by_side(office: Office) -> None:
    first = office.open()
    first.type("import demo.demo_primary as dp")
    must_be_quiet(first.type("dp.clean_slate()"))
    other = office.open()
    other.type("import demo.demo_primary as dp")
    output = other.type("dp.clean_slate(vin='112', ecu_serial='PRIMARY_ECU_2')")
    must_be_quiet(output)
    assert "Trying next port." in output
    port = output.split("Primary will now listen on port ")[1].split("\n")[0]
    secondaries = {}
    for serial, vin, arguments in (
        ("TCUdemocar", "democar", ""),
        ("33333", "democar", "ecu_serial='33333'"),
        ("44444", "112", f"vin='112', ecu_serial='44444', primary_port={port}"),
    ):
        window = office.open()
        window.type("import demo.demo_secondary as ds")
        must_be_quiet(window.type(f"ds.clean_slate({arguments})"))
        secondaries[serial] = (vin, window)
    services = office.services
    services.type("open('firmware.img', 'w').write('Fresh firmware image')")
    must_be_quiet(services.type("di.add_target_to_imagerepo('firmware.img', 'firmware.img'); di.write_to_live()"))
    for serial, (vin, _) in secondaries.items():
        must_be_quiet(services.type(f"dd.add_target_to_director('firmware.img', 'firmware.img', '{vin}', '{serial}')"))
    must_be_quiet(services.type("dd.write_to_live()"))
    for primary in (first, other):
        must_be_quiet(primary.type("dp.update_cycle()"))
    for _, window in secondaries.values():
        assert banners(window.type("ds.update_cycle()")) == ["UPDATED"]
    must_be_quiet(first.type("dp.update_cycle()"))
    answer = services.type("sorted(dd.get_last_vehicle_manifest('democar')['ecu_version_manifests'])")
    assert answer.strip() == "['33333', 'INFOdemocar', 'TCUdemocar']"
    answer = services.type("dd.get_last_ecu_manifest('33333')['installed_image']['filepath']")
    assert answer.strip() == "'firmware.img'"


@pytest.mark.standard("STD-5.1.2.1-6")
def test_a_terminating_delegation_is_made_with_a_warning(office: Office) -> None:
    assert "terminating" not in office.services.type("di.delegate('a', ['a/*'])")
    assert "no later role is asked" in office.services.type("di.delegate('b', ['b/*'], terminating=True)")


@pytest.mark.parametrize("office", PROFILES, indirect=True)
def test_a_partial_secondary_is_updated_and_only_a_thief_in_its_primary_fools_it(office: Office) -> None:
    primary, full, partial, pinned = (office.open() for _ in range(4))
    primary.type("import demo.demo_primary as dp")
    must_be_quiet(primary.type("dp.clean_slate()"))
    made = {
        full: ("", "a"),
        partial: ("ecu_serial='33333', partial_verifying=True", "b"),
        pinned: ("ecu_serial='44444', partial_verifying=True, pin_director_keys=True", "c"),
    }
    services = office.services
    for window, (arguments, name) in made.items():
        window.type("import demo.demo_secondary as ds")
        must_be_quiet(window.type(f"ds.clean_slate({arguments})"))
        must_be_quiet(services.type(f"di.add_target_and_write_to_live('{name}.img', 'Fresh firmware image')"))
    serials = {"a": "TCUdemocar", "b": "33333", "c": "44444"}
    for name, serial in serials.items():
        services.type(f"dd.add_target_and_write_to_live('{name}.img', 'Fresh firmware image', 'democar', '{serial}')")
    must_be_quiet(primary.type("dp.update_cycle()"))
    for window in made:
        assert banners(window.type("ds.update_cycle()")) == ["UPDATED"]
    for name, serial in serials.items():
        services.type(f"dd.add_target_and_write_to_live('{name}.img', 'evil content', 'democar', '{serial}')")
    assert banners(primary.type("dp.update_cycle()")) == ["DEFENDED"]
    for window, banner in ((full, "DEFENDED"), (partial, "COMPROMISED"), (pinned, "COMPROMISED")):
        assert banners(window.type("ds.update_cycle()")) == ["NO UPDATE NEEDED"]
        assert banners(window.type("ds.ATTACK_update_from_hostile_primary()")) == [banner]
    services.type("dd.revoke_compromised_keys()")
    for name, serial in serials.items():
        services.type(f"dd.add_target_and_write_to_live('{name}.img', 'Fresh firmware image', 'democar', '{serial}')")
    must_be_quiet(primary.type("dp.update_cycle()"))
    follows = "UPDATED" if office.variables["UPTANE_DEMO__FORMAT"] in ("der", "json") else "DEFENDED"
    for window, banner in ((full, "NO UPDATE NEEDED"), (partial, follows), (pinned, "DEFENDED")):
        assert banners(window.type("ds.update_cycle()")) == [banner]


def test_new_keys_put_the_old_ones_aside_and_lose_none(office: Office) -> None:
    keys = office.folder / "demo" / "keys"
    first = (keys / "mainroot").read_bytes()
    for _ in range(2):
        must_be_quiet(office.services.type("di.clean_slate(use_new_keys=True)"))
    assert (keys / "mainroot.replaced1").read_bytes() == first
    assert len({(keys / name).read_bytes() for name in ("mainroot", "mainroot.replaced1", "mainroot.replaced2")}) == 3
    assert (keys / "mainroot.replaced1.pub").is_file()


def test_a_corrupt_report_is_refused_by_the_primary(office: Office) -> None:
    primary, secondary = office.open(), office.open()
    primary.type("import demo.demo_primary as dp")
    primary.type("dp.clean_slate()")
    secondary.type("import demo.demo_secondary as ds")
    secondary.type("ds.clean_slate()")
    output = secondary.type("ds.ATTACK_send_corrupt_manifest_to_primary()")
    assert banners(output) == ["DEFENDED"]
    must_be_quiet(primary.type("dp.update_cycle()"))
    assert banners(secondary.type("ds.update_cycle()")) == ["NO UPDATE"]


MISTAKES = [
    ("services", "dd.add_target_to_director('firmware.img', 'x.img', 'democar', 'TCUdemocar')", "ds.clean_slate"),
    ("services", "dd.add_target_and_write_to_live('firmware.img', 'evil', 'democar', 'TCUdemocar')", "TCUdemocar"),
    ("services", "di.add_target_to_imagerepo('firmware.img\\0', 'firmware.img')", "not the name"),
    ("services", "di.add_target_to_imagerepo(None, 'firmware.img')", "not the name"),
    ("services", "di.delegate('supplier', [])", "one or more paths"),
    ("services", "di.add_target_to_imagerepo('missing.img', 'missing.img')", "missing.img"),
    ("services", "di.add_target_to_imagerepo('firmware.img', '../evil.img')", "leaves its folder"),
    ("services", "di.add_target_to_imagerepo('firmware.img', '/etc/evil.img')", "relative"),
    ("services", "di.add_target_to_imagerepo('firmware.img', '%2e%2e%2fevil.img')", "image path"),
    ("services", "di.add_target_to_imagerepo('firmware.img', 'a' * 300)", "255 bytes"),
    ("services", "dd.add_target_to_director('firmware.img', 'f.img', 'nobody', 'TCUdemocar')", "dd.add_new_vehicle"),
    (
        "services",
        "dd.add_encrypted_target_to_director('firmware.img', 'f.img', 'democar', 'x')",
        "encrypted_images=True",
    ),
    ("services", "dd.add_target_to_director('firmware.img', 'f.img', 'democar', 'nobody')", "nobody"),
    ("services", "dd.add_new_vehicle('democar')", "democar"),
    ("services", "dd.undo_mitm_arbitrary_package_attack('democar', 'firmware.img')", "nothing to undo"),
    ("services", "dd.sign_with_compromised_keys_attack('democar')", "revoke"),
    ("services", "dd.restore_timestamp('democar')", "nothing to restore"),
    ("primary", "dp.update_cycle()", "dp.clean_slate()"),
    ("primary", "dp.clean_slate(vin='nobody')", "dd.add_new_vehicle"),
    ("secondary", "ds.update_cycle()", "ds.clean_slate()"),
    ("secondary", "ds.ATTACK_update_from_hostile_primary()", "ds.clean_slate()"),
    ("secondary", "ds.clean_slate(pin_director_keys=True)", "partial_verifying=True"),
    ("secondary", "ds.clean_slate()", "Is the Primary running?"),
]


def test_a_mistake_gives_one_clear_line_and_no_traceback(office: Office) -> None:
    primary, secondary = office.open(), office.open()
    primary.type("import demo.demo_primary as dp")
    secondary.type("import demo.demo_secondary as ds")
    office.services.type("open('firmware.img', 'w').write('Fresh firmware image')")
    windows = {"services": office.services, "primary": primary, "secondary": secondary}
    for name, line, hint in MISTAKES:
        output = windows[name].type(line)
        found = errors(output)
        assert len(found) == 1, f"{line}\n{output}"
        assert hint in found[0], f"{line}\n{output}"
        assert "Traceback" not in output


@pytest.mark.parametrize("office", PROFILES, indirect=True)
def test_a_window_of_another_format_is_told_which_one_to_use(office: Office) -> None:
    right = office.variables["UPTANE_DEMO__FORMAT"]
    other = {"der": "pouf1", "pouf1": "der", "json": "pouf1-json", "pouf1-json": "der"}[right]
    window = Shell(office.folder, office.variables | {"UPTANE_DEMO__FORMAT": other})
    office.windows.append(window)
    window.type("import demo.demo_primary as dp")
    (error,) = errors(window.type("dp.clean_slate()"))
    assert f"UPTANE_DEMO__FORMAT={right}" in error


def test_servers_that_stop_in_mid_demonstration_are_named_and_the_next_cycle_succeeds(office: Office) -> None:
    primary = office.open()
    primary.type("import demo.demo_primary as dp")
    must_be_quiet(primary.type("dp.clean_slate()"))
    for console, name in (("di", "imagerepo"), ("dd", "Director")):
        office.services.type(f"{console}.kill_server()")
        (error,) = errors(primary.type("dp.update_cycle()"))
        assert name in error
        assert "running?" in error
        office.services.type(f"{console}.host()")
        if console == "dd":
            office.services.type("dd.listen()")
        must_be_quiet(primary.type("dp.update_cycle()"))


def test_what_fails_leaves_alone_what_was_there_before(office: Office) -> None:
    primary, secondary = office.open(), office.open()
    primary.type("import demo.demo_primary as dp")
    secondary.type("import demo.demo_secondary as ds")
    must_be_quiet(primary.type("dp.clean_slate()"))
    must_be_quiet(secondary.type("ds.clean_slate()"))
    for window, lines in (
        (primary, ("dp.clean_slate(vin='nobody')", "dp.clean_slate(ecu_serial='SECOND_PRIMARY')")),
        (secondary, ("ds.clean_slate(vin='nobody')", "ds.clean_slate(ecu_serial='INFOdemocar')")),
    ):
        for line in lines:
            assert len(errors(window.type(line))) == 1
    must_be_quiet(primary.type("dp.update_cycle()"))
    assert banners(secondary.type("ds.update_cycle()")) == ["NO UPDATE"]
    must_be_quiet(secondary.type("ds.submit_ecu_manifest_to_primary()"))
    must_be_quiet(primary.type("dp.submit_vehicle_manifest_to_director()"))
    intruder = office.open(str(REPOSITORY / "demo" / "start_servers.py"))
    assert len(errors(intruder.greeting)) == 1
    assert "in use" in errors(intruder.greeting)[0]
    assert "not ready" in intruder.greeting
    must_be_quiet(primary.type("dp.update_cycle()"))


def test_nothing_is_published_on_top_of_a_replayed_timestamp(office: Office) -> None:
    type_ = office.services.type
    must_be_quiet(type_("dd.backup_timestamp('democar'); dd.write_to_live('democar'); dd.replay_timestamp('democar')"))
    (error,) = errors(type_("dd.write_to_live('democar')"))
    assert "older Timestamp" in error
    must_be_quiet(type_("dd.restore_timestamp('democar'); dd.write_to_live('democar')"))
