"""The command `uptane`: its commands by name, and how each ends.

A command's module is imported when the command is run, so that `uptane --help` costs no more than its own text.
"""

import os
import sys
from collections.abc import Sequence

from cyclopts import App

from uptane import __version__
from uptane.cli.exit_codes import CANNOT_READ_OR_WRITE, exit_code_of
from uptane.metadata.errors import UptaneError

TRACEBACK_VARIABLE = "UPTANE_TRACEBACK"
"""Where it is set (to anything but `0`), an error shows where it was raised instead of one line."""

app = App(
    name="uptane",
    help="Software updates for cars that stay safe when servers or keys are stolen.",
    version=__version__,
    result_action="return_value",
)
app.command("uptane.cli.demo:demo", name="demo", help="Run the whole walkthrough: every update and every attack.")

app.command("uptane.cli.init:init", name="init", help="Make a folder for production servers.")
app.command("uptane.cli.serve:serve", name="serve", help="Run production servers.")

vehicle = App(name="vehicle", help="Vehicles: on the servers, and as programs.")
vehicle.command("uptane.cli.fleet:vehicle_add", name="add", help="Register a vehicle and make its folder.")
vehicle.command("uptane.cli.fleet:vehicle_list", name="list", help="List every vehicle.")
vehicle.command("uptane.cli.fleet:vehicle_show", name="show", help="Show a vehicle and its ECUs.")
vehicle.command("uptane.cli.fleet:vehicle_token", name="token", help="Make a token for a first contact.")
vehicle.command("uptane.cli.fleet:vehicle_revoke", name="revoke", help="Revoke a vehicle's certificates.")
vehicle.command("uptane.cli.vehicle_run:vehicle_run", name="run", help="Run a Primary.")
app.command(vehicle)

image = App(name="image", help="Images of the Image repository.")
image.command("uptane.cli.fleet:image_add", name="add", help="Add an image and publish.")
image.command("uptane.cli.fleet:image_list", name="list", help="List every image.")
app.command(image)

assignment = App(name="assignment", help="What ECUs shall have.")
assignment.command("uptane.cli.fleet:assignment_set", name="set", help="Give an ECU an image.")
assignment.command("uptane.cli.manifests:assignment_list", name="list", help="List what ECUs shall have.")
assignment.command("uptane.cli.fleet:assignment_clear", name="clear", help="Take back what ECUs were assigned.")
app.command(assignment)

manifest = App(name="manifest", help="What vehicles report.")
manifest.command("uptane.cli.manifests:manifest_show", name="show", help="Show the latest manifest of a vehicle.")
app.command(manifest)

delegation = App(name="delegation", help="Which supplier may sign for which images.")
delegation.command("uptane.cli.delegations:delegation_add", name="add", help="Trust a supplier's keys for images.")
delegation.command("uptane.cli.delegations:delegation_revoke", name="revoke", help="Trust a supplier no more.")
delegation.command("uptane.cli.delegations:delegation_list", name="list", help="List who may sign for images.")
app.command(delegation)

metadata = App(name="metadata", help="Look at metadata files.")
metadata.command(
    "uptane.cli.metadata_show:show", name="show", help="Print a metadata file, and check it against a Root."
)
app.command(metadata)

supplier = App(name="supplier", help="Sign images with the key of a delegated role, where that key is.")
supplier.command(
    "uptane.cli.supplier:make_key",
    name="key",
    help="""Make a key for a delegated role, and its public key beside it.

    ```
    uptane supplier key supplier.pem
    ```
    """,
)
supplier.command(
    "uptane.cli.supplier:sign",
    name="sign",
    help="""Make and sign Targets metadata for the images in a folder.

    An image has its path below that folder as its name: images/supplier/brakes.img is supplier/brakes.img. Nothing is
    sent anywhere. The first version, and a later one that begins with what is published:

    ```
    uptane supplier sign images --role supplier --key supplier.pem --release-counter 7
    uptane supplier sign images --role supplier --key supplier.pem --previous imagerepo/metadata/supplier.der
    ```
    """,
)
supplier.command(
    "uptane.cli.supplier:cosign",
    name="cosign",
    help="""Add a signature to metadata that somebody else signed, where a role needs several.

    ```
    uptane metadata show supplier.der
    uptane supplier cosign supplier.der --key second.pem
    ```
    """,
)
app.command(supplier)

image_repository = App(name="image-repository", help="Keep an Image repository.")
image_repository.command(
    "uptane.cli.upload:upload",
    name="upload",
    help="""Hand in what a supplier signed: verify all of it, then publish it.

    It goes to production servers, or to the Image repository in a folder. There, metadata that needs more signatures
    waits until others hand in theirs.

    ```
    uptane image-repository upload supplier.der images --servers fleet
    uptane image-repository upload supplier.der images --repository imagerepo \\
      --snapshot-key keys/mainsnapshot --timestamp-key keys/maintimestamp
    ```
    """,
)
app.command(image_repository)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: the words after `uptane`; those of the process unless given.

    Returns:
        The exit code, from the one table in `exit_codes`.
    """
    try:
        result = app(arguments)
        sys.stdout.flush()
    except UptaneError as error:
        return _fail(error, str(error), exit_code_of(error))
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # or the interpreter would complain once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        where = f"{error.filename}: " if error.filename else ""
        return _fail(error, f"{where}{error.strerror or error}.", CANNOT_READ_OR_WRITE)
    return result if isinstance(result, int) else 0


def _fail(error: Exception, text: str, code: int) -> int:
    if os.environ.get(TRACEBACK_VARIABLE, "0") not in ("", "0"):
        raise error
    print(f"uptane: {text}", file=sys.stderr)
    return code
