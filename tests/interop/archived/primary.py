"""`dp`: a Primary's window, and what its XML-RPC does for Secondaries."""

import io
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xmlrpc.client import Binary

from archived.der import ECU, TIME, Signable
from archived.ecu import DIRECTOR, IMAGE_REPOSITORY, Ecu, show_banner
from archived.errors import (
    ArchivedError,
    BadSignatureError,
    NoWorkingMirrorError,
    ReplayedMetadataError,
    Spoofing,
    UnknownECU,
    UnknownTargetError,
    UnknownVehicle,
)
from archived.servers import call, listen
from archived.settings import Settings
from archived.trusted_metadata import HttpMirror, check_content, failing_as, target_both_agree_on

PORT_TRIES = 11


class PrimaryWindow:
    """What is typed as `dp`.

    Args:
        settings: the demonstration.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._wire = settings.wire
        self.port = 0
        self._secondaries: list[str] = []
        self._assigned: dict[str, str] = {}
        self._manifests: dict[str, list[Signable]] = {}
        self._nonces: list[int] = []
        self._attestation: Signable | None = None
        self._archive: bytes | None = None
        self._temporary = tempfile.TemporaryDirectory(prefix="temp_primary", dir=settings.folder)
        self._images = Path(self._temporary.name) / "targets"

    def clean_slate(self, use_new_keys: bool = False, vin: str = "democar", ecu_serial: str = "INFOdemocar") -> None:
        """A fresh Primary: it takes calls, registers, and submits an empty vehicle manifest."""
        host = self._settings.mirror_host
        mirrors = {
            DIRECTOR: HttpMirror(f"http://{host}:{self._settings.director}/{vin}"),
            IMAGE_REPOSITORY: HttpMirror(f"http://{host}:{self._settings.image_repository}"),
        }
        self._ecu = Ecu(self._settings, vin, ecu_serial, "primary", dict(mirrors))
        self._images.mkdir(exist_ok=True)
        if not self.port:
            self._listen()
        self._ecu.register_with_director(is_primary=True)
        self.submit_vehicle_manifest_to_director()

    def update_cycle(self) -> None:
        """Asks the time, updates from the repositories, reports to the Director."""
        self._update_time()
        try:
            self._update()
        except NoWorkingMirrorError as error:
            self._explain(error)
        self.submit_vehicle_manifest_to_director()

    def submit_vehicle_manifest_to_director(self) -> None:
        """Bundles what Secondaries reported, signs it, and forgets it."""
        signed = {
            "vin": self._ecu.vin,
            "primary_ecu_serial": self._ecu.ecu_serial,
            "ecu_version_manifests": self._manifests,
        }
        manifest = self._wire.sign(signed, self._ecu.key)
        self._manifests = {}
        self._ecu.call_director(
            "submit_vehicle_manifest", self._ecu.vin, self._ecu.ecu_serial, self._wire.to_call(manifest)
        )

    def clean_up(self) -> None:
        """Removes the Primary's folder."""
        self._temporary.cleanup()

    def _update_time(self) -> None:
        nonces, self._nonces = self._nonces, []
        method = "get_signed_time_der" if self._wire.extension == "der" else "get_signed_time"
        answer = call(self._settings.calls_host, self._settings.timeserver, method, nonces)
        attestation = self._wire.from_call(answer, TIME)
        self._ecu.check_time(attestation, nonces)
        self._attestation = attestation

    def _update(self) -> None:
        self._ecu.refresh()
        director, image_repository = (self._ecu.trusted[name] for name in (DIRECTOR, IMAGE_REPOSITORY))
        for path in director.targets:
            try:
                info = target_both_agree_on(path, director, image_repository)
            except UnknownTargetError:
                show_banner(
                    "DEFENDED",
                    "The Director has instructed us to download a file that does not exactly match the Image "
                    f"Repository metadata. File: {path!r}",
                )
                continue
            if "ecu_serial" not in info.get("custom", {}):
                raise ArchivedError(f"the Director does not say for which ECU {path} is")
            ecu_serial = info["custom"]["ecu_serial"]
            if ecu_serial not in self._secondaries:
                print(f"{path} is for the unknown ECU {ecu_serial!r}", flush=True)
                continue
            self._assigned[ecu_serial] = path
            self._download(path, info)
        self._pack()

    def _download(self, path: str, info: dict[str, Any]) -> None:
        destination = self._image(path)
        failures: dict[str, Exception] = {}
        for metadata in self._ecu.trusted.values():
            mirrored = f"targets{path}"
            try:
                with failing_as(metadata.mirror.url(mirrored)):
                    data = metadata.mirror.read(mirrored, info["length"])
                    check_content(data, info)
            except NoWorkingMirrorError as error:
                failures |= error.mirror_errors
                continue
            destination.parent.mkdir(parents=True, exist_ok=True)
            destination.write_bytes(data)
            return
        show_banner(
            "DEFENDED",
            "No image was found that exactly matches the signed metadata from the Director and Image Repositories. "
            f"Not keeping untrustworthy files. {NoWorkingMirrorError(failures)}",
        )

    def _pack(self) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, metadata in self._ecu.trusted.items():
                for role, data in metadata.files.items():
                    archive.writestr(f"{name}/metadata/{self._wire.filename(role)}", data)
        self._archive = packed.getvalue()

    def _explain(self, error: NoWorkingMirrorError) -> None:
        for url, reason in error.mirror_errors.items():
            if not url.endswith(f"{self._ecu.vin}/metadata/{self._wire.filename('timestamp')}"):
                # The archived window went on in silence; whoever drives this one wants to know.
                print(f"[uptane] ERROR: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            elif isinstance(reason, ReplayedMetadataError):
                show_banner("REPLAY", "The Director has instructed us to download a Timestamp that is older.")
            elif isinstance(reason, BadSignatureError):
                show_banner("DEFENDED", "The Timestamp of the Director is signed with keys that are untrusted.")
            else:
                raise error

    def _image(self, path: str) -> Path:
        image = Path(os.path.abspath(f"{self._images}/{path}"))
        if not image.is_relative_to(self._images):
            raise ArchivedError(f"{path} leaves the folder of images")
        return image

    # XML-RPC for Secondaries

    def _listen(self) -> None:
        first = self._settings.primary
        methods: Mapping[str, Callable[..., Any]] = {
            "submit_ecu_manifest": self._submit_ecu_manifest,
            "register_new_secondary": self._register_new_secondary,
            "get_time_attestation_for_ecu": self._get_time_attestation_for_ecu,
            "get_image": self._get_image,
            "get_metadata": self._get_metadata,
            "update_exists_for_ecu": self._update_exists_for_ecu,
        }
        server = listen(range(first, first + PORT_TRIES) if first else [0], methods)
        self.port = server.server_address[1]
        print(f"Primary will now listen on port {self.port}", flush=True)

    def _register_new_secondary(self, ecu_serial: str) -> None:
        if ecu_serial not in self._secondaries:
            self._secondaries.append(ecu_serial)

    def _check_registered(self, ecu_serial: str) -> None:
        if ecu_serial not in self._secondaries:
            raise UnknownECU(f"ECU {ecu_serial!r} is not registered with this Primary")

    def _submit_ecu_manifest(self, vin: str, ecu_serial: str, nonce: int, signed_ecu_manifest: Any) -> None:
        self._check_registered(ecu_serial)
        if vin != self._ecu.vin:
            raise UnknownVehicle(f"VIN {vin!r} is not this vehicle's")
        manifest = self._wire.from_call(signed_ecu_manifest, ECU)
        if manifest["signed"]["ecu_serial"] != ecu_serial:
            raise Spoofing(f"{ecu_serial!r} submits what {manifest['signed']['ecu_serial']!r} signed")
        self._manifests.setdefault(ecu_serial, []).append(manifest)
        if nonce not in self._nonces:
            self._nonces.append(nonce)

    def _get_time_attestation_for_ecu(self, ecu_serial: str) -> Any:
        if self._attestation is None:
            raise ArchivedError("the Primary has no attested time yet")
        return self._wire.to_call(self._attestation)

    def _get_metadata(self, ecu_serial: str, force_partial_verification: bool = False) -> Binary:
        if self._archive is None:
            raise FileNotFoundError("the Primary has no verified metadata yet")
        if force_partial_verification:
            return Binary(self._ecu.trusted[DIRECTOR].files["targets"])
        return Binary(self._archive)

    def _update_exists_for_ecu(self, ecu_serial: str) -> bool:
        self._check_registered(ecu_serial)
        return ecu_serial in self._assigned

    def _get_image(self, ecu_serial: str) -> list[Any]:
        self._check_registered(ecu_serial)
        if ecu_serial not in self._assigned:
            return [None, None]
        path = self._assigned[ecu_serial]
        return [path.lstrip("/"), Binary(self._image(path).read_bytes())]
