"""`ds`: a Secondary's window."""

import io
import random
import zipfile
from typing import Any
from xmlrpc.client import Binary

from archived import der
from archived.ecu import DIRECTOR, IMAGE_REPOSITORY, Ecu, show_banner
from archived.errors import (
    ArchivedError,
    BadHashError,
    BadSignatureError,
    BadTimeAttestation,
    DownloadLengthMismatchError,
    FailedToDecode,
    UnknownTargetError,
)
from archived.repository import describe
from archived.servers import call
from archived.settings import Settings
from archived.trusted_metadata import ArchiveMirror, check_content, target_both_agree_on

FACTORY_IMAGE = b"Contents of infotainment_firmware.txt"
EVIL = b"evil content"


class SecondaryWindow:
    """What is typed as `ds`.

    Args:
        settings: the demonstration.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._wire = settings.wire

    def clean_slate(
        self,
        use_new_keys: bool = False,
        vin: str = "democar",
        ecu_serial: str = "TCUdemocar",
        primary_host: str | None = None,
        primary_port: int = 30701,
    ) -> None:
        """A fresh Secondary: it registers with the Director and its Primary, and reports its factory image."""
        self._primary = (primary_host or self._settings.calls_host, primary_port)
        self._files: dict[str, bytes] = {}
        mirrors = {name: ArchiveMirror(self._files, name) for name in (DIRECTOR, IMAGE_REPOSITORY)}
        self._ecu = Ecu(self._settings, vin, ecu_serial, "secondary", dict(mirrors))
        factory = describe(FACTORY_IMAGE, "sha256", "sha512")
        self._installed: dict[str, Any] = {"filepath": "/secondary_firmware.txt", "fileinfo": factory}
        self._nonce, self._nonce_sent = self._new_nonce(), -1
        now = der.date(int(self._ecu.trusted[DIRECTOR].now()))
        self._times = [now, now]
        self._attacks = ""
        self._ecu.register_with_director(is_primary=False)
        self._call("register_new_secondary", self._ecu.ecu_serial)
        self.submit_ecu_manifest_to_primary()

    def update_cycle(self) -> None:
        """Gets time and metadata from the Primary, verifies both, installs what is new, and reports."""
        ecu_serial = self._ecu.ecu_serial
        attestation = self._wire.from_call(self._call("get_time_attestation_for_ecu", ecu_serial), der.TIME)
        archive = self._call("get_metadata", ecu_serial)
        self._update_time(attestation)
        self._unpack(archive)
        self._ecu.refresh()
        self._install()
        self.submit_ecu_manifest_to_primary()

    def submit_ecu_manifest_to_primary(self) -> None:
        """Signs what is installed, which times were seen and what looked like an attack, and sends it."""
        attacks, self._attacks = self._attacks, ""
        if self._wire.extension == "der":
            # The archived encoder wrote line ends, which VisibleString does not have.
            attacks = attacks.replace("\n", " ").strip()
        signed = {
            "ecu_serial": self._ecu.ecu_serial,
            "installed_image": self._installed,
            "timeserver_time": self._times[-1],
            "previous_timeserver_time": self._times[-2],
            "attacks_detected": attacks,
        }
        manifest = self._wire.to_call(self._wire.sign(signed, self._ecu.key))
        self._call("submit_ecu_manifest", self._ecu.vin, self._ecu.ecu_serial, self._nonce, manifest)
        self._nonce_sent = self._nonce

    def _call(self, method: str, *args: object) -> Any:
        return call(*self._primary, method, *args)

    def _new_nonce(self) -> int:
        return random.randint(0, 2**31 - 1)

    def _update_time(self, attestation: der.Signable) -> None:
        """A time that is not acceptable stops nothing; the same nonce is sent again then."""
        nonces = [] if self._nonce_sent < 0 else [self._nonce_sent]
        try:
            self._ecu.check_time(attestation, nonces)
        except BadSignatureError:
            self._attacks += "Timeserver attestation had bad signature.\n"
            print("The time attestation has a bad signature.", flush=True)
        except BadTimeAttestation as error:
            print(f"The time attestation is not for this ECU: {error}", flush=True)
        else:
            self._times.append(attestation["signed"]["time"])
            self._nonce = self._new_nonce()

    def _unpack(self, archive: Any) -> None:
        if not isinstance(archive, Binary):
            raise FailedToDecode("the Primary's metadata is no base64")
        with zipfile.ZipFile(io.BytesIO(archive.data)) as packed:
            self._files.update({name: packed.read(name) for name in packed.namelist()})

    def _validated_targets(self) -> list[tuple[str, dict[str, Any]]]:
        director, image_repository = (self._ecu.trusted[name] for name in (DIRECTOR, IMAGE_REPOSITORY))
        validated = []
        for path, listed in director.targets.items():
            if listed.get("custom", {}).get("ecu_serial") != self._ecu.ecu_serial:
                continue
            try:
                validated.append((path, target_both_agree_on(path, director, image_repository)))
            except UnknownTargetError as error:
                print(f"Dropped: {error}", flush=True)
        return validated

    def _install(self) -> None:
        validated = self._validated_targets()
        if not validated:
            show_banner("NO UPDATE", "No validated targets were found.")
            return
        path, info = validated[-1]
        if not self._call("update_exists_for_ecu", self._ecu.ecu_serial):
            show_banner("NO UPDATE", "Primary reports that there is no update for this ECU.")
            return
        content = self._image(path)
        if content is None:
            return
        try:
            check_content(content, info)
        except (DownloadLengthMismatchError, BadHashError) as error:
            what = "length" if isinstance(error, DownloadLengthMismatchError) else "hash"
            self._attacks += f"Image from Primary failed to validate: {what} mismatch.\n"
            show_banner("DEFENDED", f"Image from Primary failed to validate: {what} mismatch. Image: {path!r}")
            return
        if info == self._installed["fileinfo"]:
            show_banner("NO UPDATE NEEDED", f"We already have installed {path!r}.")
            return
        self._installed = {"filepath": path, "fileinfo": info}
        if content == EVIL:
            show_banner("COMPROMISED", f"A malicious update has been installed! Image: {path!r}")
        else:
            show_banner("UPDATED", f"Installed firmware that was fully validated. Image: {path!r}")

    def _image(self, path: str) -> bytes | None:
        """The image, or None when the Primary sends something else."""
        name, content = self._call("get_image", self._ecu.ecu_serial)
        if content is None:
            self._attacks += "Requested image from Primary but received none.\n"
            print("The Primary sends no image.", flush=True)
            return None
        if name != path.removeprefix("/"):
            self._attacks += "Received unexpected image from Primary with unexpected filename.\n"
            print(f"The Primary sends {name!r} instead of {path!r}.", flush=True)
            return None
        if not isinstance(content, Binary):
            raise ArchivedError("the image from the Primary is no base64")
        return content.data
