"""Guided by coverage, looks for files that the parsers written here cannot stand. Needs atheris.

    pip install atheris        # Linux, up to the Python that it has a wheel for
    python tests/fuzz/cover_parsers.py CORPUS -atheris_runs=200000 -max_len=4096

CORPUS is a folder that keeps what reached new code; it begins with sound files. The first byte of
an input says which parser reads the rest. A find is written as `crash-...` into this folder; the
same command with that file in place of CORPUS shows its traceback.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mesovid"]):
    from mutate_files import KINDS, WRITTEN_HERE, attempt

    import mesovid.animations
    import mesovid.atoms
    import mesovid.cropping
    import mesovid.dataset.splits
    import mesovid.dataset.tables
    import mesovid.models.card
    import mesovid.pictures
    import mesovid.report.reader
    import mesovid.report.tables
    import mesovid.texts  # noqa: F401

NAMES = sorted(WRITTEN_HERE)


def main() -> None:
    """Hand the command line to atheris; sound files go to the corpus first."""
    for word in sys.argv[1:]:
        if Path(word).is_dir():
            for number, name in enumerate(NAMES):
                content = bytes([number]) + KINDS[name].sound()
                (Path(word) / f"sound-{number}").write_bytes(content)
    with tempfile.TemporaryDirectory() as folder:

        def one_input(content: bytes) -> None:
            if content:
                attempt(KINDS[NAMES[content[0] % len(NAMES)]], content[1:], Path(folder))

        atheris.Setup(sys.argv, one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
