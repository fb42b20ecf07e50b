"""The files that docs/adding_an_op.md asks its reader to write: each stands whole in a block of code below its path."""

import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "adding_an_op.md"


def files():
    """Path in the repository → text."""
    return dict(re.findall(r"^\*\*`([^`]+)`\*\*\n\n```(?:cpp|cuda)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))


def write(root):
    """Puts them below `root`; returns their paths there."""
    written = []
    for name, text in files().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        written.append(path)
    return written
