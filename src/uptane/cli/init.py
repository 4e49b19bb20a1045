"""`uptane init`: a folder with everything that production servers need."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def init(
    folder: Path,
    *,
    format: Literal["der", "json"] = "der",
    database: str = "data/inventory.sqlite",
    storage: str = "data/image-repository",
    name: Annotated[tuple[str, ...], Parameter(negative=())] = ("localhost", "127.0.0.1"),
    port: int = 8443,
) -> None:
    """Make a folder with settings, keys, a certificate authority and empty stores.

    What is there already stays; settings are never overwritten.

    Args:
        folder: where; made when it is missing.
        format: the format of all metadata.
        database: a file name, or postgresql://USER:PASSWORD@HOST/NAME.
        storage: where the Image repository publishes: a folder, or s3://BUCKET/PREFIX.
        name: host names and addresses by which vehicles reach the servers.
        port: where vehicles connect.
    """
    import asyncio

    from uptane.assembly.production import initialise
    from uptane.assembly.settings import FILE_NAME, load_settings, write_settings

    write_settings(folder, form=format, database=database, storage=storage, names=name, port=port)
    try:
        asyncio.run(initialise(load_settings(folder)))
    except BaseException:
        (folder / FILE_NAME).unlink()  # so that the same command can be tried again; keys and stores stay
        raise
    print(f"Made {folder}. Next: uptane serve {folder}")
