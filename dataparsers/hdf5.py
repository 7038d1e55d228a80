"""HDF5 files of strangers: only what is in the file itself, and of a size that it can hold.

HDF5 can link to other files, keep a dataset's numbers in any file of the computer, and claim datasets that were never
written, which are all zeros when they are read.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy import ndarray

from nerfstudio_mobavatar.capture import CaptureError
from nerfstudio_mobavatar.plain_data import ALWAYS_FINE, DAMAGE, MOST_BYTES, MOST_EXPANDED, NotPlainError


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, read only; what is missing or broken in it becomes a `CaptureError`."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except CaptureError:
        raise
    except (OSError, RuntimeError, *DAMAGE) as error:
        said = str(error) if isinstance(error, NotPlainError) else f"that it cannot be read as one ({str(error)[:300]})"
        raise CaptureError(
            f"{path}: expected a DNA-Rendering file (HDF5), found {said}. Download it again; an interrupted download "
            "is the usual cause."
        ) from error


def member(file: h5py.File, *where: str) -> Any:
    """The group or dataset of these names inside each other. Raises `KeyError`, `NotPlainError`."""
    found: Any = file
    for name in where:
        link = found.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise (
                KeyError(f"{'/'.join(where)} is not there") if link is None else NotPlainError(f"a link at {name[:60]}")
            )
        found = found[name]
    return found


def names(file: h5py.File, *where: str) -> list[str]:
    """Names in a group; those that are numbers come in their order."""
    group = member(file, *where)
    if not isinstance(group, h5py.Group):
        raise NotPlainError(f"numbers at {'/'.join(where)}, expected a folder")
    return sorted(group, key=lambda name: (len(name), name))


def numbers(file: h5py.File, *where: str) -> ndarray:
    """A dataset of plain numbers. Raises `KeyError`, `NotPlainError`."""
    dataset, said = member(file, *where), "/".join(where)[:100]
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "biuf":
        raise NotPlainError(f"no plain numbers at {said}")
    if dataset.is_virtual or dataset.external:
        raise NotPlainError(f"numbers of another file at {said}")
    stored = Path(file.filename).stat().st_size
    size = int(np.prod(dataset.shape or (), dtype=np.float64)) * dataset.dtype.itemsize
    if size > min(MOST_BYTES, max(ALWAYS_FINE, MOST_EXPANDED * stored)):
        raise NotPlainError(f"{size / 2**30:.1f} GB of numbers at {said}")
    return np.asarray(dataset[()])


def frames(file: h5py.File, *where: str) -> Sequence[int]:
    """Numbers that the entries of a group are named by, ascending."""
    return sorted(int(name) for name in names(file, *where) if name.isascii() and name.isdecimal() and len(name) < 10)
