"""What a Primary's and a Secondary's window have in common: banners, keys, registration, roots from the disk."""

import time
from xmlrpc.client import Fault

from archived import der
from archived.errors import BadTimeAttestation
from archived.key_files import load_or_generate_key, load_public_key
from archived.servers import call
from archived.settings import Settings
from archived.trusted_metadata import Mirror, TrustedMetadata

DIRECTOR, IMAGE_REPOSITORY = "director", "imagerepo"


def show_banner(banner: str, text: str) -> None:
    """Shows a banner, and why."""
    print(f"{text}\n[uptane] BANNER: {banner}", flush=True)


class Ecu:
    """An ECU that was never updated.

    Args:
        settings: the demonstration.
        vin: its vehicle.
        ecu_serial: its serial.
        key_name: its key file; every demonstration Secondary has the same.
        mirrors: where each repository's files come from.
    """

    def __init__(
        self, settings: Settings, vin: str, ecu_serial: str, key_name: str, mirrors: dict[str, Mirror]
    ) -> None:
        self.settings, self.wire = settings, settings.wire
        self.vin, self.ecu_serial = vin, ecu_serial
        self.key = load_or_generate_key(settings.keys, key_name)
        self._timeserver_key = load_public_key(settings.keys, "timeserver")
        self._clock: str | None = None
        folders = {
            DIRECTOR: settings.folder / DIRECTOR / vin,
            IMAGE_REPOSITORY: settings.folder / IMAGE_REPOSITORY,
        }
        roots = {
            name: (folder / "metadata" / self.wire.filename("root")).read_bytes() for name, folder in folders.items()
        }
        self.trusted = {
            name: TrustedMetadata(self.wire, mirrors[name], roots[name], self._now)
            for name in (DIRECTOR, IMAGE_REPOSITORY)
        }

    def refresh(self) -> None:
        """Updates the Director's metadata, then the Image repository's.

        Raises:
            NoWorkingMirrorError: some file is not acceptable.
        """
        for metadata in self.trusted.values():
            metadata.refresh()

    def check_time(self, attestation: der.Signable, nonces: list[int]) -> None:
        """Takes over an attested time if it is signed and answers these nonces; older times are taken too.

        Raises:
            BadSignatureError: it is not the Timeserver's.
            BadTimeAttestation: it has not one signature, or misses a nonce.
        """
        if len(attestation["signatures"]) != 1:
            raise BadTimeAttestation(f"{len(attestation['signatures'])} signatures instead of one")
        self.wire.check_signature(attestation, self._timeserver_key)
        missing = set(nonces) - set(attestation["signed"]["nonces"])
        if missing:
            raise BadTimeAttestation(f"nonces {sorted(missing)} are not answered")
        self._clock = attestation["signed"]["time"]

    def register_with_director(self, *, is_primary: bool) -> None:
        """Tells the Director its key; a refusal is taken to mean that it did so before."""
        try:
            self.call_director("register_ecu_serial", self.ecu_serial, self.key.in_call(), self.vin, is_primary)
        except Fault as fault:
            print(f"Registered already? {fault.faultString}", flush=True)

    def call_director(self, method: str, *args: object) -> object:
        """One XML-RPC call to the Director."""
        return call(self.settings.calls_host, self.settings.director_calls, method, *args)

    def _now(self) -> float:
        return time.time() if self._clock is None else der.epoch(self._clock)
