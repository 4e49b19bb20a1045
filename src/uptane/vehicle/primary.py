"""The Primary: the seven steps of the Standard's section 5.4.2, for itself and for its Secondaries."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from uptane.metadata.errors import SecurityError, UnreachableError, UptaneError
from uptane.metadata.identifiers import EcuIdentifier
from uptane.metadata.manifest_diff import as_diff, diff_of
from uptane.metadata.targets import Image, ImageFile
from uptane.metadata.vehicle_manifest import VehicleVersionManifest
from uptane.metadata.version_report import EcuVersionReport
from uptane.signing.sign import sign
from uptane.signing.signer import Signer
from uptane.vehicle.attested_time import AttestedTime, UnsafeSystemClock
from uptane.vehicle.decryption import delivered, in_plain, require_separate_keys
from uptane.vehicle.downloads import download
from uptane.vehicle.ecu_state import EcuState
from uptane.vehicle.installation import Installer, at_once, holds, slot_of, stored, works
from uptane.vehicle.memory import EcuMemory
from uptane.vehicle.ports import DirectorLink, ImageSlots, ImageSource, ThirdHosts, TimeLink
from uptane.vehicle.secondaries import Secondaries
from uptane.vehicle.version_reports import describe, report_of, require_clock_in_reports
from uptane.verification.full_verification import AskImageRepositories, VerifiedBundle, full_verification
from uptane.verification.steps import Fetcher, run


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The ways from a Primary to everything outside.

    Args:
        repositories: metadata of the repositories of the map.
        mirrors: hosts of images, in the order they are asked.
        third_hosts: where an image is fetched from as well if the Director gives a URL there; None for nowhere else.
        director, timeserver: the services; a clock in place of the Timeserver is an explicit choice, which leaves
            Secondaries without attestations.
        slots: where images are kept.
        new_nonce: gives 31 cryptographically random bits.
        say: is told what happens, line by line.
        may_install: whether the vehicle is in a state to install that verified image now (STD-5.4.3.5-2, -3), such as
            parked, with a full battery and a backup made; asked again in each cycle until it is.
        confirms: starts the Primary's own new image, and tells whether it says that it works (`Installer`).
    """

    repositories: Fetcher
    mirrors: Sequence[ImageSource]
    director: DirectorLink
    timeserver: TimeLink | UnsafeSystemClock
    slots: ImageSlots
    new_nonce: Callable[[], int]
    say: Callable[[str], None] = field(default=lambda line: None)
    may_install: Callable[[Image], bool] = at_once
    confirms: Callable[[ImageFile], bool] = works
    third_hosts: ThirdHosts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleResult:
    """What an update cycle brought.

    Args:
        images: the verified image of each ECU that shall have one.
        refused: why an ECU gets none, with `unsafe_refuse_single_images`.
        fetched: images that were downloaded in this cycle.
        installed: the image that the Primary installed on itself in this cycle, if any.
        nothing_new: whether the cycle stopped without asking an Image repository: every directed image runs already.
    """

    images: dict[EcuIdentifier, Image]
    refused: dict[EcuIdentifier, SecurityError]
    fetched: tuple[ImageFile, ...]
    installed: ImageFile | None
    nothing_new: bool


class Primary:
    """A Primary ECU.

    Args:
        memory: its provisioned memory.
        signer: its key.
        world: the ways outside.
        refetch_images: download and verify every listed image in every cycle, also one that is there already;
            for the demonstration, where attackers alter image files after they were delivered.
        ask: whether the Image repositories are asked in cycles that bring nothing new.
        unsafe_refuse_single_images: keep the good images of a bundle in which others are refused (AMB-8). They may have
            been meant to go together, and an attacker can choose which part of an update the vehicle gets.
        send_diffs: send the reports that have changed since the last whole manifest; the archived formats cannot.

    Raises:
        ProvisioningError: the memory is that of an ECU with partial verification, or a clock is used whose use the
            format's reports could not tell.
        SpoofingError: it is to decrypt with the key with which it signs.
    """

    def __init__(
        self,
        memory: EcuMemory,
        signer: Signer,
        world: World,
        *,
        refetch_images: bool = False,
        ask: AskImageRepositories = AskImageRepositories.WHEN_NEEDED,
        unsafe_refuse_single_images: bool = False,
        send_diffs: bool = False,
    ) -> None:
        memory.require_full_verification()
        require_separate_keys(memory, signer.key)
        self.memory = memory
        self.secondaries = Secondaries(memory, world.slots)
        self._signer = signer
        self._world = world
        self._refetch_images = refetch_images
        self._ask = ask
        self._unsafe_refuse_single_images = unsafe_refuse_single_images
        self._send_diffs = send_diffs and not memory.profile.unsafe_no_report_counter
        self._base: VehicleVersionManifest | None = None
        self._reserved: tuple[int, int] | None = None
        self._time = AttestedTime(memory, world.new_nonce)
        self._attestation: dict[str, bytes] = {}
        if isinstance(world.timeserver, UnsafeSystemClock):
            require_clock_in_reports(memory)
        self._installer = Installer(memory, world.slots, world.confirms)

    @property
    def director(self) -> DirectorLink:
        """The way to the Director."""
        return self._world.director

    def update_cycle(self) -> CycleResult:
        """The seven steps of STD-5.4.2.

        A manifest that the Director refuses, or says that it cannot take now, does not keep the vehicle from its
        updates; that is raised when the other steps are done.

        Raises:
            SecurityError: a check failed. It goes into the next report; what was trusted before is unchanged.
            UnreachableError: a server does not answer.
        """
        refusal = self._offer(self.make_manifest())
        with self._noting():
            self.load_time()
            bundle = self.verify_metadata()
            fetched = self.download_images(bundle)
            self.secondaries.publish(bundle)
            self._forget_other_images(bundle)
            installed = self.install_own(bundle)
        if refusal is not None:
            raise refusal
        return CycleResult(
            images=dict(bundle.images),
            refused=dict(bundle.refused),
            fetched=fetched,
            installed=installed,
            nothing_new=bundle.nothing_new,
        )

    def _offer(self, manifest: bytes) -> UptaneError | None:
        try:
            self._world.director.submit_manifest(self.memory.vehicle, self.memory.ecu, manifest)
        except UptaneError as error:
            if isinstance(error, UnreachableError) and "code" not in error.facts:
                raise  # nobody is there; with a code the server has said what it lacks
            if diff_of(self._decoded(manifest)) is not None:
                self._base = None
                self._world.say(f"The Director did not take the diff, and gets the whole manifest: {error}")
                return self._offer(self.make_manifest())
            self._world.say(f"The Director refused the vehicle manifest: {error}")
            return error
        self._accepted(manifest)
        return None

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except SecurityError as error:
            self._note(error)
            if (doubt := self._time.doubt(error)) is not None:
                self._note(doubt)
            raise

    def _note(self, error: SecurityError) -> None:
        self.memory.note_attack(describe(error))

    def make_manifest(self) -> bytes:
        """A signed vehicle version manifest of the latest report of every ECU, the Primary's own among them.

        With `send_diffs`, and once the Director has accepted a whole one, it leaves out the reports that have not
        changed since (STD-5.4.2.1-3).
        """
        with self.memory.lock:
            self._installer.settle()
            state = self._next_counters()
            own = report_of(self.memory, self._signer, state)
            decode = self.memory.profile.format.decode
            reports = [decode(EcuVersionReport, own.raw), *self.secondaries.reports()]
            manifest = VehicleVersionManifest(
                vehicle=self.memory.vehicle,
                primary=self.memory.ecu,
                reports=tuple(reports),
                counter=None if self.memory.profile.unsafe_no_report_counter else state.manifest_counter,
            )
            diff = None if self._base is None else as_diff(manifest, self._base)
            return sign(self.memory.profile, manifest if diff is None else diff, [self._signer])

    def _decoded(self, manifest: bytes) -> VehicleVersionManifest:
        return self.memory.profile.format.decode(VehicleVersionManifest, manifest).payload

    def _next_counters(self) -> EcuState:
        """The state with counters that are durable and were never used: those that a cycle reserved, or new ones."""
        state, reserved = self.memory.state, self._reserved
        self._reserved = None
        if reserved == (state.counter, state.manifest_counter):
            return state
        return self.memory.change(counter=state.counter + 1, manifest_counter=state.manifest_counter + 1)

    def send_manifest(self, manifest: bytes | None = None) -> None:
        """Step 1: sends a manifest to the Director; attacks that it reports are forgotten once it was accepted."""
        raw = manifest if manifest is not None else self.make_manifest()
        self._world.director.submit_manifest(self.memory.vehicle, self.memory.ecu, raw)
        self._accepted(raw)

    def _accepted(self, manifest: bytes) -> None:
        accepted = self._decoded(manifest)
        if self._send_diffs and diff_of(accepted) is None:
            self._base = accepted
        reports = accepted.reports
        told = "".join(report.payload.attacks_detected for report in reports if report.payload.ecu == self.memory.ecu)
        self.memory.forget_attacks(tuple(attack for attack in self.memory.state.attacks if attack in told))
        self.secondaries.delivered(report for report in reports if report.payload.ecu != self.memory.ecu)

    def load_time(self) -> None:
        """Step 2: a fresh time attestation over our nonce and those of the Secondaries."""
        timeserver = self._world.timeserver
        if isinstance(timeserver, UnsafeSystemClock):
            self._time.read(timeserver)
            self._attestation = {}
        else:
            nonces = [self.memory.state.nonce, *self.secondaries.nonces()]
            raw = timeserver.attest(nonces)
            self._time.take(raw, nonces, lambda: self._world.repositories)
            self._attestation = {"attestation": raw}
        if not self._time.is_leap:
            self._keep_time()

    def _keep_time(self) -> None:
        with self.memory.lock:
            # The counters of the next manifest are made durable with it: on a disk, a write costs more than the rest.
            held = self.memory.state
            state = self._time.keep(
                self._attestation, counter=held.counter + 1, manifest_counter=held.manifest_counter + 1
            )
            self._reserved = state.counter, state.manifest_counter

    def verify_metadata(self) -> VerifiedBundle:
        """Step 3: full verification of the repositories of the map for every ECU of the vehicle.

        Each image that is refused alone is noted as an attack.
        """
        memory, leaps = self.memory, self._time.is_leap
        procedure = full_verification(
            repository_map=memory.map,
            repositories=memory.known_repositories(self._time.now),
            ecus={memory.ecu: memory.facts} | self.secondaries.facts(),
            knows_whole_vehicle=True,
            # What vouches for a leap of time must be fresh.
            ask=AskImageRepositories.IN_EVERY_CYCLE if leaps else self._ask,
            unsafe_refuse_single_images=self._unsafe_refuse_single_images,
        )
        bundle = run(procedure, self._world.repositories, memory)
        if leaps:
            self._keep_time()
        self._time.was_good()
        for ecu, refusal in bundle.refused.items():
            self._world.say(f"The image for ECU {ecu} was refused, and it gets none: {refusal}")
            self._note(refusal)
        return bundle

    def download_images(self, bundle: VerifiedBundle) -> tuple[ImageFile, ...]:
        """Step 4: downloads and verifies every image that is not there yet, every byte of it (STD-5.4.2.4).

        An image that is encrypted for an ECU is verified as it is, since only that ECU can read it.
        """
        if bundle.nothing_new:
            self._world.say("No update: every image that the Director directs runs already.")
            return ()
        slots, fetched = self._world.slots, {}
        wanted = {slot_of(image): image for image in _delivered(bundle)}
        for slot, image in sorted(wanted.items()):
            if not self._refetch_images and holds(slots, slot, image.file):
                continue
            download(
                image.file,
                self._world.mirrors,
                slots,
                self.memory.profile,
                url=image.custom.url,
                third_hosts=self._world.third_hosts,
                say=self._world.say,
                note=self._note,
            )
            fetched[slot] = image.file
        return tuple(fetched.values())

    def _forget_other_images(self, bundle: VerifiedBundle) -> None:
        """Frees what no Secondary can ask for any more, once the new bundle has taken the place of the old one."""
        wanted = frozenset(map(slot_of, _delivered(bundle)))
        self._world.slots.keep_only(wanted | self._installer.names | self.secondaries.stored_names())

    def install_own(self, bundle: VerifiedBundle) -> ImageFile | None:
        """Installs the Primary's own image if it is to have another one, and conditions allow.

        Returns:
            The new image once it runs and has confirmed; None otherwise, and `say` is told why.
        """
        image, installer, say = bundle.images.get(self.memory.ecu), self._installer, self._world.say
        if image is None:
            return None
        if image.file == self.memory.state.installed:
            installer.keeps(image)
            return None
        if installer.has_given_up(image):
            say(f"{image.file.path} never confirmed that it works, and is not tried again.")
            return None
        if not self._world.may_install(image):
            say(f"{image.file.path} is verified and waits until the conditions for its installation hold.")
            return None
        if not installer.is_written(image):
            coming = delivered(image, self.memory.ecu)
            chunks = stored(self._world.slots, slot_of(coming), coming.file)
            installer.write(image, in_plain(self.memory, image, chunks))
        if not installer.activate(image):
            say(f"{image.file.path} did not confirm that it works: the image before it runs again.")
            return None
        return image.file


def _delivered(bundle: VerifiedBundle) -> list[Image]:
    """The images in the form in which each ECU gets its own."""
    return [delivered(image, ecu) for ecu, image in bundle.images.items()]
