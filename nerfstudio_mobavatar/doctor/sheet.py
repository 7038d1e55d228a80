"""The contact sheet: one HTML file that opens anywhere, and the same as one PNG."""

import base64
import html
import io
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure
from numpy import ndarray
from PIL import Image

from ..capture import CaptureError
from ..images import UndistortMaps
from .drawing import (
    BODY_ONLY,
    FAINT,
    INK,
    LEVELS,
    MASK_ONLY,
    cropped,
    draw_presence,
    draw_reprojection,
    draw_rig,
    draw_speed,
    draw_time,
    figure,
    level_colour,
    overlay,
)
from .examination import Examination
from .findings import VERDICTS, Finding, exit_code, ordered

MOST_CAMERAS = 24
"""Cameras shown; the worst ones where there are more."""

PLOTS_INCHES = 7.4

_COLUMNS = 8
"""Tiles in a row of the PNG; two per camera."""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""One file that may be sent around: its pictures and its style are inside, scripts and servers are not for it."""
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#1e293b;background:#f8fafc;margin:0 auto;max-width:1200px;padding:24px}
h1{font-size:22px;margin:0}h2{font-size:16px;margin:28px 0 8px}.faint{color:#64748b}
.verdict{display:inline-block;padding:3px 12px;border-radius:999px;color:#fff;font-weight:600;margin:10px 0}
.finding{background:#fff;border-left:5px solid;border-radius:6px;padding:8px 14px;margin:8px 0;
overflow-wrap:anywhere}
.error{border-color:#dc2626}.warning{border-color:#d97706}.info{border-color:#cbd5e1;color:#475569}
.advice{color:#15803d}.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(140px,1fr));gap:10px}
figure{margin:0;background:#fff;border-radius:6px;overflow:hidden}figure img{width:100%;display:block}
figcaption{padding:5px 8px;font-size:13px}img.plot{width:100%;background:#fff;border-radius:6px}
.key{display:inline-block;width:12px;height:12px;border-radius:3px;margin:0 4px 0 14px;vertical-align:-1px}
"""


@dataclass(frozen=True)
class Tile:
    """One picture of the sheet."""

    pixels: UInt8[ndarray, "h w 3"]
    camera: str
    frame: int
    overlap: float
    which: str
    """`median` or `worst` of its camera."""

    @property
    def caption(self) -> str:
        return f"{self.camera}  frame {self.frame}  {self.which}"


def write_sheet(path: Path, exam: Examination, findings: list[Finding]) -> tuple[Path, Path]:
    """Write `path` with the suffixes .html and .png. Raises `CaptureError` where that is impossible."""
    page, picture = path.with_suffix(".html"), path.with_suffix(".png")
    tiles = _tiles(exam)
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(_html(exam, ordered(findings), tiles))
        _png(exam, ordered(findings), tiles).savefig(picture)
    except OSError as error:
        raise CaptureError(f"{path}: cannot write the contact sheet there ({error}). Give another --sheet.") from error
    return page, picture


def _tiles(exam: Examination) -> list[Tile]:
    """The median and the worst picture of each camera."""
    scored = [(exam.camera_iou(c), c) for c in range(len(exam.capture.cameras))]
    known = sorted((score, c) for score, c in scored if score is not None)[:MOST_CAMERAS]
    maps, tiles = UndistortMaps(), []
    for _, c in sorted(known, key=lambda item: item[1]):
        pictures = sorted(exam.of_camera(c), key=lambda p: p.iou)
        for which, picture in (("median", pictures[len(pictures) // 2]), ("worst", pictures[0])):
            shown = cropped(overlay(exam, picture, maps), picture.mask, picture.shadow)
            number = exam.frame_number(picture.image.frame)
            tiles.append(Tile(shown, exam.capture.cameras[c].name, number, picture.iou, which))
    return tiles


def _plots(exam: Examination) -> Figure:
    made = figure(11.0, PLOTS_INCHES)
    _draw_plots(made, exam)
    return made


def _draw_plots(part: Any, exam: Examination) -> None:
    """The rig beside what happens over time; `part` is a figure or a part of one."""
    over_time = (draw_time, draw_reprojection, draw_speed, draw_presence)
    grid = part.add_gridspec(len(over_time), 2, width_ratios=(1, 1.35))
    draw_rig(exam, part.add_subplot(grid[:, 0], projection="3d"))
    for row, draw in enumerate(over_time):
        draw(exam, part.add_subplot(grid[row, 1]))


def _html(exam: Examination, findings: list[Finding], tiles: list[Tile]) -> str:
    code = exit_code(findings)
    plots = io.BytesIO()
    _plots(exam).savefig(plots, format="png", dpi=160)
    items = []
    for finding in findings:
        advice = f'<div class="advice">&rarr; {html.escape(finding.advice)}</div>' if finding.advice else ""
        items.append(
            f'<div class="finding {finding.severity}"><b>{html.escape(finding.where)}</b><br>'
            f"{html.escape(finding.what)}{advice}</div>"
        )
    pictures = [
        f'<figure><img alt="{html.escape(t.caption)}" src="data:image/jpeg;base64,{_jpeg(t.pixels)}">'
        f"<figcaption><b>{html.escape(t.camera)}</b> "
        f'<span style="color:{level_colour(t.overlap)}">{t.overlap:.2f}</span>'
        f'<br><span class="faint">{t.which}, frame {t.frame}</span></figcaption></figure>'
        for t in tiles
    ]
    shown = min(len(exam.capture.cameras), MOST_CAMERAS)
    note = "" if shown == len(exam.capture.cameras) else f" The {shown} cameras with the least overlap are shown."
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{html.escape(str(exam.capture.root.name))}: {VERDICTS[code]}</title><style>{_STYLE}</style>"
        f'<h1>{html.escape(exam.capture.describe())}</h1><span class="verdict" style="background:{LEVELS[2 - code]}">'
        f"{VERDICTS[code]}</span><h2>Findings</h2>{''.join(items)}"
        f'<h2>Rig and time</h2><img class="plot" alt="cameras in 3D; over time: overlap, '
        f'reprojection, speed, missing pictures" '
        f'src="data:image/png;base64,{base64.b64encode(plots.getvalue()).decode()}">'
        f'<h2>Body over mask</h2><p class="faint">Number: overlap (IoU) of the fitted body&rsquo;s silhouette and the '
        f"mask.{_key(BODY_ONLY)}only the body{_key(MASK_ONLY)}only the mask; grey: both.{note}</p>"
        f'<div class="tiles">{"".join(pictures)}</div></html>'
    )


def _key(colour: tuple[int, int, int]) -> str:
    return f'<span class="key" style="background:rgb{colour}"></span>'


def _jpeg(pixels: UInt8[ndarray, "h w 3"]) -> str:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    image.resize((240, 320), Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=85)
    return base64.b64encode(buffer.getvalue()).decode()


def _png(exam: Examination, findings: list[Finding], tiles: list[Tile]) -> Figure:
    """Head with verdict and findings, plots, then the tiles."""
    lines = _lines(findings)
    rows = max(1, -(-len(tiles) // _COLUMNS))
    head, plots, strip = 0.75 + 0.2 * len(lines), PLOTS_INCHES, 2.35 * rows
    made = figure(13.0, head + plots + strip)
    parts: Any = made.subfigures(3, 1, height_ratios=(head, plots, strip))
    top, middle, bottom = parts
    _head(top, exam, findings, lines, head)
    _draw_plots(middle, exam)
    axes = np.atleast_1d(bottom.subplots(rows, _COLUMNS)).ravel()
    for at in axes:
        at.set_axis_off()
    for at, tile in zip(axes, tiles):
        at.imshow(tile.pixels, interpolation="lanczos")
        at.set_title(f"{tile.camera}  {tile.overlap:.2f}\n{tile.which}, frame {tile.frame}", fontsize=8,
                     color=level_colour(tile.overlap))  # fmt: skip
    return made


def _head(part, exam: Examination, findings: list[Finding], lines: list[tuple[str, str]], height: float) -> None:
    code = exit_code(findings)
    axes = part.add_subplot()
    axes.set_axis_off()
    axes.set_xlim(0, 13)
    axes.set_ylim(height, 0)
    capture = exam.capture
    title = f"{capture.root.name}: {len(capture.cameras)} cameras, {len(capture.frames)} frames ({capture.layout})"
    axes.text(0.05, 0.25, title, fontsize=15, color=INK, weight="bold", va="center")
    axes.text(12.9, 0.25, VERDICTS[code], fontsize=11, color="white", weight="bold", va="center", ha="right",
              bbox={"boxstyle": "round,pad=0.45", "facecolor": LEVELS[2 - code], "edgecolor": "none"})  # fmt: skip
    for number, (text, colour) in enumerate(lines):
        axes.text(0.05, 0.68 + 0.2 * number, text, fontsize=9, color=colour, va="center")
    key = "tiles: grey where body and mask agree, blue only the body, orange only the mask"
    axes.text(12.9, 0.55, key, fontsize=8, color=FAINT, va="center", ha="right")


def _lines(findings: list[Finding], most: int = 24) -> list[tuple[str, str]]:
    """Findings as wrapped lines with their colours; notes only if there is nothing else."""
    colours = {"error": LEVELS[0], "warning": LEVELS[1], "info": FAINT}
    serious = [f for f in findings if f.severity != "info"] or findings
    lines = []
    for finding in serious:
        wrapped = textwrap.wrap(f"{finding.where}: {finding.what}", 165)
        lines += [(text if k == 0 else f"    {text}", colours[finding.severity]) for k, text in enumerate(wrapped)]
    if len(lines) > most:
        lines = [*lines[: most - 1], ("... (more in the HTML)", FAINT)]
    return lines
