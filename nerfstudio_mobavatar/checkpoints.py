"""Checkpoints on disk, and what a checkpoint needs beyond nerfstudio's so that a run goes on bit for bit.

The files are nerfstudio's (`step-000002000.ckpt`, its keys), with one key of ours, `run`, that its tools pass over.
"""

import random
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import durable
from .plain_data import check_torch_zip

LAYOUT = 2
"""Of what is written, and the newest that is read. 1 has no key `run`: random numbers and counters start anew."""
NAME = re.compile(r"step-(\d+)\.ckpt")


class CheckpointError(RuntimeError):
    """A checkpoint could not be written or read; the message says which, why and what to do."""


def path_of(folder: Path, step: int) -> Path:
    return folder / f"step-{step:09d}.ckpt"


def steps_in(folder: Path) -> list[int]:
    """Steps of the checkpoints in a folder, ascending; other files are passed over."""
    names = [NAME.fullmatch(path.name) for path in folder.glob("*.ckpt")]
    return sorted(int(name[1]) for name in names if name is not None)


def write(path: Path, state: dict[str, Any]) -> None:
    """A whole file or none. Raises `CheckpointError` where the disk is full or the folder read-only."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with durable.replacing(path) as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as error:
        cause = _os_error(error)
        if cause is None:
            raise
        why = durable.reason(cause, path.parent, size_of(state))
        raise CheckpointError(f"{path.name} could not be written: {why}") from error


def _os_error(error: BaseException | None) -> OSError | None:
    """torch reports a failed write as an error of its own while the system's is in flight."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def size_of(state: Any) -> int:
    """Bytes of all tensors in nested dicts, lists and tuples."""
    if isinstance(state, Tensor):
        return state.numel() * state.element_size()
    values = state.values() if isinstance(state, dict) else state if isinstance(state, (list, tuple)) else ()
    return sum(size_of(value) for value in values)


def read(path: Path) -> dict[str, Any]:
    """What `write` or nerfstudio wrote, on the CPU; it can hold nothing but tensors, numbers and text.

    Raises `CheckpointError` where the file is absent or damaged. torch itself would load a file with flipped bits: the
    checksums are compared here.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; the folder has {_listed(path.parent)}")
    try:
        check_torch_zip(path)
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        if bad is not None:
            raise zipfile.BadZipFile(f"the checksum of {bad} differs")
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or not {"pipeline", "step"} <= state.keys():
            raise ValueError("it has no pipeline and step")
        return state
    except Exception as error:  # a damaged archive can raise anything at all
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise CheckpointError(f"{path} is damaged ({why}); the folder has {_listed(path.parent)}") from error


def _listed(folder: Path) -> str:
    steps = steps_in(folder) if folder.is_dir() else []
    return f"checkpoints of steps {', '.join(map(str, steps[-5:]))}" if steps else "no checkpoint"


@dataclass(frozen=True)
class Found:
    path: Path
    state: dict[str, Any]
    damaged: list[str]
    """About each newer one that cannot be read."""


def newest(folder: Path) -> Found:
    """The newest checkpoint of a folder that can be read. Raises `CheckpointError` where there is none."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; give the nerfstudio_models folder of a run")
    damaged = []
    for step in reversed(steps_in(folder)):
        try:
            return Found(path_of(folder, step), read(path_of(folder, step)), damaged)
        except CheckpointError as error:
            damaged.append(str(error))
    raise CheckpointError("; ".join(damaged) or f"{folder} has no checkpoint (step-*.ckpt)")


def keep_newest(folder: Path, step: int, count: int) -> None:
    """After the checkpoint of `step` is written: of those up to it the newest `count` stay. Later ones, of another run
    in the same folder, are not ours to remove."""
    for old in [s for s in steps_in(folder) if s <= step][: -max(count, 1)]:
        path_of(folder, old).unlink(missing_ok=True)


def check_folder(folder: Path, size: int) -> None:
    """Before the first step. Raises `CheckpointError` where no checkpoint of `size` bytes could be written."""
    probe = folder / f"{durable.UNFINISHED}probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        durable.write(probe, b"")
        probe.unlink()
    except OSError as error:
        raise CheckpointError(f"no checkpoint could be written: {durable.reason(error, folder, size)}") from error
    if (free := durable.free_bytes(folder)) < size:
        raise CheckpointError(
            f"no checkpoint could be written: one takes about {size / 1e6:,.0f} MB, the disk that holds {folder} has "
            f"{free / 1e6:,.0f} MB free. Make room, or choose another --output-dir"
        )


def random_state(device: torch.device | str) -> dict[str, Any]:
    """Every generator of random numbers of this process: Python's, numpy's, torch's, the GPU's."""
    _, python, python_gauss = random.getstate()
    name, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 (somebody may draw from it)
    assert name == "MT19937" and isinstance(keys, np.ndarray)
    return {
        "python": (torch.tensor(python), python_gauss),
        "numpy": (torch.from_numpy(keys.astype(np.int64)), int(position), int(has_gauss), float(gauss)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if torch.device(device).type == "cuda" else None,
    }


def set_random_state(state: dict[str, Any], device: torch.device | str) -> None:
    """Go on where `random_state` was taken."""
    python, python_gauss = state["python"]
    random.setstate((3, tuple(python.tolist()), python_gauss))
    keys, *rest = state["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if torch.device(device).type == "cuda" and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"], device)
