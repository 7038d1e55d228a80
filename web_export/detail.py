"""Levels of detail and the fineness of the training pictures, as the avatar file's header stores them. numpy only.

A level is a prefix of the list of Gaussians, drawn with larger standard deviations in place of all of them. It is good
enough where the person is small in the picture: `focal length in pixels / distance in metres`, the pixels per metre.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

MAX_ENLARGE = 16.0


@dataclass(frozen=True)
class Level:
    """One prefix of the Gaussians."""

    count: int
    """The first so many Gaussians are drawn."""
    enlarge: float
    """Factor of all their standard deviations."""
    pixels_per_metre: float
    """Up to here nothing is lost; 0: nowhere."""


def levels_header(levels: Sequence[Level]) -> dict[str, Any]:
    """The optional header entry `levels`; empty where there are none."""
    return {"levels": [asdict(level) for level in levels]} if levels else {}


def levels_fault(levels: Any, num_gaussians: int) -> str | None:
    """What is wrong with the entry `levels` of a header, or None."""
    fault = f"levels must ascend and lie below {num_gaussians} Gaussians"
    if not isinstance(levels, list):
        return fault
    count, fineness = 0, 0.0
    for entry in levels:
        if not isinstance(entry, dict) or not all(_is_finite(entry.get(field.name)) for field in fields(Level)):
            return fault
        is_count = isinstance(entry["count"], int) and count < entry["count"] < num_gaussians
        if not is_count or not 0 < entry["enlarge"] <= MAX_ENLARGE or entry["pixels_per_metre"] < fineness:
            return fault
        count, fineness = entry["count"], entry["pixels_per_metre"]
    return None


def _is_finite(x: Any) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)


def read_levels(header: dict[str, Any]) -> tuple[Level, ...]:
    """The header's levels, coarsest first, without the whole avatar. ValueError where they make no sense."""
    levels = header.get("levels", [])
    fault = levels_fault(levels, header["num_gaussians"])
    if fault:
        raise ValueError(f"{fault}, found {levels}")
    return tuple(Level(e["count"], float(e["enlarge"]), float(e["pixels_per_metre"])) for e in levels)


def read_pixels_per_metre(header: dict[str, Any]) -> float | None:
    """The optional header entry `pixels_per_metre`. ValueError on what is no size."""
    found = header.get("pixels_per_metre")
    if found is not None and not 0 < float(found) < math.inf:
        raise ValueError(f"pixels_per_metre must be a positive number, found {found}")
    return None if found is None else float(found)
