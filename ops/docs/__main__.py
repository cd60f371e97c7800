"""`make docs`: writes every generated page anew, and takes away those that nothing generates any more."""

import sys
from pathlib import Path

from ops.docs.pages import GENERATED, pages


def main(directory: Path = GENERATED) -> int:
    """Write the pages and name those that changed."""
    directory.mkdir(parents=True, exist_ok=True)
    made = pages()
    for name in sorted({file.name for file in directory.iterdir()} - made.keys()):
        (directory / name).unlink()
        print(f"{name}: taken away")  # noqa: T201 -- this is a door
    for name, text in made.items():
        file = directory / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            print(f"{name}: written")  # noqa: T201 -- this is a door
    return 0


if __name__ == "__main__":
    sys.exit(main())
