"""The `penstock` command, its failpoints armed: `python -m witness.command …`."""

from __future__ import annotations


def main() -> None:
    from penstock import cli
    from witness import failpoints

    failpoints.arm()
    cli.main()


if __name__ == "__main__":
    main()
