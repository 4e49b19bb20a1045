"""Whatever happens in whatever order, no ECU installs what was not signed, nor trusts less than before."""

from contextlib import suppress
from typing import Any

import pytest
from fleet import Fleet, Vehicle
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from links import wait
from signed import EVIL, FACTORY
from world import DIRECTOR, IMAGES, VIN

from uptane.formats.profile import KINDS
from uptane.formats.profiles import PROFILES
from uptane.metadata.errors import UptaneError
from uptane.metadata.identifiers import ImagePath, RepositoryName
from uptane.metadata.root import Role

NAMES = st.sampled_from(["firmware.img", "brakes.img", "maps/europe.img"])
ROLES = st.lists(st.sampled_from(list(Role)), min_size=1, max_size=4, unique=True)
REPOSITORIES = st.sampled_from([DIRECTOR, IMAGES])


class Histories(RuleBasedStateMachine):
    """A vehicle, its repositories, and somebody in between who keeps everything that was ever published."""

    profile_name = "der"

    def __init__(self) -> None:
        super().__init__()
        self.fleet = Fleet(PROFILES[self.profile_name])
        self.car = Vehicle(self.fleet)
        self.genuine = {FACTORY}
        self.number = 0
        self.recorded: dict[RepositoryName, list[dict[str, bytes]]] = {DIRECTOR: [], IMAGES: []}
        self.both_release("firmware.img", cycle=True)
        self.trusted = self.versions()

    def cycle(self) -> None:
        """Every ECU tries to update; what is refused changes nothing that matters."""
        for ecu in (self.car.primary, self.car.secondary):
            with suppress(UptaneError):
                ecu.update_cycle()

    def record(self) -> None:
        """The one in between keeps what is published now."""
        self.recorded[DIRECTOR].append(self.fleet.published(VIN))
        self.recorded[IMAGES].append(self.fleet.published())

    def versions(self) -> list[dict[tuple[RepositoryName, str], int]]:
        """What the Primary and the Secondary trust: the version of each role of each repository."""
        found = []
        for device in (self.car.device, self.car.tcu.device):
            held: dict[tuple[RepositoryName, str], int] = {}
            for name, raw in device.trusted().items():
                _, repository, kind, role = name.split("/")
                if kind == "role":
                    payload: Any = self.fleet.profile.format.decode(KINDS[Role(role)], raw).payload
                    held[RepositoryName(repository), role] = payload.version
            found.append(held)
        return found

    @rule(name=NAMES, cycle=st.booleans())
    def both_release(self, name: str, cycle: bool) -> None:
        """The owners of all keys release an image."""
        self.number += 1
        content = b"release %d" % self.number
        self.genuine.add(content)
        self.fleet.release(name, content)
        self.record()
        if cycle:
            self.cycle()

    @rule(name=NAMES, cycle=st.booleans())
    def a_thief_of_the_director_keys_directs(self, name: str, cycle: bool) -> None:
        """The Director's own keys sign for an image that the Image repository never listed."""
        evil = wait(Fleet(self.fleet.profile).images.add_image(ImagePath(name), EVIL))
        wait(self.fleet.image_store.add(ImagePath(name), EVIL))
        self.fleet.direct(evil)
        self.record()
        if cycle:
            self.cycle()

    @rule()
    def nothing_is_directed(self) -> None:
        """The Director takes every assignment back."""
        self.fleet.clear()
        self.record()

    @rule(roles=ROLES, cycle=st.booleans())
    def the_director_rotates(self, roles: list[Role], cycle: bool) -> None:
        """New keys for some roles of the Director."""
        self.fleet.rotate_director(*roles)
        self.record()
        if cycle:
            self.cycle()

    @rule(roles=ROLES, cycle=st.booleans())
    def the_image_repository_rotates(self, roles: list[Role], cycle: bool) -> None:
        """New keys for some roles of the Image repository."""
        self.fleet.rotate_images(*roles)
        self.record()
        if cycle:
            self.cycle()

    @rule(minutes=st.sampled_from([1, 60, 60 * 25]))
    def time_passes(self, minutes: int) -> None:
        """Up to a day, after which a Timestamp has expired."""
        self.fleet.later(minutes=minutes)

    @rule(repository=REPOSITORIES, age=st.integers(1, 5), cycle=st.booleans())
    def an_old_set_is_replayed(self, repository: RepositoryName, age: int, cycle: bool) -> None:
        """All files of a repository as they were some publications ago."""
        for name, raw in self.recorded[repository][-min(age, len(self.recorded[repository]))].items():
            self.car.links.altered[repository, name] = raw
        if cycle:
            self.cycle()

    @rule(repository=REPOSITORIES, role=st.sampled_from(list(Role)), age=st.integers(1, 5))
    def one_old_file_is_mixed_in(self, repository: RepositoryName, role: Role, age: int) -> None:
        """One file as it was, under the name by which it is asked for now."""
        then = self.recorded[repository][-min(age, len(self.recorded[repository]))]
        plain = self.fleet.profile.metadata_name(role)
        for name in self.fleet.published(VIN if repository == DIRECTOR else None):
            if name == plain or name.endswith(f".{plain}"):
                self.car.links.altered[repository, name] = then[plain]
        self.cycle()

    @rule(repository=REPOSITORIES, role=st.sampled_from(list(Role)), cycle=st.booleans())
    def a_file_is_withheld(self, repository: RepositoryName, role: Role, cycle: bool) -> None:
        """A role is missing under every name."""
        plain = self.fleet.profile.metadata_name(role)
        for name in self.fleet.published(VIN if repository == DIRECTOR else None):
            if name.endswith(plain):
                self.car.links.altered[repository, name] = None
        if cycle:
            self.cycle()

    @rule(name=NAMES, cycle=st.booleans())
    def images_are_altered(self, name: str, cycle: bool) -> None:
        """Every mirror hosts something else, as long as the newest release."""
        self.car.links.alter_image(name, b"X" * len(b"release %d" % self.number))
        if cycle:
            self.cycle()

    @rule()
    def the_one_in_between_lets_go(self) -> None:
        """Everything passes as it was sent."""
        self.car.links.restore()

    @rule()
    def the_primary_cycles(self) -> None:
        """A cycle may be refused, and then changes nothing that matters."""
        with suppress(UptaneError):
            self.car.primary.update_cycle()

    @rule()
    def the_secondary_cycles(self) -> None:
        """The same for the Secondary."""
        with suppress(UptaneError):
            self.car.secondary.update_cycle()

    @rule()
    def the_primary_restarts(self) -> None:
        """Only what is durable is left."""
        self.car.restart_primary()

    @invariant()
    def only_signed_images_run(self) -> None:
        """Whatever runs was released by the owners of all keys."""
        assert self.car.device.running() in self.genuine
        assert self.car.running() in self.genuine

    @invariant()
    def no_trusted_version_falls(self) -> None:
        """Unless a new Root revoked the keys that signed the file (STD-5.4.4.3-9, AMB-7)."""
        now = self.versions()
        for before, after in zip(self.trusted, now, strict=True):
            for (repository, role), version in before.items():
                same_root = after[repository, Role.ROOT] == before[repository, Role.ROOT]
                assert after[repository, Role.ROOT] >= before[repository, Role.ROOT]
                assert not same_root or after.get((repository, role), 0) >= version
        self.trusted = now

    def teardown(self) -> None:
        """Once everybody is honest again, the next release arrives."""
        self.car.links.restore()
        for number in range(2):  # a Secondary may need one cycle to learn the time
            self.fleet.release("firmware.img", b"the last release %d" % number)
            self.car.primary.update_cycle()
            try:
                self.car.secondary.update_cycle()
            except UptaneError:
                assert number == 0
        assert self.car.running() == b"the last release 1"


@pytest.mark.parametrize("format_name", ["der", "json"])
def test_no_history_lets_an_unsigned_image_run_or_a_trusted_version_fall(format_name: str) -> None:
    machine = type("HistoriesOf" + format_name, (Histories,), {"profile_name": format_name})
    run_state_machine_as_test(machine, settings=settings(max_examples=25, stateful_step_count=40, deadline=None))
