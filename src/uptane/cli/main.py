"""The command `uptane`: its commands by name, and how each ends.

A command's module is imported when the command is run, so that `uptane --help` costs no more than its own text.
"""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, Group

from uptane import __version__
from uptane.cli.exit_codes import CANNOT_READ_OR_WRITE, as_markdown, exit_code_of
from uptane.metadata.errors import StorageError, UptaneError

TRACEBACK_VARIABLE = "UPTANE_TRACEBACK"
"""Where it is set (to anything but `0`), an error shows where it was raised instead of one line."""

app = App(
    name="uptane",
    help="""Software updates for cars that stay safe when servers or keys are stolen.

    See it first: `uptane demo`. Servers of your own: `uptane init`, then `uptane serve`. Each command has an example in
    its `--help`.
    """,
    help_epilogue=as_markdown(),
    help_format="markdown",
    version=__version__,
    result_action="return_value",
)


def _help(text: str, *examples: str) -> str:
    """The help of a command: what it does, and commands that tests run as they stand."""
    return "\n".join([text, "", "```", *examples, "```"])  # cyclopts leaves out what stands under "Example:"


def _group(name: str, text: str, group: Group) -> App:
    """Commands about one thing."""
    return App(name=name, help=text, help_epilogue="", group=group)


FIRST = Group.create_ordered("See it work")
SERVERS = Group.create_ordered("Run servers")
VEHICLES = Group.create_ordered("Keep vehicles and images, on the servers' machine")
ELSEWHERE = Group.create_ordered("Sign and look at metadata, anywhere")

app.command(
    "uptane.cli.demo:demo",
    name="demo",
    help=_help("Run the whole walkthrough: every update and every attack.", "uptane demo"),
    group=FIRST,
)

app.command(
    "uptane.cli.init:init",
    name="init",
    help=_help("Make a folder with settings, keys and stores for servers.", "uptane init fleet"),
    group=SERVERS,
)
app.command(
    "uptane.cli.serve:serve",
    name="serve",
    help=_help(
        """Run the servers of such a folder, until Ctrl-C or SIGTERM.

All in one process, or some of them in several: a worker that dies is replaced. Requests on their way are finished
before the servers end.""",
        "uptane serve fleet",
        "uptane serve fleet image-repository --workers 2",
    ),
    group=SERVERS,
)
app.command(
    "uptane.cli.doctor:doctor",
    name="doctor",
    help=_help(
        "Check that production servers can do their work, and say what to do.",
        "uptane doctor",
        "uptane doctor director",
    ),
    group=SERVERS,
)
database = _group("db", "The Director's database.", SERVERS)
database.command(
    "uptane.cli.database:show",
    name="show",
    help=_help("Show the revision of its tables.", "uptane db show"),
)
database.command(
    "uptane.cli.database:upgrade",
    name="upgrade",
    help=_help("Upgrade tables that an older program made.", "uptane db upgrade"),
)
database.command(
    "uptane.cli.database:restored",
    name="restored",
    help=_help("Make a restored backup safe to serve.", "uptane db restored"),
)
app.command(database)

root = _group("root", "The Roots of the repositories.", SERVERS)
root.command(
    "uptane.cli.roots:renew",
    name="renew",
    help=_help(
        """Sign Roots that expire soon again, with the same keys, and publish them.

Servers do so by themselves where the Root keys are in their folder of keys. With a key that is kept elsewhere:""",
        "uptane root renew director --key offline/director-root",
    ),
)
app.command(root)

vehicle = _group("vehicle", "Vehicles: register and revoke them, and run them as programs.", VEHICLES)
vehicle.command(
    "uptane.cli.fleet:vehicle_add",
    name="add",
    help=_help(
        """Register a vehicle, and make the folder that its Primary is made from.

The folder holds a token for the vehicle's first contact, which is good once and for a day. With Secondaries:""",
        "uptane vehicle add VIN123 --package car",
        "uptane vehicle add VIN456 --package van --secondary VIN456-brakes:brake-1 --secondary VIN456-lamp::partial",
    ),
)
vehicle.command("uptane.cli.fleet:vehicle_list", name="list", help=_help("List every vehicle.", "uptane vehicle list"))
vehicle.command(
    "uptane.cli.fleet:vehicle_show",
    name="show",
    help=_help(
        "Show a vehicle: its ECUs, what they run and shall have, and the newest alerts.", "uptane vehicle show VIN123"
    ),
)
vehicle.command(
    "uptane.cli.assignments:encryption_key",
    name="encryption-key",
    help=_help(
        """Put on record what images are encrypted for so that an ECU can read them.

The ECU makes its key at its first start where it was added with --encrypted-images, and keeps the private part.""",
        "uptane vehicle encryption-key VIN123 VIN123-primary car/keys/decryption.pub",
    ),
)
vehicle.command(
    "uptane.cli.fleet:vehicle_token",
    name="token",
    help=_help(
        """Make a token for a vehicle's next first contact, such as after its certificate was revoked.

It goes into factory/token of the vehicle's folder, is good once and for a day, and ends an earlier one.""",
        "uptane vehicle token VIN123",
    ),
)
vehicle.command(
    "uptane.cli.fleet:vehicle_revoke",
    name="revoke",
    help=_help("Revoke the certificates of a vehicle, which may get new ones.", "uptane vehicle revoke VIN123"),
)
vehicle.command(
    "uptane.cli.fleet:vehicle_retire",
    name="retire",
    help=_help(
        """Take a vehicle out of service, for good.

Its certificates are revoked, it gets no metadata any more, and its records stay. Servers learn it within seconds.""",
        "uptane vehicle retire VIN123",
    ),
)
vehicle.command(
    "uptane.cli.vehicle_run:vehicle_run",
    name="run",
    help=_help(
        """Run the Primary in a folder that `uptane vehicle add` made, until Ctrl-C or SIGTERM.

It waits between two update cycles as the server asks, and longer and longer while cycles fail.""",
        "uptane vehicle run car --cycles 1",
    ),
)
secondary = App(name="secondary", help="Secondaries as programs.", help_epilogue="")
secondary.command(
    "uptane.cli.vehicle_run:secondary_run",
    name="run",
    help=_help(
        """Run a Secondary over HTTP to its Primary, until Ctrl-C or SIGTERM.

Its folder is one that `uptane vehicle add --secondary` made; secondary.toml in it says where the Primary is.""",
        "uptane vehicle secondary run van/secondaries/VIN456-brakes --cycles 1",
    ),
)
vehicle.command(secondary)
app.command(vehicle)

image = _group("image", "Images of the Image repository.", VEHICLES)
image.command(
    "uptane.cli.fleet:image_add",
    name="add",
    help=_help("Add an image, sign for it and publish.", "uptane image add firmware.img --release 2"),
)
image.command(
    "uptane.cli.fleet:image_list",
    name="list",
    help=_help("List every image that a role lists.", "uptane image list"),
)
app.command(image)

assignment = _group("assignment", "What ECUs shall have.", VEHICLES)
assignment.command(
    "uptane.cli.assignments:assignment_set",
    name="set",
    help=_help(
        """Give an ECU an image, which it learns in its next cycle.

With --encrypted, only that ECU can read it. An image that nobody shall read in plain is added with --list-only.""",
        "uptane assignment set VIN123 VIN123-primary firmware.img",
        "uptane assignment set VIN123 VIN123-primary secret.img --encrypted --file secret.img",
    ),
)
assignment.command(
    "uptane.cli.manifests:assignment_list",
    name="list",
    help=_help("List what ECUs shall have, and whether they have it.", "uptane assignment list VIN123"),
)
assignment.command(
    "uptane.cli.fleet:assignment_clear",
    name="clear",
    help=_help("Take back what a vehicle's ECUs were assigned.", "uptane assignment clear VIN123"),
)
app.command(assignment)

manifest = _group("manifest", "What vehicles report.", VEHICLES)
manifest.command(
    "uptane.cli.manifests:manifest_show",
    name="show",
    help=_help("Show the latest manifest of a vehicle, and attacks in it.", "uptane manifest show VIN123"),
)
app.command(manifest)

delegation = _group("delegation", "Which supplier may sign for which images.", VEHICLES)
delegation.command(
    "uptane.cli.delegations:delegation_add",
    name="add",
    help=_help(
        """Trust a supplier's keys for some images, and publish that.

Of several roles with the same image, the one that was added first counts.""",
        "uptane delegation add supplier --key supplier.pem.pub --path 'brakes/*'",
    ),
)
delegation.command(
    "uptane.cli.delegations:delegation_list",
    name="list",
    help=_help("List who may sign for which images.", "uptane delegation list"),
)
delegation.command(
    "uptane.cli.delegations:delegation_revoke",
    name="revoke",
    help=_help(
        """Trust a supplier's role no more, and publish that.

No vehicle installs what it alone lists; the name of the role is used up.""",
        "uptane delegation revoke supplier",
    ),
)
app.command(delegation)

metadata = _group("metadata", "Look at metadata files.", ELSEWHERE)
metadata.command(
    "uptane.cli.metadata_show:show",
    name="show",
    help=_help(
        "Print a metadata file, and check it against a Root.",
        "uptane metadata show fleet/data/image-repository/metadata/targets.der",
    ),
)
app.command(metadata)

supplier = _group("supplier", "Sign images with the key of a delegated role, where that key is.", ELSEWHERE)
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
    uptane supplier sign images --role supplier --key supplier.pem --previous supplier.der
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

image_repository = _group("image-repository", "Hand in to an Image repository what a supplier signed.", VEHICLES)
image_repository.command(
    "uptane.cli.upload:upload",
    name="upload",
    help="""Hand in what a supplier signed: verify all of it, then publish it.

    It goes to the servers of `uptane init`, or with --repository to the Image repository in a folder. There, metadata
    that needs more signatures waits until others hand in theirs.

    ```
    uptane image-repository upload supplier.der images --servers fleet
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
    words = sys.argv[1:] if arguments is None else arguments
    try:
        result = app(words)
        sys.stdout.flush()
    except UptaneError as error:
        return _fail(error, str(error), error.code, exit_code_of(error), words)
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # or the interpreter would complain once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        where = f"{error.filename}: " if error.filename else ""
        text = f"{where}{error.strerror or error}."
        return _fail(error, text, StorageError.code, CANNOT_READ_OR_WRITE, words)
    return result if isinstance(result, int) else 0


def _fail(error: Exception, text: str, code: str, number: int, words: Sequence[str]) -> int:
    """Tells an error in one line on standard error: in words, or as JSON to who asked for that."""
    if os.environ.get(TRACEBACK_VARIABLE, "0") not in ("", "0"):
        raise error
    if "--json" in words:
        import json

        print(json.dumps({"error": text, "code": code, "exit_code": number}), file=sys.stderr)
    else:
        print(f"uptane: {text} ({code})", file=sys.stderr)
    return number
