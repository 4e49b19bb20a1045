"""One decoder under `atheris`, which is not among the pins: `python -m fuzz.atheris_target 'der targets' [OPTIONS]`.

Options and a folder of inputs are those of libFuzzer. Without a name it lists the decoders.
"""

import sys
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["uptane"]):
    from fuzz.decoders import decoders
    from uptane.metadata.errors import SecurityError


def main() -> None:
    """Runs until it is stopped or finds an error that is not ours."""
    by_name = {decoder.name: decoder for decoder in decoders()}
    if len(sys.argv) < 2 or sys.argv[1] not in by_name:
        print(*by_name, sep="\n")
        return
    decoder = by_name[sys.argv[1]]
    corpus = Path(sys.argv[-1])
    if corpus.is_dir():
        for number, seed in enumerate(decoder.seeds):
            (corpus / f"seed{number}").write_bytes(seed)

    def one_input(raw: bytes) -> None:
        with suppress(SecurityError):
            decoder.decode(raw)

    atheris.Setup([sys.argv[0], *sys.argv[2:]], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
