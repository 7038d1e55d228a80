"""Landmarks without their tremor: the One Euro filter (Casiez, Roussel, Vogel, CHI 2012), a low pass whose cutoff
rises with speed, so that a still hand is still and a fast one does not lag."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .landmarks import Landmarks

MIN_CUTOFF_HZ, BETA, SPEED_CUTOFF_HZ = 1.0, 10.0, 2.0
"""Cutoff at rest; Hz more for each metre a second; cutoff of the speed itself."""
FORGET_S = 0.5
"""After so long without a picture the next one is taken as it is."""


@dataclass
class OneEuro:
    """Filters an array, each number by itself."""

    _last: Float[ndarray, "..."] | None = None
    _speed: Float[ndarray, "..."] | None = None
    _when: float = 0.0

    def __call__(self, x: Float[ndarray, "..."], seconds: float) -> Float[ndarray, "..."]:
        """The smoothed value at a time, which must not go back; the same time again gives the last value."""
        last, speed, step = self._last, self._speed, seconds - self._when
        if last is None or speed is None or step > FORGET_S:
            self._last, self._speed, self._when = x, np.zeros_like(x), seconds
            return x
        if step <= 0:
            return last
        speed = speed + _share(step, np.full_like(x, SPEED_CUTOFF_HZ)) * ((x - last) / step - speed)
        smooth = last + _share(step, MIN_CUTOFF_HZ + BETA * np.abs(speed)) * (x - last)
        self._last, self._speed, self._when = smooth, speed, seconds
        return smooth


def _share(step: float, cutoff_hz: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
    """How much of a new value a first-order low pass takes."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * step))


class Smoother:
    """Smooths all arrays of landmarks; what was not seen in a picture starts anew."""

    def __init__(self) -> None:
        self._filters: dict[str, OneEuro] = {}

    def __call__(self, marks: Landmarks, seconds: float) -> Landmarks:
        found = {}
        for name in ("body", "left_hand", "right_hand", "face"):
            value = getattr(marks, name)
            if value is None:
                self._filters.pop(name, None)
            else:
                found[name] = self._filters.setdefault(name, OneEuro())(value, seconds)
        return replace(marks, **found)
