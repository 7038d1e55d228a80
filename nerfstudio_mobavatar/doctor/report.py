"""The report: readable in a terminal, and as JSON for scripts."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .examination import Examination
from .findings import VERDICTS, Finding, exit_code, ordered

FORMAT = "mobavatar-doctor"
VERSION = 1

COLOURS = {"error": "bold red", "warning": "yellow", "info": "dim"}
LABELS = {"error": "ERROR", "warning": "WARNING", "info": "note"}


def as_json(root: Path, findings: list[Finding], exam: Examination | None) -> dict[str, Any]:
    """Plain values; docs/doctor.md describes them."""
    code = exit_code(findings)
    result: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "folder": str(root),
        "exit_code": code,
        "verdict": VERDICTS[code],
        "findings": [finding.as_json() for finding in ordered(findings)],
    }
    if exam is None:
        return result
    capture, shown = exam.capture, exam.frame_iou()
    return result | {
        "layout": capture.layout,
        "body": exam.body.name,
        "frames": len(capture.frames),
        "images": len(capture.images),
        "up": list(capture.up),
        "seconds": round(exam.seconds, 2),
        "cameras": [_camera(exam, c) for c in range(len(capture.cameras))],
        "overlap_by_frame": {str(exam.frame_number(row)): round(value, 4) for row, value in shown.items()},
        "twisted_frames": [exam.frame_number(row) for row in exam.twisted],
    }


def _camera(exam: Examination, c: int) -> dict[str, Any]:
    camera, pictures, shift = exam.capture.cameras[c], exam.of_camera(c), exam.shifts.get(c)
    factor = camera.width / exam.views[c].width

    def mean(name: str) -> float | None:
        return round(float(np.mean([getattr(p, name) for p in pictures])), 4) if pictures else None

    overlap = exam.camera_iou(c)
    return {
        "name": camera.name,
        "width": camera.width,
        "height": camera.height,
        "images": sum(image.camera == c for image in exam.capture.images),
        "overlap": None if overlap is None else round(overlap, 4),
        "inside": mean("inside"),
        "covered": mean("covered"),
        "mask_holes": mean("holes"),
        "visible": mean("visible"),
        "shift_px": None if shift is None else [round(factor * shift.dx, 2), round(factor * shift.dy, 2)],
        "overlap_shifted": None if shift is None else round(shift.iou, 4),
        "distorted": bool(np.any(camera.distortion)),
    }


def print_report(console: Console, root: Path, findings: list[Finding], exam: Examination | None) -> None:
    """What a person reads."""
    findings = ordered(findings)
    code = exit_code(findings)
    console.print()
    if exam is not None:
        console.print(Text(exam.capture.describe(), style="bold"))
        console.print(
            f"{len(exam.pictures) + len(exam.closer)} pictures compared with the body '{exam.body.name}' in "
            f"{exam.seconds:.1f} s",
            style="dim",
        )
        console.print()
        console.print(_table(exam))
    for finding in findings:
        console.print()
        line = Text(f"{LABELS[finding.severity]:<8}", style=COLOURS[finding.severity])
        line.append(finding.where, style="bold" if finding.severity != "info" else "dim")
        console.print(line, overflow="fold")
        console.print(Padding(Text(finding.what), (0, 0, 0, 8)))
        if finding.advice:
            console.print(Padding(Text(f"-> {finding.advice}", style="green"), (0, 0, 0, 8)))
    counts = {level: sum(f.severity == level for f in findings) for level in ("error", "warning")}
    style = ("bold green", "bold yellow", "bold red")[code]
    console.print()
    console.print(Text(f"{root} is {VERDICTS[code]}", style=style), end="")
    console.print(f": {counts['error']} errors, {counts['warning']} warnings.", highlight=False)


def _table(exam: Examination) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("camera", "size", "pictures", "overlap", "", "best shift", "holes"):
        table.add_column(title, justify="left" if title in ("camera", "") else "right")
    for c, camera in enumerate(exam.capture.cameras):
        numbers = _camera(exam, c)
        overlap, shift = numbers["overlap"], numbers["shift_px"]
        shown = "-" if overlap is None else f"{overlap:.2f}"
        bar = "" if overlap is None else "█" * round(20 * overlap)
        colour = "red" if overlap is None or overlap < 0.5 else "yellow" if overlap < 0.65 else "green"
        table.add_row(
            Text(camera.name),
            f"{camera.width}x{camera.height}",
            str(numbers["images"]),
            shown,
            Text(bar, style=colour),
            "-" if shift is None else f"{shift[0]:+.1f}, {shift[1]:+.1f} px",
            "-" if numbers["mask_holes"] is None else f"{100 * numbers['mask_holes']:.1f}%",
        )
    return table
