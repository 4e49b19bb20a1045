"""dp: a vehicle's Primary."""

from uptane.demonstration.primary_console import PrimaryConsole
from uptane.demonstration.start import settings_or_end

_console = PrimaryConsole(settings_or_end())

clean_slate = _console.clean_slate
update_cycle = _console.update_cycle
generate_signed_vehicle_manifest = _console.generate_signed_vehicle_manifest
submit_vehicle_manifest_to_director = _console.submit_vehicle_manifest_to_director
looping_update = _console.looping_update
clean_up_temp_folder = _console.clean_up_temp_folder
try_banners = _console.try_banners


def __getattr__(name: str) -> object:
    """`most_recent_signed_vehicle_manifest` changes, so it is looked up when it is asked for."""
    if name == "most_recent_signed_vehicle_manifest":
        return _console.most_recent_signed_vehicle_manifest
    raise AttributeError(f"module {__name__} has no attribute {name}")
