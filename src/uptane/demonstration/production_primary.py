"""`dp` over production servers: a Primary as `uptane vehicle run` runs it, over mutual TLS."""

from collections.abc import Sequence
from contextlib import ExitStack

from uptane.assembly.device import Device, open_device
from uptane.assembly.device_package import load_device
from uptane.demonstration.console import command, say
from uptane.demonstration.primary_console import PrimaryConsole
from uptane.demonstration.settings import DEFAULT_PRIMARY, DEFAULT_VEHICLE, Settings
from uptane.metadata.errors import UptaneError
from uptane.vehicle.primary import CycleResult
from uptane.verification.full_verification import AskImageRepositories


class ProductionPrimaryConsole(PrimaryConsole):
    """The functions of a Primary.

    Args:
        settings: the demonstration.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._device: Device | None = None

    @command
    def clean_slate(
        self,
        use_new_keys: bool = False,
        vin: str = DEFAULT_VEHICLE,
        ecu_serial: str = DEFAULT_PRIMARY,
        hardware_id: str | None = None,
        image_patterns: Sequence[str] = (),
    ) -> None:
        """Makes the Primary that the operator has prepared: it gets its certificate for its token, and registers."""
        if use_new_keys or hardware_id or image_patterns or ecu_serial != DEFAULT_PRIMARY:
            raise UptaneError("only the Primary can be made that was prepared", next_step="Give no arguments.")
        device = load_device(self.settings.vehicles / vin)
        self._clean_up()
        with ExitStack() as opening:
            self._device = opening.enter_context(
                open_device(
                    device,
                    say,
                    warn=say,
                    refetch_images=True,
                    ask=AskImageRepositories.IN_EVERY_CYCLE,  # attackers alter its metadata between releases
                )
            )
            self._primary, self._port = self._device.primary, self._device.port
            self._close = opening.pop_all().close
        say(f"The Primary has its certificate from {device.server}, and its Secondaries come in on port {self._port}")
        self._send(self._make_manifest())

    def _update(self) -> CycleResult:
        return self.primary.update_cycle() if self._device is None else self._device.cycle()
