"""Levels of detail and the fineness of the training pictures, as the avatar file's header stores them. numpy only.

A level is a prefix of the list of Gaussians, drawn with larger standard deviations in place of all of them. It is good
enough where the person is small in the picture: `focal length in pixels / distance in metres`, the pixels per metre.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

MAX_ENLARGE = 16.0


@dataclass(frozen=True)
class Level:
    """One prefix of the Gaussians."""

    count: int
    """The first so many Gaussians are drawn."""
    enlarge: float
    """Factor of all their standard deviations."""
    pixels_per_metre: float
    """Up to here nothing is lost; 0 where the level is only for devices that are too slow."""


def levels_header(levels: Sequence[Level]) -> dict[str, Any]:
    """The optional header entry `levels`; empty where there are none."""
    return {"levels": [asdict(level) for level in levels]} if levels else {}


def read_levels(header: dict[str, Any]) -> tuple[Level, ...]:
    """The header's levels, coarsest first, without the whole avatar. ValueError where they make no sense."""
    levels = tuple(Level(**entry) for entry in header.get("levels", ()))
    counts = [0, *(level.count for level in levels), header["num_gaussians"]]
    fineness = [0.0, *(level.pixels_per_metre for level in levels)]
    numbers = [*fineness, *(level.enlarge for level in levels)]
    if (
        not all(type(count) is int for count in counts)
        or (np.diff(counts) <= 0).any()
        or (np.diff(fineness) < 0).any()
        or not np.isfinite(numbers).all()
        or any(not 0 < level.enlarge <= MAX_ENLARGE for level in levels)
    ):
        raise ValueError(f"levels must ascend and lie below {header['num_gaussians']} Gaussians, found {levels}")
    return levels


def read_pixels_per_metre(header: dict[str, Any]) -> float | None:
    """The optional header entry `pixels_per_metre`. ValueError on what is no size."""
    found = header.get("pixels_per_metre")
    if found is not None and not 0 < float(found) < np.inf:
        raise ValueError(f"pixels_per_metre must be a positive number, found {found}")
    return None if found is None else float(found)
