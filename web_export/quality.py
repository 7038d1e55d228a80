"""`--quality` and `--max-bytes`: which precision a file is written in, and the table of what every section costs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from . import bundle
from .arrays import AvatarArrays, BundleError
from .evaluate import Pose, raw_inputs
from .precision import HIGH, PRESETS, Precision, Quality, between, ladder

Draw = Callable[[AvatarArrays], list[np.ndarray]]
"""An avatar -> pictures [h, w, 3] uint8 of a few poses."""

GROUPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "skeleton": (("joint_rest", "inverse_bind", "joint_parent"), ()),
    "positions": (("position",), ("position_m",)),
    "rotations": (("rotation",), ("rotation",)),
    "scales": (("log_scale",), ("log_scale",)),
    "colours": (("color",), ("color",)),
    "opacities": (("opacity",), ("opacity_levels",)),
    "skin weights": (("skin_sets", "skin_set", "skin_weight"), ("skin_weight_levels",)),
    "parts and nodes": (("part", "node_index", "node_weight", "node_part"), ("node_weight_levels",)),
    "rotation correctives": (("rotation_index", "rotation_basis"), ("rotation_corrective",)),
    "scale correctives": (("scale_index", "scale_basis"), ("scale_corrective",)),
    "colour correctives": (("color_index", "color_basis"), ("color_corrective",)),
    "node displacements": (("node_basis",), ("node_corrective_m",)),
    "networks": ((), ("mlp_bits",)),  # all that begin with mlp_
}
"""Rows of the table: names of sections, and fields of the precision."""


@dataclass(frozen=True)
class Encoded:
    """A file, and how it came about."""

    data: bytes
    name: str
    """Of the precision."""
    precision: Precision
    is_tuned: bool = False
    """Whether it was fine-tuned before it was rounded."""


def network_inputs(a: AvatarArrays, poses: Sequence[Pose]) -> np.ndarray | None:
    """[S, in] inputs of the poses over which rounding errors are weighed; None where there are none."""
    return np.stack([raw_inputs(a, pose) for pose in poses]) if poses else None


@dataclass(frozen=True)
class Precisely:
    """What was asked for."""

    quality: Quality = "balanced"
    max_bytes: int | None = None

    def encode(self, a: AvatarArrays, poses: Sequence[Pose], tune: bundle.Tune | None = None) -> Encoded:
        """The file in the precision of the preset; with `max_bytes` the finest one that fits, the preset's or coarser:
        the first rung of the ladder that does, then halves of the way back to the one before.

        `poses`: those over which errors are weighed. `tune` comes last, since it takes long: where a tuned file is
        larger than `max_bytes`, a coarser one is tuned again. Raises `BundleError` where even the coarsest is larger.
        """
        inputs = network_inputs(a, poses)
        if self.max_bytes is None:
            return _tuned(a, inputs, Encoded(b"", self.quality, PRESETS[self.quality]), tune)
        most = self.max_bytes
        while True:
            found = self._fitting(a, inputs, most)
            tuned = found if tune is None else _tuned(a, inputs, found, tune)
            if len(tuned.data) <= self.max_bytes:
                return tuned
            # as much smaller as it grew, and a little
            most = int(min(most, len(found.data)) - (len(tuned.data) - self.max_bytes) - 0.001 * self.max_bytes)

    def _fitting(self, a: AvatarArrays, inputs: np.ndarray | None, most: int) -> Encoded:
        """The finest file of at most `most` bytes."""
        rungs = ladder()
        data, finer = b"", None
        for name, precision in rungs[[name for name, _ in rungs].index(self.quality) :]:
            data = bundle.encode(a, precision, inputs)
            if len(data) <= most:
                found = Encoded(data, name, precision)
                return found if finer is None else _closer(a, inputs, most, finer, found)
            finer = precision
        raise BundleError(
            f"the coarsest precision takes {len(data):,} bytes, more than the {self.max_bytes:,} asked for: train with "
            "fewer Gaussians, or prune more"
        )


def _tuned(a: AvatarArrays, inputs: np.ndarray | None, found: Encoded, tune: bundle.Tune | None) -> Encoded:
    """The file in the precision that was found."""
    return replace(found, data=bundle.encode(a, found.precision, inputs, tune), is_tuned=tune is not None)


HALVINGS = 5
CLOSE = 0.99
"""Of the bytes allowed: closer is not worth another file."""


def _closer(a: AvatarArrays, inputs: np.ndarray | None, most: int, finer: Precision, found: Encoded) -> Encoded:
    """The file that comes closest below `most` bytes between `finer`, which does not fit, and `found`, which does."""
    low, high, best = 0.0, 1.0, found
    for _ in range(HALVINGS):
        if len(best.data) >= CLOSE * most:
            break
        t = 0.5 * (low + high)
        precision = between(finer, found.precision, t)
        data = bundle.encode(a, precision, inputs)
        if len(data) > most:
            low = t
            continue
        high = t
        if len(data) > len(best.data):
            best = Encoded(data, f"{1 - t:.0%} finer than {found.name}", precision)
    return best


BALANCED = Precisely()


def _sizes(data: bytes) -> dict[str, int]:
    """Stored bytes of each row of the table, and of the header."""
    stored = {e["name"]: e["stored_bytes"] for e in bundle.read_header(data)[0]["sections"]}
    rows = {title: sum(stored.get(name, 0) for name in names) for title, (names, _) in GROUPS.items()}
    rows["networks"] = sum(size for name, size in stored.items() if name.startswith("mlp_"))
    return rows | {"header": len(data) - sum(stored.values())}


def size_table(data: bytes) -> str:
    """Rows `section, bytes`."""
    return "\n".join(f"  {title:<28}{size:>12,}" for title, size in _sizes(data).items())


def table(a: AvatarArrays, made: Encoded, poses: Sequence[Pose], draw: Draw) -> str:
    """Rows `section, bytes, image difference`: decibels on the person between the avatar before rounding and with only
    this section rounded (not tuned), over the pictures that `draw` makes; of the whole file as it is."""
    inputs = network_inputs(a, poses)
    exact = draw(bundle.rounded(a, HIGH, inputs))

    def difference(found: AvatarArrays) -> str:
        return f"{picture_psnr(exact, draw(found)):6.1f} dB"

    rows = []
    for title, size in _sizes(made.data).items():
        fields = {f: getattr(made.precision, f) for f in GROUPS.get(title, ((), ()))[1]}
        alone = fields and made.precision != HIGH
        rows.append((title, size, difference(bundle.rounded(a, replace(HIGH, **fields), inputs)) if alone else ""))
    rows.append((f"whole file ({made.name})", len(made.data), difference(bundle.decode(made.data))))
    lines = [f"  {title:<28}{size:>12,}  {shown}".rstrip() for title, size, shown in rows]
    if made.is_tuned:
        lines.append(f"  {'the same, not fine-tuned':<42}{difference(bundle.rounded(a, made.precision, inputs))}")
    return "\n".join(lines)


def picture_psnr(exact: Sequence[np.ndarray], rounded: Sequence[np.ndarray]) -> float:
    """Decibels between uint8 pictures over the boxes around whatever is drawn in them; 100 for equal ones."""
    squares, count = 0.0, 0
    for a, b in zip(exact, rounded):
        person = (a != a[0, 0]).any(-1)
        rows, columns = np.flatnonzero(person.any(1)), np.flatnonzero(person.any(0))
        box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)) if len(rows) else (slice(None),) * 2
        squares += float(((a[box].astype(np.float64) - b[box]) ** 2).sum())
        count += a[box].size
    return float(10 * np.log10(255**2 / max(squares / max(count, 1), 255**2 * 1e-10)))
