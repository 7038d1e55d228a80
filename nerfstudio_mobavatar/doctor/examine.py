"""The examination: look at some of the capture, closer where it hurts, and collect what every check says."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import numpy as np

from ..body_model import Body
from ..capture import Capture
from ..dataparsers.splits import Splits
from . import checks_cameras, checks_files, checks_fit, checks_masks, checks_time
from .examination import Examination, low_rows
from .files import look_at_files
from .findings import ordered
from .hands import look_at_hands
from .measure import Measured, measure
from .motion import steps, twisted_rows
from .sampling import FULL, Budget, Unreadable, body_points, chosen_images, chosen_rows, read, views_of
from .silhouette import best_shift

REACH = 0.1
"""Largest systematic shift that is looked for, share of the picture's longest side."""

CLOSER_LOOK = 12
"""Frames that are looked at in addition where the motion jumps or the overlap drops."""

Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""`with progress("reading pictures", 480) as advance:`; `advance()` is one more done."""


@contextmanager
def silent(title: str, total: int) -> Iterator[Callable[[], None]]:
    """No progress bar."""
    yield lambda: None


def examine(
    capture: Capture, splits: Splits, body: Body, budget: Budget = FULL, progress: Progress = silent
) -> Examination:
    """Everything the doctor does to a capture that could be read. With `QUICK`, only what costs a second or two."""
    started = time.monotonic()
    full = budget is FULL
    exam = Examination(capture, body, splits, views_of(capture))
    exam.steps = steps(capture.fit)
    exam.twisted, exam.jumps = twisted_rows(capture.fit, exam.steps)
    rows = chosen_rows(capture, budget)
    exam.pictures = _look(exam, rows, budget, progress)
    if full:
        exam.closer = _look_closer(exam, rows, budget, progress)
        with progress("looking at all files", 2 * len(capture.images)) as advance:
            exam.files = look_at_files(capture, advance=advance)
        with progress("comparing hands", 1) as advance:
            exam.hands = look_at_hands(capture, body, rows[:: max(1, len(rows) // 3)])
            advance()
    for camera in range(len(capture.cameras)):
        pairs = [(picture.shadow, picture.mask) for picture in exam.of_camera(camera)]
        if pairs:
            some = pairs[:: max(1, len(pairs) // 12)]
            exam.shifts[camera] = best_shift(some, max(4, round(REACH * max(some[0][0].shape))))
    # the fit last: its corrections leave out frames, and the others count rows
    checks = [checks_files, checks_masks, checks_cameras, *([checks_time] if full else []), checks_fit]
    with progress("drawing conclusions", len(checks)) as advance:
        for module in checks:
            exam.findings += list(module.check(exam))
            advance()
    exam.findings = ordered(exam.findings)
    exam.seconds = time.monotonic() - started
    return exam


def _look(exam: Examination, rows: Sequence[int], budget: Budget, progress: Progress) -> list[Measured]:
    """Read and measure the pictures of these rows."""
    images = chosen_images(exam.capture, rows, budget)
    colour = frozenset(rows[:: max(1, len(rows) // budget.colour_frames)]) if budget.colour_frames else frozenset()
    measured = []
    faces = exam.body.faces.numpy()
    exam.points |= body_points(exam.capture, exam.body, [row for row in rows if row not in exam.points])
    with progress("comparing bodies and masks", len(images)) as advance:
        for sample in read(images, exam.views, colour, advance):
            if isinstance(sample, Unreadable):
                exam.unreadable.append(sample)
            else:
                measured.append(measure(sample, exam.points[sample.image.frame], faces))
    return measured


def _look_closer(exam: Examination, rows: Sequence[int], budget: Budget, progress: Progress) -> list[Measured]:
    """Frames at jumps of the motion, and around frames whose overlap is low."""
    wanted = list(exam.twisted) + list(exam.jumps)
    for row in low_rows(exam):
        at = rows.index(row)
        between = np.arange(rows[max(at - 1, 0)] + 1, rows[min(at + 1, len(rows) - 1)])
        wanted += between.tolist()
    fresh = sorted(set(wanted) - set(rows))
    if not fresh:
        return []
    chosen = np.linspace(0, len(fresh) - 1, min(CLOSER_LOOK, len(fresh))).round().astype(int)
    return _look(exam, [fresh[i] for i in chosen], budget, progress)
