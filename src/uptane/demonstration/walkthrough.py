"""The whole walkthrough on its own: a process for each window, free ports, a folder of its own, and a verdict."""

import importlib.util
import json
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from uptane.demonstration.script import ENCRYPTED_STEPS, PARTIAL_STEPS, STEPS, SUPPLIER_STEPS, Call, Step
from uptane.demonstration.settings import HOST, PRODUCTION, STACKS, Ports, Settings, environment_of
from uptane.demonstration.windows import Window
from uptane.formats.profile import Profile
from uptane.formats.profiles import profile_of
from uptane.metadata.errors import UptaneError

if TYPE_CHECKING:
    from uptane.demonstration.production_run import Stores

WINDOWS = {
    "di": "services",
    "dd": "services",
    "dt": "services",
    "dp": "primary",
    "ds": "secondary",
    "ds2": "secondary 2",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """How a section went.

    Args:
        section, title: of the section.
        expected, seen: banners, in order.
        errors: errors that appeared, and attacks that another check refused than the one named; none is expected.
        seconds: how long it took.
    """

    section: str
    title: str
    expected: tuple[str, ...]
    seen: tuple[str, ...]
    errors: tuple[str, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether it went as the walkthrough says."""
        return self.expected == self.seen and not self.errors


def run(format: str, json_output: bool, pause: bool, stack: str = STACKS[0]) -> int:
    """Runs the walkthrough and prints a table, or one JSON object.

    Args:
        format: `der` or `json`, or on folders one of the archived formats.
        json_output: print nothing but the JSON object.
        pause: wait for the Enter key before each section.
        stack: one of STACKS.

    Returns:
        0 when every banner was the expected one, 1 otherwise.

    Raises:
        UptaneError: the server libraries are missing, or a window could not start.
    """
    if importlib.util.find_spec("sqlalchemy") is None:
        raise UptaneError(
            "the demonstration runs servers, whose libraries are not installed",
            next_step="Install the package with its extra: pip install 'uptane[server]'.",
        )
    if stack == PRODUCTION:
        from uptane.demonstration.production_run import require_production, running_stores

        require_production(format)
    started = time.monotonic()
    show: Callable[[str], None] = (lambda line: None) if json_output else _show
    with ending_on_sigterm(), demonstration_folder() as folder, ExitStack() as opened:
        stores = opened.enter_context(running_stores(folder)) if stack == PRODUCTION else None
        results = list(sections(format, folder, show, pause, stores))
    seconds = time.monotonic() - started
    if json_output:
        print(json.dumps(_as_json(format, results, seconds), indent=1))
    else:
        _print_table(format, results, seconds)
    return 0 if all(result.passed for result in results) else 1


@contextmanager
def demonstration_folder() -> Iterator[Path]:
    """A folder that is gone with the context."""
    with tempfile.TemporaryDirectory(prefix="uptane-demo-") as name:
        yield Path(name).resolve()


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """SIGTERM ends the program as Ctrl-C does, so that everything is cleaned up."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def sections(
    format: str, folder: Path, show: Callable[[str], None], pause: bool = False, stores: "Stores | None" = None
) -> Iterator[StepResult]:
    """Runs the walkthrough, section by section.

    Args:
        format: of all metadata.
        folder: empty, or with stores in it; everything is made there.
        show: is given every line that a window prints.
        pause: wait for the Enter key before each section.
        stores: of production servers; without them, the servers publish into folders.
    """
    with ExitStack() as stack:
        settings = Settings(
            profile=profile_of(format), folder=folder, ports=_free_ports(), production=stores is not None
        )
        if stores is not None:
            stores.write_settings(settings)
        steps = steps_of(settings.profile)
        kinds = dict.fromkeys(["services", *(_window(call) for step in steps for call in step.calls)])
        windows = {kind: Window(kind, _environment(kind, settings, stores), show) for kind in kinds}
        for window in windows.values():
            stack.callback(window.close)
        for window in windows.values():
            window.ready()
        for name in ("di.clean_slate", "dd.clean_slate", "dt.listen"):
            errors = windows["services"].call(name, (), {}).errors
            if errors:
                raise UptaneError(f"{name}() failed in the services window: {errors[0]}")
        for step in steps:
            show("")
            show(f"=== {step.section}  {step.title}")
            show(f"    {step.why}")
            if pause:
                _wait_for_enter()
            yield _run_step(step, windows, show)


def _environment(kind: str, settings: Settings, stores: "Stores | None") -> dict[str, str]:
    """Of a window: the Primary's has no way to the stores."""
    return environment_of(settings) | dict({} if stores is None or kind == "primary" else stores.environment)


def steps_of(profile: Profile) -> tuple[Step, ...]:
    """What can be shown in that profile: where no Root reaches partial Secondaries, or no supplier can sign, less."""
    partial = () if profile.unsafe_partial_without_root else PARTIAL_STEPS
    supplier = () if profile.no_delegations else SUPPLIER_STEPS
    encrypted = () if profile.no_delegations else ENCRYPTED_STEPS  # the archived formats carry neither
    return (*STEPS, *partial, *encrypted, *supplier)


def _window(call: Call) -> str:
    return WINDOWS[call.name.partition(".")[0]]


def _wait_for_enter() -> None:
    try:
        input("    Press Enter to go on. ")
    except EOFError:
        print("(there is no keyboard to wait for)")


def _run_step(step: Step, windows: Mapping[str, Window], show: Callable[[str], None]) -> StepResult:
    started = time.monotonic()
    seen: list[str] = []
    errors: list[str] = []
    for call in step.calls:
        call = _with_port(call, windows)
        show(f">>> {_typed(call)}")
        answer = windows[_window(call)].call(call.name, call.args, call.kwargs)
        seen += answer.banners
        errors += answer.errors
        if answer.causes != (wanted := (call.because,) if call.because else ()):
            found = " and ".join(answer.causes) or "nothing"
            errors.append(f"{call.name} was refused by {found}, not by {' '.join(wanted) or 'nothing'}")
    expected = tuple(str(call.shows) for call in step.calls if call.shows is not None)
    result = StepResult(
        section=step.section,
        title=step.title,
        expected=expected,
        seen=tuple(seen),
        errors=tuple(errors),
        seconds=time.monotonic() - started,
    )
    show(f"--- {step.section}: expected {', '.join(expected)}; saw {', '.join(seen) or 'no banner'}")
    return result


def _with_port(call: Call, windows: Mapping[str, Window]) -> Call:
    if call.kwargs.get("primary_port") != "$PRIMARY_PORT":
        return call
    port = windows["primary"].call("dp.port", (), {}).value
    return replace(call, kwargs={**call.kwargs, "primary_port": port})


def _typed(call: Call) -> str:
    words = [repr(value) for value in call.args] + [f"{name}={value!r}" for name, value in call.kwargs.items()]
    return f"{call.name}({', '.join(words)})"


def _free_ports() -> Ports:
    """Ports that are free now; the Primary takes any."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(4)]
        for probe in sockets:
            probe.bind((HOST, 0))
        numbers = [probe.getsockname()[1] for probe in sockets]
    names = ("image_repository", "director", "director_calls", "timeserver")
    return Ports(**dict(zip(names, numbers, strict=True)), primary=0)


def _show(line: str) -> None:
    print(line, flush=True)


def _as_json(format: str, results: list[StepResult], seconds: float) -> dict[str, object]:
    return {
        "format": format,
        "passed": all(result.passed for result in results),
        "seconds": round(seconds, 2),
        "sections": [
            {
                "section": result.section,
                "title": result.title,
                "expected": list(result.expected),
                "seen": list(result.seen),
                "errors": list(result.errors),
                "passed": result.passed,
                "seconds": round(result.seconds, 2),
            }
            for result in results
        ],
    }


def _print_table(format: str, results: list[StepResult], seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"The walkthrough in {format}")
    for heading in ("section", "what happens", "expected", "seen", "", "s"):
        table.add_column(heading, justify="right" if heading == "s" else "left")
    for result in results:
        table.add_row(
            result.section,
            result.title,
            ", ".join(result.expected),
            ", ".join(result.seen) or "-",
            "ok" if result.passed else "WRONG",
            f"{result.seconds:.2f}",
        )
    console = Console(file=sys.stdout)
    console.print(table)
    for result in results:
        for error in result.errors:
            print(f"{result.section}: {error}")
    main, others = results[: len(STEPS)], results[len(STEPS) :]
    good, more = (sum(result.passed for result in some) for some in (main, others))
    beyond = f" and {more} of {len(others)} beyond it" if others else ""
    print(f"{good} of {len(main)} sections of the walkthrough{beyond} went as expected, in {seconds:.1f} s.")
