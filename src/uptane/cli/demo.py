"""`uptane demo`: the whole walkthrough on its own."""

from typing import Annotated, Literal

from cyclopts import Parameter


def demo(
    *,
    format: Literal["der", "json", "pouf1", "pouf1-json"] = "der",
    json_output: Annotated[bool, Parameter(name="--json", negative=())] = False,
    pause: Annotated[bool, Parameter(negative=())] = False,
    stack: Literal["folders", "production"] = "folders",
) -> int:
    """Run the whole walkthrough: every update and every attack, each with the banner it must show.

    Servers, a Primary and a Secondary run as processes of their own, on free ports of this machine and in a temporary
    folder. The exit code is 0 only if every banner is the expected one.

    Args:
        format: the format of all metadata; `pouf1` and `pouf1-json` are those of the archived implementation.
        json_output: print one JSON object and nothing else.
        pause: wait for the Enter key before each step.
        stack: what the servers stand on: folders and XML-RPC, or as in production PostgreSQL, S3 and the API for
            vehicles over mutual TLS, which needs `uptane[demo-production]`.
    """
    from uptane.demonstration import walkthrough

    return walkthrough.run(format, json_output, pause, stack)
