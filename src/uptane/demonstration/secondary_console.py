"""`ds`: a Secondary as its window types it."""

import atexit
from collections.abc import Callable, Sequence

from msgspec import structs

from uptane.assembly.vehicle import EcuFolder, connect_secondary, new_nonce
from uptane.demonstration import banners
from uptane.demonstration.banners import Banner
from uptane.demonstration.console import command, say
from uptane.demonstration.factory import ecu_signer, key_name, make_ecu, new_folder, published_roles, remove
from uptane.demonstration.hostile_primary import HostilePrimary
from uptane.demonstration.keys import decryption_key
from uptane.demonstration.primary_console import loop
from uptane.demonstration.settings import DEFAULT_SECONDARY, DEFAULT_VEHICLE, HOST, Settings
from uptane.demonstration.stack import FolderStack, Stack
from uptane.metadata.envelope import Envelope
from uptane.metadata.errors import ReplayedMetadataError, SecurityError, UptaneError
from uptane.metadata.identifiers import EcuIdentifier, VehicleIdentifier
from uptane.metadata.version_report import EcuVersionReport
from uptane.signing.signer import KeySigner
from uptane.storage.image_slots import ImageSlotFolder
from uptane.vehicle.memory import VerificationKind
from uptane.vehicle.secondary import Outcome, Secondary, SecondaryResult, SecondaryWorld
from uptane.vehicle.version_reports import SignedReport

EVIL = b"evil content"
FACTORY_NAME = "secondary_firmware.txt"
NEWER_THAN_PRIMARY = (
    " If this Secondary was made after the Primary's last cycle, it was given newer metadata: run dp.update_cycle()."
)
COMPROMISED = (
    "A malicious update has been installed! Arbitrary package attack successful: "
    "this Secondary has been compromised! Image: "
)


class SecondaryConsole:
    """The functions of a Secondary.

    Args:
        settings: the demonstration.
        stack: what its servers stand on; folders where nothing is given.
    """

    def __init__(self, settings: Settings, stack: Stack | None = None) -> None:
        self.settings = settings
        self.stack = stack or FolderStack(settings)
        self.most_recent_signed_ecu_manifest: bytes | None = None
        self._secondary: Secondary | None = None
        self._slots: ImageSlotFolder | None = None
        self._signer: KeySigner | None = None
        self._signed: SignedReport | None = None
        self._folder: EcuFolder | None = None
        self._close: Callable[[], None] = lambda: None
        atexit.register(self._clean_up)

    @property
    def secondary(self) -> Secondary:
        """The Secondary; UptaneError before `clean_slate`."""
        if self._secondary is None:
            raise UptaneError("there is no Secondary yet", next_step="Run ds.clean_slate() first.")
        return self._secondary

    @command
    def clean_slate(
        self,
        use_new_keys: bool = False,
        vin: str = DEFAULT_VEHICLE,
        ecu_serial: str = DEFAULT_SECONDARY,
        primary_host: str | None = None,
        primary_port: int | None = None,
        hardware_id: str | None = None,
        partial_verifying: bool = False,
        pin_director_keys: bool = False,
        image_patterns: Sequence[str] = (),
        encrypted_images: bool = False,
    ) -> None:
        """Makes a Secondary that was never updated, registers it with Director and Primary, and reports.

        With `partial_verifying` it verifies the Director's Root and Targets only; with `pin_director_keys` as well, it
        keeps the present keys of that role for good, as it must in the archived formats. With
        `image_patterns`, such as `["tcu-*.img"]`, it installs no image of another name. With
        `encrypted_images` it gets a key of its own to decrypt with; `dd.add_encrypted_target_to_director` takes its
        public part.
        """
        verification = self._kind(partial_verifying, pin_director_keys)
        vehicle, ecu = VehicleIdentifier(vin), EcuIdentifier(ecu_serial)
        port = self.settings.ports.primary if primary_port is None else primary_port
        published_roles(self.settings, vehicle, self.stack)  # before a key is made for services that are not there
        signer = ecu_signer(self.settings, key_name("secondary", ecu, DEFAULT_SECONDARY), use_new_keys=use_new_keys)
        folder = new_folder(self.settings, "secondary")
        made = make_ecu(
            self.settings,
            folder,
            vehicle=vehicle,
            ecu=ecu,
            image_name=FACTORY_NAME,
            hardware_id=hardware_id,
            verification=verification,
            image_patterns=image_patterns,
            decryption_key=decryption_key(self.settings, ecu) if encrypted_images else None,
            stack=self.stack,
        )
        try:
            url = f"http://{primary_host or HOST}:{port}"
            secondary = connect_secondary(made.memory, signer, made.slots, primary_url=url, say=say)
            self._register(secondary, signer)
        except BaseException:  # what was refused leaves the Secondary alone that was there before
            made.close()
            remove(folder)
            raise
        self._clean_up()
        self._folder, self._close, self._slots, self._secondary = folder, made.close, made.slots, secondary
        self._signer = signer

    def _kind(self, partial: bool, pin: bool) -> VerificationKind:
        if not partial:
            if pin:
                raise UptaneError(
                    "with full verification no keys are pinned",
                    next_step="Add partial_verifying=True, or leave it out.",
                )
            return VerificationKind.FULL
        if not pin and not self.settings.profile.unsafe_partial_without_root:
            say("It verifies the Director's Root and Targets only, and leaves the Image repository to its Primary.")
            return VerificationKind.PARTIAL
        say("It verifies the Director's Targets only, under keys that it will never change.")
        return VerificationKind.PARTIAL_PINNED

    def _register(self, secondary: Secondary, signer: KeySigner) -> None:
        vehicle, ecu = secondary.memory.vehicle, secondary.memory.ecu
        key = self.settings.profile.format.encode_key(signer.key)
        self.stack.register(vehicle, ecu, key, is_primary=False)
        secondary.primary.register_secondary(ecu, key)
        secondary.send_report()
        say("It is registered with its Primary, which accepted its first version report.")

    @command
    def update_cycle(self) -> None:
        """Time, metadata, image, verification, installation and report, all through the Primary."""
        self._cycle()

    @command
    def ATTACK_update_from_hostile_primary(self) -> None:
        """An update cycle with a Primary in a thief's hands, who passes on whatever the servers have published."""
        real = self.secondary
        if self._slots is None or self._signer is None:
            raise UptaneError("the Secondary is gone", next_step="Run ds.clean_slate() again.")
        say("A thief is in the Primary: it verifies nothing, and passes on whatever the servers have published.")
        hostile = HostilePrimary(self.settings.profile, self.stack, real.memory.vehicle, real.primary)
        world = SecondaryWorld(primary=hostile, slots=self._slots, new_nonce=new_nonce, say=say)
        self._run(Secondary(real.memory, self._signer, world))

    def _cycle(self) -> SecondaryResult | None:
        return self._run(self.secondary)

    def _run(self, secondary: Secondary) -> SecondaryResult | None:
        self._signed = None  # a cycle sends a newer report, after which the Primary refuses an older one
        try:
            result = secondary.update_cycle()
        except SecurityError as error:
            say(f"{type(error).__name__}: {error}")
            say(banners.cause(error))
            hint = NEWER_THAN_PRIMARY if isinstance(error, ReplayedMetadataError) else ""
            banners.show(Banner.DEFENDED, f"{error}{hint}")
            return None
        if result.outcome is not Outcome.UPDATED:
            needed = result.outcome is Outcome.NO_UPDATE_NEEDED
            banners.show(Banner.NO_UPDATE_NEEDED if needed else Banner.NO_UPDATE, result.reason)
            return result
        content = self.installed_content()
        path = result.image.file.path if result.image else ""
        if content == EVIL:
            banners.show(Banner.COMPROMISED, f"{COMPROMISED}{path!r}")
        else:
            banners.show(Banner.UPDATED, result.reason)
            if path.endswith(".txt"):
                say(f"The contents of the new firmware: {content.decode(errors='replace')}")
        return result

    def installed_content(self) -> bytes:
        """The bytes of the image that runs."""
        if self._slots is None:
            return b""
        chunks = self._slots.chunks(self.secondary.memory.state.installation.active)
        return b"" if chunks is None else b"".join(chunks)

    @command
    def generate_signed_ecu_manifest(self) -> bytes:
        """Makes a version report and keeps it in `most_recent_signed_ecu_manifest`."""
        return self._generate().raw

    def _generate(self) -> SignedReport:
        self._signed = self.secondary.make_report()
        self.most_recent_signed_ecu_manifest = self._signed.raw
        return self._signed

    @command
    def submit_ecu_manifest_to_primary(self, signed_ecu_manifest: bytes | None = None) -> None:
        """Sends a version report, by default the most recent one that was made."""
        if signed_ecu_manifest is None:
            self._submit(self._signed or self._generate())
            self._signed = None
        else:
            report = self._decode(signed_ecu_manifest)
            self._submit(SignedReport(raw=signed_ecu_manifest, nonce=self._nonce(report), attacks=()))

    def _submit(self, report: SignedReport) -> None:
        self.secondary.send_report(report)
        self._signed = None
        say("The Primary accepted the ECU version report.")

    def _nonce(self, report: Envelope[EcuVersionReport]) -> int:
        """The nonce that goes with a report: its own, or the present one where reports carry none."""
        own = report.payload.nonce
        return self.secondary.memory.state.nonce if own is None else own

    def _decode(self, raw: bytes) -> Envelope[EcuVersionReport]:
        return self.settings.profile.format.decode(EcuVersionReport, raw)

    @command
    def ATTACK_send_corrupt_manifest_to_primary(self) -> None:
        """Sends a report whose attack indicator was changed after it was signed.

        The Primary must refuse it; in the archived formats it cannot, and the Director sets the report aside.
        """
        genuine = self._decode(self.secondary.make_report().raw)
        lie = structs.replace(genuine.payload, attacks_detected="Everything is great, I PROMISE!")
        codec = self.settings.profile.format
        corrupt = codec.assemble(codec.encode(lie), genuine.signatures)
        try:
            self.secondary.send_report(SignedReport(raw=corrupt, nonce=self._nonce(genuine), attacks=()))
        except SecurityError as error:
            banners.show(Banner.DEFENDED, f"The Primary refused the corrupt version report. {error}")
        else:
            say("The Primary took the corrupt version report, which it cannot verify; the Director will set it aside.")

    @command
    def looping_update(self, cycles: int | None = None, seconds: float = 1.0) -> None:
        """Runs update cycles until Ctrl-C, or as many as given; errors are printed and the loop goes on."""
        loop(self._cycle, cycles, seconds)

    @command
    def clean_up_temp_folder(self) -> None:
        """Removes the Secondary's folder."""
        self._clean_up()

    @command
    def try_banners(self) -> None:
        """Shows every banner."""
        banners.try_banners()

    def _clean_up(self) -> None:
        self._close()
        if self._folder is not None:
            remove(self._folder)
        self._secondary, self._folder, self._slots, self._close = None, None, None, lambda: None
