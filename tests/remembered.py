"""Pure functions of the doctor that remember what they were asked, for tests that examine one capture a hundred times.

Most corruptions leave bodies and cameras as they are, and nearly all of an examination is drawing silhouettes. Keys are
the arguments' bytes: what is remembered is what would be computed again.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import pytest

from nerfstudio_mobavatar.body_model import Body
from nerfstudio_mobavatar.capture import BodyFit, Capture
from nerfstudio_mobavatar.doctor import (
    alternatives,
    checks_time,
    examine,
    hands,
    measure,
    reading,
    sampling,
    silhouette,
)


def digest(*arrays: Any) -> bytes:
    """Of the content, shape and type of arrays."""
    made = blake2b(digest_size=16)
    for array in map(np.asarray, arrays):
        made.update(f"{array.shape}{array.dtype.str}".encode())
        made.update(array.tobytes())
    return made.digest()


def remember(patch: pytest.MonkeyPatch) -> None:
    """Put the remembering functions in place until `patch` is undone. They keep some hundred megabytes at most."""
    bodies: dict[tuple[str, str], Any] = {}
    shadows: dict[bytes, np.ndarray] = {}
    vertices: dict[bytes, np.ndarray] = {}

    def load(source: str, gender: str) -> Any:
        if (source, gender) not in bodies:
            bodies[source, gender] = original_load(source, gender)
        return bodies[source, gender]

    def shadow(*arguments: Any) -> np.ndarray:
        key = digest(*arguments)
        if key not in shadows:
            shadows[key] = original_shadow(*arguments)
        return shadows[key].copy()

    def points(capture: Capture, body: Body, rows: Sequence[int]) -> dict[int, np.ndarray]:
        keys = {row: _key(capture.fit, body, row) for row in rows}
        fresh = [row for row in rows if keys[row] not in vertices]
        if fresh:
            vertices.update({keys[row]: found for row, found in original_points(capture, body, fresh).items()})
        return {row: vertices[key] for row, key in keys.items()}

    original_load, original_shadow, original_points = reading.load_body_for, silhouette.silhouette, sampling.body_points
    patch.setattr(reading, "load_body_for", load)
    _everywhere(patch, "silhouette", (alternatives, checks_time, hands, measure), shadow)
    _everywhere(patch, "body_points", (checks_time, examine, hands), points)


def _key(fit: BodyFit, body: Body, row: int) -> bytes:
    # the template stands for the body: two files of one name may differ
    return digest(fit.pose[row], fit.transl[row], fit.expression[row], fit.betas, body.v_template)


def _everywhere(patch: pytest.MonkeyPatch, name: str, modules: Sequence[Any], function: Callable[..., Any]) -> None:
    for module in modules:
        patch.setattr(module, name, function)
