"""What is in a folder that could not be read as a capture: pictures, tables and arrays, without guessing a layout."""

import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..capture import CaptureError
from ..dataparsers.calibration import image_size
from .findings import Finding, listed

SUFFIXES = (".jpg", ".jpeg", ".png")
MOST_ENTRIES = 200_000
"""Files after which the listing stops."""

MOST_BYTES = 2 * 2**30
"""Unpacked size above which an array file is not opened."""


def survey(root: Path) -> Iterator[Finding]:
    """One finding for what pictures there are, and one for each table of numbers at the top."""
    if not root.is_dir():
        return
    yield from _pictures(root)
    for path in sorted(root.iterdir()):
        if path.suffix == ".json" and path.is_file():
            yield _table(path)
        elif path.suffix == ".npz" and path.is_file():
            yield from _arrays(path)


def _pictures(root: Path) -> Iterator[Finding]:
    folders: Counter[Path] = Counter()
    first: dict[Path, Path] = {}
    for number, path in enumerate(root.rglob("*")):
        if number > MOST_ENTRIES:
            break
        if path.suffix.lower() in SUFFIXES:
            folders[path.parent] += 1
            first.setdefault(path.parent, path)
    if not folders:
        yield Finding("survey-pictures", "info", str(root), "no .jpg or .png pictures in it or below.")
        return
    sizes = []
    for path in list(first.values())[:64]:
        try:
            sizes.append("{}x{}".format(*image_size(path)))
        except CaptureError:
            sizes.append("unreadable")
    shown = listed(f"{folder.relative_to(root)} ({count})" for folder, count in sorted(folders.items()))
    kinds = listed(f"{size} ({count})" for size, count in Counter(sizes).most_common())
    yield Finding("survey-pictures", "info", str(root), f"pictures in {len(folders)} folders: {shown}; sizes {kinds}.",
                  value=float(sum(folders.values())), unit="pictures")  # fmt: skip


def _table(path: Path) -> Finding:
    try:
        content = json.loads(path.read_text())
    except (ValueError, OSError, RecursionError) as error:
        return Finding("survey-table", "info", str(path), f"does not parse as JSON ({error}).")
    if isinstance(content, dict):
        return Finding("survey-table", "info", str(path), f"{len(content)} entries: {listed(content)}.")
    return Finding("survey-table", "info", str(path), f"a JSON {type(content).__name__}.")


def _arrays(path: Path) -> Iterator[Finding]:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MOST_BYTES:
            yield Finding("survey-arrays", "info", str(path),
                          f"would unpack to {size / 2**30:.0f} GiB; it was not opened.")  # fmt: skip
            return
        with np.load(path, allow_pickle=False) as stored:
            arrays = {}
            for key in stored.files:
                try:
                    arrays[key] = stored[key]
                except ValueError:
                    continue  # Python objects, which are never loaded
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, MemoryError) as error:
        yield Finding("survey-arrays", "info", str(path), f"cannot be read as arrays ({error}).")
        return
    shapes = listed((f"{key} {'x'.join(map(str, a.shape)) or 'scalar'} {a.dtype}" for key, a in arrays.items()), 12)
    yield Finding("survey-arrays", "info", str(path), f"arrays: {shapes or 'none'}.")
    for key, array in arrays.items():
        if np.issubdtype(array.dtype, np.floating) and array.size and not np.isfinite(array).all():
            bad = int((~np.isfinite(array)).sum())
            yield Finding("survey-not-finite", "info", str(path), f"{bad} of {array.size} numbers in {key} are NaN.",
                          value=float(bad), unit="numbers")  # fmt: skip
