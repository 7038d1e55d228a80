"""Is every camera in time? Each mask is compared with the body a few frames earlier and later."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .checks_cameras import usual_overlap
from .corrections import renumbered
from .examination import Examination
from .findings import Finding, listed
from .sampling import body_points
from .silhouette import iou, silhouette

FIRST, FURTHER = (-1, 1), (2, 3, 6)
"""Frames by which a camera may be early or late; the further ones are tried in the direction that helps."""

ROWS, CAMERAS = 5, 16
"""Fast frames that are looked at, in at most so many cameras."""

GAIN = 0.02
"""Overlap by which another moment must fit better, on average."""


def check(exam: Examination) -> Iterator[Finding]:
    """Findings about synchronisation; nothing where the body is too slow to tell or the overlap too low."""
    rows = _fast_rows(exam)
    if len(rows) < 3 or np.median([p.iou for p in exam.pictures]) < 0.5:
        return
    gains = _best(exam, rows)
    offsets = {c: offset for c, (offset, _, _) in gains.items() if offset}
    if len(offsets) > 1 and len(set(offsets.values())) == 1 and len(offsets) == len(gains):
        offset, before, after = next(iter(gains.values()))
        yield Finding(
            "fit-late", "warning", "fit",
            f"the masks show the body of {_moment(offset)} in all cameras: the overlap rises from {before:.2f} to "
            f"{after:.2f} with that row of the fit.",
            "Shift the rows of the fit, or the numbers of the pictures.", float(-offset), "frames",
        )  # fmt: skip
        return
    for c, offset in offsets.items():
        _, before, after = gains[c]
        exam.corrections.append(renumbered(c, exam.capture.cameras[c].name, offset))
        yield Finding(
            "camera-late", "warning", f"camera {exam.capture.cameras[c].name}",
            f"its masks show the body of {_moment(offset)} (frames {listed(map(exam.frame_number, rows))}): it "
            f"recorded "
            f"{abs(offset)} frame{'s' if abs(offset) > 1 else ''} {'late' if offset < 0 else 'early'}. The overlap "
            f"would "
            f"be {after:.2f} instead of {before:.2f}.",
            "Renumber its pictures and masks (mobavatar doctor --fix OUT links such a copy), or leave it out with "
            f"--skip-cameras {exam.capture.cameras[c].name}.", float(-offset), "frames",
        )  # fmt: skip


def _moment(offset: int) -> str:
    return f"{abs(offset)} frame{'s' if abs(offset) > 1 else ''} {'before' if offset < 0 else 'after'}"


def _fast_rows(exam: Examination) -> list[int]:
    """Sampled rows in whose neighbourhood the body moves fastest, twisted stretches left out."""
    found, last = exam.steps, len(exam.capture.frames) - 1
    if found is None or last < 6:
        return []
    reach = max(FURTHER) if last >= 24 else 2
    bad = set(exam.twisted)
    rows = sorted({p.image.frame for p in exam.pictures})
    inner = [r for r in rows if reach <= r <= last - reach and not bad & set(range(r - reach, r + reach + 1))]
    speed = {r: float(found.turn[r - 2 : r + 2].mean()) for r in inner}
    return sorted(sorted(inner, key=lambda r: -speed[r])[:ROWS])


def _best(exam: Examination, rows: list[int]) -> dict[int, tuple[int, float, float]]:
    """By camera: the offset that fits best (0 unless it wins clearly and in most frames), overlap at 0 and there."""
    last, usual = len(exam.capture.frames) - 1, usual_overlap(exam)
    wanted = sorted({r + k for r in rows for k in range(-max(FURTHER), max(FURTHER) + 1) if 0 <= r + k <= last})
    points = body_points(exam.capture, exam.body, wanted)
    result = {}
    scored = [(exam.camera_iou(c) or 0.0, c) for c in range(len(exam.capture.cameras))]
    for _, c in sorted(scored)[:CAMERAS]:
        pictures = [p for p in exam.of_camera(c) if p.image.frame in rows]
        if len(pictures) < 3:
            continue
        masks, now = {p.image.frame: p.mask for p in pictures}, np.array([p.iou for p in pictures])
        best = (0, float(now.mean()), float(now.mean()))
        gains: dict[int, float] = {}
        for k in FIRST:
            best, gains[k] = _try(k, _overlaps(exam, c, masks, points, k), now, best, usual)
        helps = max(gains, key=lambda k: gains[k])
        for k in FURTHER if gains[helps] > 0 else ():
            signed = k if helps > 0 else -k
            best, _ = _try(signed, _overlaps(exam, c, masks, points, signed), now, best, usual)
        result[c] = best
    return result


def _try(
    offset: int,
    then: Float[ndarray, " n"],
    now: Float[ndarray, " n"],
    best: tuple[int, float, float],
    usual: float,
) -> tuple[tuple[int, float, float], float]:
    """The better of `best` and this offset, and how much this offset gains (NaN-free frames only)."""
    known = ~np.isnan(then)
    if known.sum() < 3:
        return best, -1.0
    gain = then[known] - now[known]
    reached = float(then[known].mean())
    wins = gain.mean() > GAIN and (gain > 0).mean() >= 0.75 and reached > max(0.8 * usual, best[2])
    return (offset, float(now[known].mean()), reached) if wins else best, float(gain.mean())


def _overlaps(
    exam: Examination, c: int, masks: dict[int, ndarray], points: dict[int, Float[ndarray, "v 3"]], offset: int
) -> Float[ndarray, " n"]:
    """Overlap of each mask with the body `offset` frames later; NaN beyond the recording."""
    view, faces = exam.views[c], exam.body.faces.numpy()
    scores = []
    for row, mask in masks.items():
        body = points.get(row + offset)
        if body is None:
            scores.append(np.nan)
        else:
            scores.append(iou(silhouette(body, faces, view.K, view.T_cam_world, (view.width, view.height)), mask))
    return np.array(scores)
