"""What is in a folder that could not be read as a capture: pictures, tables and arrays, without guessing a layout."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..capture import CaptureError
from ..dataparsers.calibration import image_size
from ..plain_data import NotPlainError, read_json, read_npz
from .findings import Finding, listed

SUFFIXES = (".jpg", ".jpeg", ".png")
MOST_ENTRIES = 200_000
"""Files after which the listing stops."""


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
        content = read_json(path)
    except (NotPlainError, OSError) as error:
        return Finding("survey-table", "info", str(path), f"cannot be read as JSON: {error}.")
    if isinstance(content, dict):
        return Finding("survey-table", "info", str(path), f"{len(content)} entries: {listed(content)}.")
    return Finding("survey-table", "info", str(path), f"a JSON {type(content).__name__}.")


def _arrays(path: Path) -> Iterator[Finding]:
    try:
        _, names = read_npz(path, ())
    except NotPlainError as error:
        yield Finding("survey-arrays", "info", str(path), f"cannot be read as arrays: {error}.")
        return
    shapes, holes = [], []
    for name in names:  # one at a time: a folder of anything may hold anything
        try:
            arrays, _ = read_npz(path, (name,))
        except NotPlainError as error:
            shapes.append(f"{name} not read ({error})")
            continue
        array = arrays[name]
        shapes.append(f"{name} {'x'.join(map(str, array.shape)) or 'scalar'} {array.dtype}")
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            holes.append((name, int((~np.isfinite(array)).sum()), array.size))
    yield Finding("survey-arrays", "info", str(path), f"arrays: {listed(shapes, 12) or 'none'}.")
    for name, bad, size in holes:
        yield Finding("survey-not-finite", "info", str(path), f"{bad} of {size} numbers in {name} are NaN.",
                      value=float(bad), unit="numbers")  # fmt: skip
