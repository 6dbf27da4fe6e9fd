"""`python -m penstock`, and the script `penstock`: an interrupt while the command line is still loading is one too."""

from __future__ import annotations

import sys


def main() -> None:
    try:
        from penstock.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
