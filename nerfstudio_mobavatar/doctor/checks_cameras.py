"""Checks of the cameras: where they stand, what they see, how each agrees with the fitted body."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .alternatives import CLEARLY, TOO_LITTLE, Trial, best_convention, conventions
from .corrections import Correction, exchanged, reread, shifted
from .examination import Examination
from .findings import Finding, listed
from .measure import Measured
from .silhouette import iou

POOR = 0.5
"""Overlap of silhouettes and masks below which cameras, masks or fit are wrong. Bare body against wide clothes: 0.6 to
0.8; tight clothes and a good fit: 0.85 to 0.95."""

USELESS = 0.2
"""Median overlap of all cameras below which training is pointless."""

SHIFT = 0.004
"""Systematic shift of a camera, share of the picture's longest side: 1 px at 256 px, 8 px at 2048 px."""

GAP = 150.0
"""Degrees around the person that no camera covers."""

CUT = 0.85
"""Share of the body that should be in the picture."""

SMALL = 0.25
"""Height of the person, share of the picture's longest side."""


def check(exam: Examination) -> Iterator[Finding]:
    """All findings about cameras."""
    yield from _agreement(exam)
    yield from _shifts(exam)
    yield from _rig(exam)
    yield from _intrinsics(exam)
    yield from _framing(exam)


def _scores(exam: Examination) -> dict[int, float]:
    scores = {c: exam.camera_iou(c) for c in range(len(exam.capture.cameras))}
    return {c: score for c, score in scores.items() if score is not None}


def usual_overlap(exam: Examination) -> float:
    """What the cameras that are right reach: the upper quartile, so that up to three quarters of them may be wrong."""
    scores = list(_scores(exam).values())
    return float(np.percentile(scores, 75)) if scores else 0.0


def _agreement(exam: Examination) -> Iterator[Finding]:
    """Is the fitted body where the masks are? If not: in all cameras or in some, and what would help?"""
    scores = _scores(exam)
    if not scores:
        return
    overall = float(np.median(list(scores.values())))
    trial = _convention(exam, exam.pictures) if overall < 0.75 else None
    if trial:
        exam.corrections.append(reread(trial.alternative))
    better = (
        f" It would be {trial.iou:.2f} if {trial.alternative.says}." if trial else " No other convention fits better."
    )
    advice = trial.alternative.remedy if trial else "Look at the contact sheet (--sheet): fit, masks or calibration."
    if overall < USELESS or (overall < POOR and trial):
        yield Finding(
            trial.alternative.code if trial else "no-overlap", "error", str(exam.capture.root),
            f"the fitted body's silhouette and the masks hardly overlap: {overall:.2f} of 1 over all cameras "
            f"(ordinary: "
            f"0.6 to 0.95).{better}", advice, overall, "overlap",
        )  # fmt: skip
        return
    if overall < POOR or trial:
        yield Finding(
            trial.alternative.code if trial else "low-overlap", "warning", str(exam.capture.root),
            f"the fitted body's silhouette and the masks overlap by {overall:.2f} over all cameras (ordinary: 0.6 to "
            f"0.95).{better}", advice, overall, "overlap",
        )  # fmt: skip
    else:
        yield Finding("overlap", "info", str(exam.capture.root),
                      f"the fitted body's silhouette and the masks overlap by {overall:.2f} (median of the cameras; "
                      "ordinary: 0.6 to 0.95).", value=overall, unit="overlap")  # fmt: skip
    usual = usual_overlap(exam)
    if usual < POOR:
        return  # something is wrong with all of them
    for c, score in scores.items():
        finding = _camera(exam, c, score, usual) if score < 0.7 * usual else None
        if finding:
            yield finding


def _convention(exam: Examination, pictures: list[Measured]) -> Trial | None:
    """The best other reading of these pictures (at most twelve of them), if it clearly wins."""
    some = [pictures[i] for i in np.unique(np.linspace(0, len(pictures) - 1, min(12, len(pictures))).astype(int))]
    return best_convention(some, exam.views, exam.points, exam.body.faces.numpy(), conventions(exam.capture, exam.body))


def _camera(exam: Examination, c: int, score: float, usual: float) -> Finding | None:
    """One camera that disagrees while the others do not, and what would explain it best."""
    name = exam.capture.cameras[c].name
    reasons = [reason for reason in _reasons(exam, c) if reason.iou > max(score + CLEARLY, 0.6 * usual)]
    best = max(reasons, key=lambda reason: reason.iou, default=None)
    if best is not None and best.code == "camera-shift":
        return None  # _shifts says it, with the numbers
    what = f"silhouettes and masks overlap by {score:.2f}, in others by {usual:.2f}."
    if best is None:
        advice = f"Look at the contact sheet (--sheet); calibrate it again, or leave it out with --skip-cameras {name}."
        return Finding("camera-disagrees", "warning", f"camera {name}", what, advice, score, "overlap")
    what += f" It would be {best.iou:.2f} if {best.says}."
    if best.correction and best.correction.says not in {known.says for known in exam.corrections}:
        exam.corrections.append(best.correction)
    return Finding(best.code, "warning", f"camera {name}", what, best.remedy, score, "overlap")


@dataclass(frozen=True)
class _Reason:
    code: str
    iou: float
    says: str
    """Ends "it would be 0.80 if ..."."""
    remedy: str
    correction: Correction | None = None


def _reasons(exam: Examination, c: int) -> Iterator[_Reason]:
    """Everything that could be wrong with one camera, and the overlap if it were put right."""
    pictures, names = exam.of_camera(c), [camera.name for camera in exam.capture.cameras]
    trial = _convention(exam, pictures)
    if trial:
        one = reread(trial.alternative, c) if trial.alternative.move is None else None
        yield _Reason(trial.alternative.code, trial.iou, trial.alternative.says, trial.alternative.remedy, one)
    other = _exchanged(exam, c)
    if other:
        remedy = (
            "Exchange the folders, or the entries of the calibration (mobavatar doctor --fix OUT writes such a copy)."
        )
        a, b = sorted((c, other[0]))
        both = exchanged(a, b, (names[a], names[b]))
        yield _Reason("cameras-exchanged", other[1], f"it had camera {names[other[0]]}'s calibration", remedy, both)
    for what, flip in (("mirrored left to right", np.fliplr), ("upside down", lambda m: m[::-1, ::-1])):
        turned = float(np.median([iou(p.shadow, flip(p.mask)) for p in pictures]))
        yield _Reason("camera-flipped", turned, f"its pictures were {what}", "Turn its pictures and masks back.")
    if c in exam.shifts:
        yield _Reason("camera-shift", exam.shifts[c].iou, "its silhouettes moved", "")


def _exchanged(exam: Examination, c: int) -> tuple[int, float] | None:
    """The camera whose silhouettes fit this camera's masks best, and how well."""
    masks = {p.image.frame: p.mask for p in exam.of_camera(c)}
    scores = {}
    for other in range(len(exam.capture.cameras)):
        pairs = [(p.shadow, masks[p.image.frame]) for p in exam.of_camera(other) if p.image.frame in masks]
        if other != c and pairs and all(a.shape == b.shape for a, b in pairs):
            scores[other] = float(np.median([iou(a, b) for a, b in pairs]))
    return max(scores.items(), key=lambda item: item[1], default=None)


def _shifts(exam: Examination) -> Iterator[Finding]:
    usual = usual_overlap(exam)
    if usual < POOR:
        return
    for c, shift in exam.shifts.items():
        camera, view = exam.capture.cameras[c], exam.views[c]
        factor = camera.width / view.width
        longest = max(view.width, view.height)
        believable = shift.iou > max(TOO_LITTLE, 0.8 * usual) and shift.iou - shift.iou_unmoved > 0.01
        if believable and shift.length > max(SHIFT * longest, shift.spread):
            exam.corrections.append(shifted(c, camera.name, factor * shift.dx, factor * shift.dy))
            yield Finding(
                "camera-shift",
                "warning",
                f"camera {camera.name}",
                f"its silhouettes lie {factor * shift.length:.1f} px beside its masks in all frames (scatter "
                f"{factor * shift.spread:.1f} px): moving them by "
                f"({factor * shift.dx:+.1f}, {factor * shift.dy:+.1f}) px raises the overlap from "
                f"{shift.iou_unmoved:.2f} "
                f"to {shift.iou:.2f}.",
                "Calibrate it again, check for a crop or resize after calibration, or leave it out with --skip-cameras "
                f"{camera.name}; mobavatar doctor --fix OUT --shift-cameras moves its principal point.",
                factor * shift.length,
                "px",
            )


def _rig(exam: Examination) -> Iterator[Finding]:
    """Directions from which the person is seen."""
    capture = exam.capture
    centres = np.array([np.linalg.inv(camera.T_cam_world)[:3, 3] for camera in capture.cameras])
    body = np.mean([points.mean(0) for points in exam.points.values()], axis=0)
    if len(centres) > 1:
        apart = np.linalg.norm(centres[:, None] - centres[None], axis=2) + 1e9 * np.eye(len(centres))
        a, b = np.unravel_index(int(apart.argmin()), apart.shape)
        if apart[a, b] < 1e-3:
            yield Finding(
                "cameras-same-place", "warning", f"cameras {capture.cameras[a].name}, {capture.cameras[b].name}",
                f"they stand at the same place ({1000 * apart[a, b]:.2f} mm apart).",
                "Two entries were probably copied from one: check the calibration.", float(apart[a, b]), "m",
            )  # fmt: skip
    up = np.array(capture.up)
    flat = (centres - body) - np.outer((centres - body) @ up, up)
    side = np.cross(up, np.eye(3)[(int(np.abs(up).argmax()) + 1) % 3])
    angles = np.sort(np.rad2deg(np.arctan2(flat @ np.cross(up, side), flat @ side)) % 360)
    gaps = np.diff(np.concatenate([angles, angles[:1] + 360]))
    if gaps.max() > GAP:
        few = f"{len(angles)} camera{'s' if len(angles) > 1 else ''}"
        yield Finding(
            "rig-gap", "warning" if len(angles) > 1 else "info", "all cameras",
            f"{gaps.max():.0f} of 360 degrees around the person are seen by none of the {few}.",
            "What no camera sees is invented: let the person turn, or add cameras there.", float(gaps.max()), "degrees",
        )  # fmt: skip
    down = np.mean([camera.T_cam_world[1, :3] for camera in capture.cameras], axis=0)
    tilt = np.rad2deg(np.arccos(np.clip(-down @ up / max(np.linalg.norm(down), 1e-9), -1, 1)))
    axis = "xyz"[int(np.abs(up).argmax())]
    if tilt > 50 and np.linalg.norm(down) > 0.3:
        yield Finding(
            "up-axis", "warning", "all cameras",
            f"the fitted body stands along {'+' if up.sum() > 0 else '-'}{axis}, but the cameras' pictures have "
            f"another "
            f"direction up ({tilt:.0f} degrees apart).",
            "If the pictures are upright, body and cameras live in different worlds: turn one of them.",
            float(tilt), "degrees",
        )  # fmt: skip
    distance = float(np.median(np.linalg.norm(centres - body, axis=1)))
    yield Finding("rig", "info", "all cameras",
                  f"{len(centres)} cameras, {distance:.1f} m from the person (median); "
                  f"{'+' if up.sum() > 0 else '-'}{axis} "
                  "is up.", value=distance, unit="m")  # fmt: skip


def _intrinsics(exam: Examination) -> Iterator[Finding]:
    bent = [camera.name for camera in exam.capture.cameras if np.any(camera.distortion)]
    if bent:
        strongest = max(float(np.abs(camera.distortion).max()) for camera in exam.capture.cameras)
        yield Finding("distortion", "info", f"cameras {listed(bent)}",
                      f"their lens distortion (largest coefficient {strongest:.2g}) is undone while loading.",
                      value=strongest)  # fmt: skip
    for camera in exam.capture.cameras:
        ratio = camera.K[0, 0] / camera.K[1, 1]
        off = np.abs(camera.K[:2, 2] / [camera.width, camera.height] - 0.5).max()
        if not 0.9 < ratio < 1.11:
            yield Finding("focal-ratio", "warning", f"camera {camera.name}",
                          f"fx / fy is {ratio:.2f} (expected 1): pixels are not square.",
                          "If the pictures were resized to another shape, K must follow both sides.",
                          float(ratio))  # fmt: skip
        if off > 0.1:
            yield Finding("principal-point", "warning", f"camera {camera.name}",
                          f"the principal point is {100 * off:.0f}% of the picture away from its middle.",
                          "If the pictures were cropped, subtract the crop's corner from cx, cy.",
                          float(off), "share of the side")  # fmt: skip


def _framing(exam: Examination) -> Iterator[Finding]:
    cut, small = [], []
    for c, camera in enumerate(exam.capture.cameras):
        pictures = exam.of_camera(c)
        if not pictures or np.median([p.iou for p in pictures]) < USELESS:
            continue
        if np.median([p.visible for p in pictures]) < CUT:
            cut.append(camera.name)
        heights = [np.ptp(np.flatnonzero(p.mask.any(1))) + 1 for p in pictures if p.mask.any()]
        if heights and np.median(heights) < SMALL * max(exam.views[c].width, exam.views[c].height):
            small.append(camera.name)
    if cut:
        yield Finding("body-cut", "info", f"cameras {listed(cut)}", "part of the body is outside their pictures.",
                      value=float(len(cut)), unit="cameras")  # fmt: skip
    if small:
        yield Finding("body-small", "warning", f"cameras {listed(small)}",
                      "the person is less than a quarter of the picture's longer side tall.",
                      "Crop the pictures (and subtract the corner from cx, cy): most pixels show background.",
                      value=float(len(small)), unit="cameras")  # fmt: skip
