"""The whole walkthrough on its own: a process for each window, free ports, a folder of its own, and a verdict."""

import importlib.util
import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from uptane.demonstration.script import ENCRYPTED_STEPS, PARTIAL_STEPS, STEPS, SUPPLIER_STEPS, Call, Step
from uptane.demonstration.settings import HOST, Ports, Settings, environment_of
from uptane.demonstration.windows import Window
from uptane.formats.profile import Profile
from uptane.formats.profiles import profile_of
from uptane.metadata.errors import UptaneError

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
        errors: errors that appeared; none is expected.
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


def run(format: str, json_output: bool, pause: bool) -> int:
    """Runs the walkthrough and prints a table, or one JSON object.

    Args:
        format: `der` or `json`.
        json_output: print nothing but the JSON object.
        pause: wait for the Enter key before each section.

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
    started = time.monotonic()
    show: Callable[[str], None] = (lambda line: None) if json_output else _show
    results = list(_sections(format, show, pause))
    seconds = time.monotonic() - started
    if json_output:
        print(json.dumps(_as_json(format, results, seconds), indent=1))
    else:
        _print_table(format, results, seconds)
    return 0 if all(result.passed for result in results) else 1


def _sections(format: str, show: Callable[[str], None], pause: bool) -> Iterator[StepResult]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uptane-demo-")))
        settings = Settings(profile=profile_of(format), folder=folder.resolve(), ports=_free_ports())
        environment = environment_of(settings)
        steps = steps_of(settings.profile)
        kinds = dict.fromkeys(["services", *(_window(call) for step in steps for call in step.calls)])
        windows = {kind: Window(kind, environment, show) for kind in kinds}
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
