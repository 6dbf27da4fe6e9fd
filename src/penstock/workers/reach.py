"""Whether a worker can do its work from the machine it is on: it needs the ledger, and the very same artifact store."""

from __future__ import annotations

from pathlib import Path

from penstock.errors import UsageError
from penstock.ledger.ledger import Ledger

_NETWORK = ("nfs", "cifs", "smb", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "9p", "afs")
_BOTH = (
    "a worker elsewhere needs PostgreSQL (PENSTOCK_DATABASE_URL) and an artifact store that both machines reach "
    "(PENSTOCK_ARTIFACTS_URL)"
)


def check_reach(ledger: Ledger, *, shared_artifacts: bool) -> None:
    """Raises UsageError for an SQLite ledger that another machine works with, or that lies on a network's file system
    (SQLite's locks don't hold there), and for documents downloaded on another machine into a store of its own.

    `shared_artifacts`: the operator has named the store.
    """
    path = ledger.database.path
    others = ledger.leases.elsewhere()
    if path is not None:
        kind = file_system(path)
        if kind.startswith(_NETWORK):
            raise UsageError(
                f"the ledger {path} is an SQLite file on a network's file system ({kind})", next_step=_BOTH
            )
        if at_work := sorted(host for host, alive in others.items() if alive):
            raise UsageError(f"the ledger {path} is an SQLite file, and {at_work[0]} works with it", next_step=_BOTH)
    elif others and not shared_artifacts:
        raise UsageError(
            f"the ledger's documents came in on {sorted(others)[0]}, whose artifact store is a folder of its own",
            next_step=_BOTH,
        )


def file_system(path: Path) -> str:
    """The type of the file system that a path is on (proc(5), mounts); "" where there is no telling."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return ""
    where = path.absolute()
    at = [(Path(mount[1].replace("\\040", " ")), mount[2]) for mount in mounts if len(mount) > 2]
    over = [(len(place.parts), kind) for place, kind in at if where.is_relative_to(place)]
    return max(over, default=(0, ""))[1]
