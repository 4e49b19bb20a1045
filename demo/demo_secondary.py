"""ds: a Secondary."""

from uptane.demonstration.secondary_console import SecondaryConsole
from uptane.demonstration.start import settings_or_end

_console = SecondaryConsole(settings_or_end())

clean_slate = _console.clean_slate
update_cycle = _console.update_cycle
generate_signed_ecu_manifest = _console.generate_signed_ecu_manifest
submit_ecu_manifest_to_primary = _console.submit_ecu_manifest_to_primary
ATTACK_send_corrupt_manifest_to_primary = _console.ATTACK_send_corrupt_manifest_to_primary
ATTACK_update_from_hostile_primary = _console.ATTACK_update_from_hostile_primary
looping_update = _console.looping_update
clean_up_temp_folder = _console.clean_up_temp_folder
try_banners = _console.try_banners


def __getattr__(name: str) -> object:
    """`most_recent_signed_ecu_manifest` changes, so it is looked up when it is asked for."""
    if name == "most_recent_signed_ecu_manifest":
        return _console.most_recent_signed_ecu_manifest
    raise AttributeError(f"module {__name__} has no attribute {name}")
