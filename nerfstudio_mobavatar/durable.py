"""Files and folders that are whole or not there at all, whenever the process or the machine stops.

A file is written under another name in the same folder, forced to the disk, renamed, and then the folder is forced to
the disk, too: after a power cut there is the old file or the new one, never half of one. While it is written it is
locked, so that what a killed process left behind is told from what another one is still writing.
"""

import errno
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: what is left behind stays there
    fcntl = None

UNFINISHED = "unfinished-0."
"""How the names of files begin that are being written. nerfstudio takes what lies between the first "-" and the first
"." of every name in a folder of checkpoints for its step: these must never look like the newest."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_PERMISSION = (errno.EROFS, errno.EACCES, errno.EPERM)
CANNOT_WRITE = NO_ROOM + NO_PERMISSION
CANNOT_SYNC_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EISDIR, *NO_PERMISSION)
"""What systems answer that do not force the names in a folder to the disk on demand."""


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of `path` when the block ends. After an exception nothing has changed.

    Errors: `OSError` where the folder is absent, read-only or full.
    """
    draft = path.with_name(f"{UNFINISHED}{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            _lock_if_possible(file.fileno())
            yield file
            file.flush()
            os.fsync(file.fileno())
            draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write(path: Path, content: bytes | str) -> None:
    """A whole file at once; text as UTF-8. Errors: as of `replacing`."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def sync(path: Path) -> None:
    """Force a file that something else has written to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system can do that. Errors: `OSError` of a failing disk."""
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in CANNOT_SYNC_FOLDERS:
            raise


def remove_unfinished(folder: Path) -> list[str]:
    """Remove what killed processes left half written in `folder`; the names of it. What somebody still writes stays."""
    return [path.name for path in sorted(folder.glob(f"{UNFINISHED}*")) if _remove_if_left(path)]


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """An empty folder whose files take their places in `folder` when the block ends; after an exception none do.

    It lies in `folder` where that exists: the folder above may be read-only or another file system. A new `folder`
    appears as a whole; in one that exists file after file is replaced, each as a whole, and others stay.
    """
    place = folder if folder.is_dir() else folder.parent
    place.mkdir(parents=True, exist_ok=True)
    prefix = f".{folder.name}-unfinished-"
    for beside in (folder.parent, folder):  # a new folder's lies beside it, also once the folder is there
        for left in beside.glob(f"{glob.escape(prefix)}*"):
            _remove_if_left(left)
    with tempfile.TemporaryDirectory(dir=place, prefix=prefix, ignore_cleanup_errors=True) as temporary:
        handle = os.open(temporary, os.O_RDONLY)
        try:
            _lock_if_possible(handle)
            new = Path(temporary) / "new"  # with the permissions of any folder, which a temporary one has not
            new.mkdir()
            yield new
            _move(new, folder)
        finally:
            os.close(handle)


def _move(new: Path, folder: Path) -> None:
    paths = sorted(new.rglob("*"))
    for path in paths:
        sync_folder(path) if path.is_dir() else sync(path)
    if not folder.exists():
        new.rename(folder)
        sync_folder(folder.parent)
        return
    for path in paths:
        final = folder / path.relative_to(new)
        if path.is_dir():
            final.mkdir(exist_ok=True)
        else:
            path.replace(final)
    for path in (folder, *(folder / p.relative_to(new) for p in new.rglob("*"))):
        sync_folder(path)


def _lock(handle: int) -> None:
    """Mark as being written until this process ends. Raises `OSError` where another process has done so."""
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock_if_possible(handle: int) -> None:
    """The same where there may be no locks (some network file systems): what is written there is just as whole, but
    another process that starts meanwhile takes it for something left behind."""
    with suppress(OSError):
        _lock(handle)


def _remove_if_left(path: Path) -> bool:
    """Remove a file or folder that nobody writes any more."""
    if fcntl is None:
        return False
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            _lock(handle)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            return True
        finally:
            os.close(handle)
    return False


def reason(error: OSError, folder: Path, size: int | None = None) -> str:
    """In words for the user: why a file could not be written into `folder`, and what to do."""
    if error.errno in NO_ROOM:
        needed = f"; {size / 1e6:,.0f} MB are needed" if size is not None else ""
        return f"the disk that holds {folder} is full{needed} and {free_bytes(folder) / 1e6:,.0f} MB free: make room"
    if error.errno in NO_PERMISSION:
        return f"{folder} cannot be written to ({error.strerror}): make it writable, or choose another folder"
    return f"{folder}: {error}"


def free_bytes(folder: Path) -> int:
    """What the disk of `folder` (or of its nearest parent that exists) has left for this user."""
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    found = os.statvfs(existing)
    return found.f_bavail * found.f_frsize
