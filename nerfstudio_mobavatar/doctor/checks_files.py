"""Checks of the files: whole, present in every camera, not repeated; and what the parser noted."""

from collections.abc import Iterator

from .examination import Examination
from .findings import Finding, listed

MANY = 0.05
"""Share of broken or missing pictures from which it is more than bad luck."""


def check(exam: Examination) -> Iterator[Finding]:
    """All findings about files."""
    yield from _unreadable(exam)
    yield from _outside(exam)
    yield from _missing(exam)
    for note in exam.capture.notes:
        yield Finding("parser-note", "info", exam.capture.layout, note)


def _unreadable(exam: Examination) -> Iterator[Finding]:
    seen = len(exam.pictures) + len(exam.closer) + len(exam.unreadable)
    if not exam.unreadable:
        return
    share = len(exam.unreadable) / seen
    yield Finding(
        "picture-unreadable",
        "error" if share > 0.5 else "warning",
        exam.unreadable[0].error.split(": ")[0],
        f"{len(exam.unreadable)} of {seen} sampled pictures cannot be used; the first: "
        f"{exam.unreadable[0].error.split(': ', 1)[-1]}",
        "Training stops at such a picture: copy it again, or list it in missing_img_files.txt.",
        share,
        "share of the sample",
    )


def _outside(exam: Examination) -> Iterator[Finding]:
    report = exam.files
    if report is None:
        return
    if report.looked_at < report.total:
        yield Finding(
            "files-not-all-seen", "info", str(exam.capture.root),
            f"the disk is slow: {report.looked_at:,} of {report.total:,} files were looked at, evenly spread.",
            value=report.looked_at / report.total, unit="share of the files",
        )  # fmt: skip
    for code, paths, what in (
        ("file-absent", report.absent, "cannot be opened"),
        ("file-empty", report.empty, "are empty"),
        ("file-cut-off", report.cut_off, "end before the picture does (a copy or download that stopped)"),
    ):
        if paths:
            yield Finding(
                code,
                "error" if len(paths) > 0.5 * report.looked_at else "warning",
                str(paths[0]),
                f"{len(paths)} of {report.looked_at:,} files {what}: {listed((p.name for p in paths), 4)}.",
                "Copy them again, or list them in missing_img_files.txt.",
                float(len(paths)),
                "files",
            )
    if report.repeated:
        yield Finding(
            "picture-repeated",
            "warning",
            str(report.repeated[0].parent),
            f"{len(report.repeated)} pictures are byte for byte the one of the frame before, such as "
            f"{report.repeated[0].name}: the camera dropped frames or froze.",
            "Leave these frames out (--drop-frames): their masks and fit show another moment.",
            float(len(report.repeated)),
            "pictures",
        )


def _missing(exam: Examination) -> Iterator[Finding]:
    capture = exam.capture
    have = [0] * len(capture.cameras)
    for image in capture.images:
        have[image.camera] += 1
    frames = len(capture.frames)
    for camera, count in zip(capture.cameras, have):
        lacks = frames - count
        if lacks:
            share = lacks / frames
            yield Finding(
                "frames-missing",
                "warning" if share > MANY else "info",
                f"camera {camera.name}",
                f"{lacks} of {frames} frames have no picture ({100 * share:.0f}%).",
                "They are used where they are present; if the camera was unplugged, leave it out with --skip-cameras "
                f"{camera.name}."
                if share > MANY
                else "",
                share,
                "share of the frames",
            )
