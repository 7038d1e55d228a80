"""Was the fit made with another gender's model? Shape coefficients mean other things to each, and the masks tell."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..body_file import GENDERS, BodyFileError, find_body_file
from ..body_model import load_body
from .examination import Examination
from .findings import Finding
from .sampling import body_points
from .silhouette import iou, silhouette

PICTURES = 24
"""Pictures on which each model is tried."""
BETTER = 0.01
"""Overlap by which another model must win. A wrong gender moves outlines by a centimetre or two, not by limbs."""


def compare_genders(exam: Examination, source: str, gender: str) -> Iterator[Finding]:
    """Findings about the other models of the folder `source`; none where the body is a single file."""
    if not Path(source).is_dir() or not exam.pictures:
        return
    # drawn by lot: every n-th picture may be one camera's
    chosen = np.random.default_rng(0).permutation(len(exam.pictures))[:PICTURES]
    some = [exam.pictures[i] for i in chosen]
    own = float(np.mean([picture.iou for picture in some]))
    rows = sorted({picture.image.frame for picture in some})
    overlap = {gender: own}
    for other in GENDERS:
        if other == gender:
            continue
        try:
            find_body_file(Path(source), other)
        except BodyFileError:
            continue
        body = load_body(source, other)
        points, faces, scores = body_points(exam.capture, body, rows), body.faces.numpy(), []
        for picture in some:
            view = exam.views[picture.image.camera]
            size = (view.width, view.height)
            shadow = silhouette(points[picture.image.frame], faces, view.K, view.T_cam_world, size)
            scores.append(iou(shadow, picture.mask))
        overlap[other] = float(np.mean(scores))
    if len(overlap) == 1:
        return
    best = max(overlap, key=lambda name: overlap[name])
    shown = ", ".join(f"{name} {overlap[name]:.3f}" for name in GENDERS if name in overlap)
    if overlap[best] > own + BETTER:
        yield Finding(
            "gender", "warning", "fit",
            f"the {best} body model overlaps the masks better than the {gender} one ({shown}): it made the fit.",
            f"Give --gender {best} (training: --pipeline.model.gender {best}).", overlap[best], "overlap",
        )  # fmt: skip
    else:
        yield Finding("gender", "info", "fit", f"overlap with the masks by body model: {shown}.",
                      value=own, unit="overlap")  # fmt: skip
