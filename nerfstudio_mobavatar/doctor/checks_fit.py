"""Checks of the body fit: frames that are twisted, shape and expression, hands, and how poses are split."""

from collections.abc import Iterator, Sequence

import numpy as np

from .corrections import narrowed, without_rows
from .examination import Examination, low_rows
from .findings import Finding, listed
from .motion import coverage

BETA = 4.0
"""Shape coefficient beyond which a shape is outside what the model was made from (standard deviations)."""

OUTSIDE = 0.05
"""Share of the silhouette outside the masks. Good fits stay under 0.02; clothes hide the rest."""

SLIM = 0.95
"""Area of the silhouette, share of the mask's."""

FAR_POSE = 15.0
"""Root mean square angle over the body's joints from which a held-out pose is unlike every trained one, degrees."""

STILL = 3.0
"""Spread of the trained poses below which the person hardly moves, degrees."""


def check(exam: Examination) -> Iterator[Finding]:
    """All findings about the fit."""
    yield from _widths(exam)
    yield from _twisted(exam)
    yield from _low_frames(exam)
    yield from _outline(exam)
    yield from _shape(exam)
    yield from _hands(exam)
    yield from _coverage(exam)


def ranges(numbers: Sequence[int]) -> str:
    """Numbers as half-open ranges for `--drop-frames`: "3:6 17"."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1]:
            parts[-1][1] = number + 1
        else:
            parts.append([number, number + 1])
    return " ".join(f"{a}:{b}" if b > a + 1 else str(a) for a, b in parts)


def _widths(exam: Examination) -> Iterator[Finding]:
    fit, body = exam.capture.fit, exam.body
    if len(fit.betas) > body.num_betas:
        yield Finding(
            "betas-width", "error", "fit",
            f"{len(fit.betas)} shape coefficients, but the body '{body.name}' has {body.num_betas}: the fit was made "
            "with another body file.",
            "Give that file with --body (training: --pipeline.model.body).", float(len(fit.betas)), "coefficients",
        )  # fmt: skip
    width = fit.expression.shape[1]
    if width > body.num_expressions:
        used = np.abs(fit.expression[:, body.num_expressions :]).max() > 1e-6
        exam.corrections.append(narrowed(body.num_expressions))
        yield Finding(
            "expression-width", "warning" if used else "info", "fit",
            f"{width} expression coefficients, but the body '{body.name}' has {body.num_expressions}"
            f"{'' if used else '; those beyond are zero'}.",
            f"Keep the first {body.num_expressions}: later coefficients mean nothing to this body." if used else "",
            float(width), "coefficients",
        )  # fmt: skip


def _twisted(exam: Examination) -> Iterator[Finding]:
    fps, found = exam.capture.fps, exam.steps
    if exam.twisted and found is not None:
        numbers = [exam.frame_number(row) for row in exam.twisted]
        exam.corrections.append(without_rows(exam.twisted, ranges(numbers)))
        row = exam.twisted[0]
        degrees = float(np.rad2deg(found.turn[row - 1]))
        usual = float(np.rad2deg(np.median(found.turn)))
        yield Finding(
            "fit-twisted", "warning", f"frames {listed(numbers)}",
            f"the fit jumps away and back in {len(numbers)} frames: {degrees:.0f} degrees (joint "
            f"{found.joint[row - 1]}) "
            f"and {found.move[row - 1]:.2f} m from one frame to the next, {usual:.1f} degrees being usual here.",
            f"Leave them out with --drop-frames {ranges(numbers)} (mobavatar doctor --fix OUT links a copy without "
            "them): a few such frames spoil the whole avatar.",
            float(len(numbers)), "frames",
        )  # fmt: skip
    if exam.jumps and found is not None:
        numbers = [exam.frame_number(row) for row in exam.jumps]
        yield Finding(
            "fit-jumps", "info", f"frames {listed(numbers)}",
            f"the pose jumps before {len(numbers)} frame{'s' if len(numbers) > 1 else ''} and stays there (a cut of "
            f"the "
            f"recording at {fps:g} frames a second, or a fit that changed its mind).",
            value=float(len(numbers)), unit="frames",
        )  # fmt: skip


def _low_frames(exam: Examination) -> Iterator[Finding]:
    rows = [row for row in low_rows(exam) if row not in exam.twisted]
    if rows:
        scores = exam.frame_iou()
        worst = min(rows, key=lambda row: scores[row])
        numbers = [exam.frame_number(row) for row in rows]
        yield Finding(
            "frames-disagree", "warning", f"frames {listed(numbers)}",
            f"body and masks overlap less than in the other frames: {scores[worst]:.2f} in frame "
            f"{exam.frame_number(worst)}, {np.median(list(scores.values())):.2f} being usual here ({len(scores)} "
            f"frames "
            "were looked at).",
            f"Look at them (--sheet); leave them out with --drop-frames {ranges(numbers)} if the fit is wrong.",
            scores[worst], "overlap",
        )  # fmt: skip


def _outline(exam: Examination) -> Iterator[Finding]:
    """Does the body lie in the masks, and does it fill them? Only where it is about where the person is."""
    seen = [p for p in exam.pictures if p.mask_share > 0 and p.iou > 0.5]
    if len(seen) < 0.5 * len(exam.pictures) or not seen:
        return
    outside = 1 - float(np.mean([p.inside for p in seen]))
    area = float(np.median([np.count_nonzero(p.shadow) / np.count_nonzero(p.mask) for p in seen]))
    if outside > OUTSIDE:
        yield Finding(
            "fit-loose", "warning", "fit",
            f"{100 * outside:.0f}% of the body's silhouette lies outside the masks (ordinary: under "
            f"{100 * OUTSIDE:.0f}%): the poses are rough, or the masks lack limbs.",
            "Look at the contact sheet (--sheet): blue is body without mask. Fit again, or refine the poses.",
            outside, "share of the silhouette",
        )  # fmt: skip
    if area < SLIM:
        yield Finding(
            "body-slim", "info", "fit",
            f"the body's silhouette is {100 * (1 - area):.0f}% smaller than the masks: wide clothes or hair, or a body "
            "that was fitted too slim.", value=area, unit="share of the mask",
        )  # fmt: skip


def _shape(exam: Examination) -> Iterator[Finding]:
    betas = exam.capture.fit.betas
    if len(betas) and np.abs(betas).max() > BETA:
        at = int(np.abs(betas).argmax())
        yield Finding(
            "betas-extreme", "warning", "fit",
            f"shape coefficient {at} is {betas[at]:.1f} (ordinary: -3 to 3): the body was bent to fit something that "
            f"it "
            "is not, such as clothes, another gender's model or another body file.",
            "Fit again with the right model (neutral, male or female) and a stronger shape prior.",
            float(betas[at]), "standard deviations",
        )  # fmt: skip
    points = next(iter(exam.points.values()), None)
    rest = exam.body.rest(_tensor(betas[: exam.body.num_betas]))[0].numpy()
    height = float(np.ptp(rest[:, 1]))
    if points is not None and not 0.6 < height < 2.6:
        yield Finding("body-height", "error", "fit", f"the fitted body is {height:.2f} m tall.",
                      "Check betas and the body file.", height, "m")  # fmt: skip


def _tensor(x: np.ndarray):
    import torch

    return torch.from_numpy(x).float()


def _hands(exam: Examination) -> Iterator[Finding]:
    report = exam.hands
    if report is None:
        return
    if report.flat:
        yield Finding("hands-still", "info", "fit", "the hand pose is the same in all frames: hands were not fitted.")
        return
    overlap = report.overlap
    read = overlap.get("as read")
    shown = f" Around the hands the overlap is {read:.2f}" if read is not None else ""
    for key, option, suspicious in (
        ("mean added", "False", report.share_of_mean < 0.25),
        ("mean removed", "True", report.share_of_mean > 1.75),
    ):
        gain = overlap[key] - read if read is not None else 0.0
        if gain > 0.02 and (suspicious or gain > 0.05):
            yield Finding(
                "hand-mean", "warning", "fit",
                f"the hands hold {report.share_of_mean:.1f} times the model's mean hand pose.{shown}, with the {key} "
                f"{overlap[key]:.2f}.",
                f"Look at the hands; if they are wrong, read the capture with --flat-hand-mean {option}.",
                report.share_of_mean, "times the mean pose",
            )  # fmt: skip
            return
    yield Finding("hands", "info", "fit",
                  f"the hands hold {report.share_of_mean:.1f} times the model's mean hand pose (1 is ordinary).{shown}"
                  f"{'.' if shown else ''}", value=report.share_of_mean, unit="times the mean pose")  # fmt: skip


def _coverage(exam: Examination) -> Iterator[Finding]:
    trained = exam.splits.train_frames
    held = sorted({image.frame for image, tag in zip(exam.splits.test.images, exam.splits.test.tags)
                   if tag == "novel_pose"})  # fmt: skip
    report = coverage(exam.capture.fit, trained, held)
    if report.spread < STILL and len(trained) > 1:
        yield Finding(
            "motion-still", "warning", "fit",
            f"the trained poses spread by {report.spread:.1f} degrees a joint: the person hardly moves.",
            "Pose-dependent folds cannot be learnt from this; record more motion.", report.spread, "degrees",
        )  # fmt: skip
    if len(report.nearest):
        far = float((report.nearest > FAR_POSE).mean())
        yield Finding(
            "poses-far" if far > 0.3 else "poses", "warning" if far > 0.3 else "info", "held-out frames",
            f"held-out poses are {np.median(report.nearest):.1f} degrees a joint from the nearest trained pose "
            f"(median; "
            f"worst {report.nearest.max():.1f}; trained poses spread by {report.spread:.1f}).",
            "They test extrapolation: hold out others with --test-frames for a measure of the ordinary."
            if far > 0.3 else "",
            float(np.median(report.nearest)), "degrees",
        )  # fmt: skip
