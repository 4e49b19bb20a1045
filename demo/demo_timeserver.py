"""dt: the Timeserver."""

from demo.services_window import desk
from uptane.demonstration.timeserver_console import TimeserverConsole

_console = TimeserverConsole(desk)

load_timeserver_key = _console.load_timeserver_key
get_signed_time = _console.get_signed_time
get_signed_time_der_wrapper = _console.get_signed_time_der_wrapper
listen = _console.listen
test_demo_timeserver = _console.test_demo_timeserver
