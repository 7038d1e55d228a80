"""Pictures of an examination: silhouette over mask, the rig in 3D, overlap over time."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Line3DCollection
from numpy import ndarray

from ..capture import CaptureError
from ..images import UndistortMaps, load_image
from .examination import Examination, low_rows
from .measure import Measured
from .silhouette import centre_offset

BODY_ONLY = (37, 99, 235)
MASK_ONLY = (249, 115, 22)
BOTH = (148, 163, 184)
INK, FAINT, GRID = "#1e293b", "#64748b", "#e2e8f0"
LEVELS = ("#dc2626", "#d97706", "#16a34a")
"""Poor, middling, good."""
MOST_NAMED = 16
"""Cameras that fit a legend."""


def level_colour(overlap: float | None) -> str:
    """Colour of an overlap, by the same limits everywhere."""
    return LEVELS[0] if overlap is None or overlap < 0.5 else LEVELS[1] if overlap < 0.65 else LEVELS[2]


def overlay(exam: Examination, picture: Measured, maps: UndistortMaps) -> UInt8[ndarray, "h w 3"]:
    """The picture, pale, under where body and mask agree (grey), only the body is (blue), only the mask is (orange)."""
    view = exam.views[picture.image.camera]
    try:
        rgb = load_image(picture.image.image_path, view, maps).astype(np.float32)
    except (CaptureError, OSError, cv2.error):
        rgb = np.full((*picture.mask.shape, 3), 255, np.float32)  # the findings name the file
    grey = rgb.mean(2, keepdims=True)
    shown = 0.45 * grey.repeat(3, 2) + 0.55 * 255
    both, body, mask = picture.mask & picture.shadow, picture.shadow & ~picture.mask, picture.mask & ~picture.shadow
    for where, colour, strength in ((both, BOTH, 0.5), (body, BODY_ONLY, 0.85), (mask, MASK_ONLY, 0.85)):
        shown[where] = (1 - strength) * grey[where] + strength * np.array(colour, np.float32)
    return shown.clip(0, 255).astype(np.uint8)


def cropped(
    shown: UInt8[ndarray, "h w 3"], mask: Bool[ndarray, "h w"], shadow: Bool[ndarray, "h w"]
) -> UInt8[ndarray, "h2 w2 3"]:
    """Around mask and silhouette, with a margin, in a fixed shape of 3:4 (white where the picture ends)."""
    ys, xs = np.nonzero(mask | shadow)
    height, width = mask.shape
    x0, x1, y0, y1 = (xs.min(), xs.max() + 1, ys.min(), ys.max() + 1) if len(xs) else (0, width, 0, height)
    tall = 1.15 * max(y1 - y0, (x1 - x0) * 4 / 3, 16)
    h, w = round(tall), round(tall * 3 / 4)
    top, left = round((y0 + y1 - h) / 2), round((x0 + x1 - w) / 2)
    tile = np.full((h, w, 3), 255, np.uint8)
    rows, columns = slice(max(top, 0), min(top + h, height)), slice(max(left, 0), min(left + w, width))
    tile[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = shown[rows, columns]
    return tile


def figure(width: float, height: float) -> Figure:
    """An empty white figure, inches at 100 dots; drawn without a display."""
    made = Figure(figsize=(width, height), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(made)
    return made


def draw_rig(exam: Examination, axes) -> None:
    """Cameras as small pyramids coloured by overlap, the body as points; the capture's up points up on paper."""
    capture = exam.capture
    turn = _up_to_z(np.array(capture.up))
    points = next(iter(exam.points.values()))[::40] @ turn.T
    axes.scatter(*points.T, s=1.5, color=INK, alpha=0.5, linewidths=0)
    centres = np.array([np.linalg.inv(camera.T_cam_world)[:3, 3] for camera in capture.cameras]) @ turn.T
    size = 0.12 * float(np.median(np.linalg.norm(centres - points.mean(0), axis=1)))
    for c, camera in enumerate(capture.cameras):
        colour = level_colour(exam.camera_iou(c))
        axes.add_collection3d(Line3DCollection(_pyramid(exam, c, size) @ turn.T, colors=colour, linewidths=1.2))
        if len(capture.cameras) <= 24:
            axes.text(*(centres[c] * 1.0), f" {camera.name}", fontsize=7, color=FAINT)
    every = np.concatenate([centres, points])
    middle, reach = (every.max(0) + every.min(0)) / 2, max(float(np.ptp(every, axis=0).max()) / 2, 0.5)
    axes.set_xlim(middle[0] - reach, middle[0] + reach)
    axes.set_ylim(middle[1] - reach, middle[1] + reach)
    axes.set_zlim(middle[2] - reach, middle[2] + reach)
    axes.set_box_aspect((1, 1, 1), zoom=1.25)
    axes.view_init(elev=24, azim=-60)
    axes.tick_params(labelsize=6, colors=FAINT, pad=-2)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color((1, 1, 1, 0))
        axis.line.set_color(GRID)
    axes.set_title(f"Cameras (metres; {'+' if sum(capture.up) > 0 else '-'}{'xyz'[np.abs(capture.up).argmax()]} is up)",
                   fontsize=10, color=INK)  # fmt: skip


def _up_to_z(up: Float[ndarray, " 3"]) -> Float[ndarray, "3 3"]:
    """Rotation that takes `up` (a signed axis) to +z."""
    side = np.roll(np.abs(up), 1)
    return np.stack([side, np.cross(up, side), up])


def _pyramid(exam: Examination, c: int, size: float) -> Float[ndarray, "8 2 3"]:
    camera = exam.capture.cameras[c]
    corners = np.array([[0, 0], [camera.width, 0], [camera.width, camera.height], [0, camera.height]], float)
    rays = np.column_stack([corners, np.ones(4)]) @ np.linalg.inv(camera.K).T * size
    T_world_cam = np.linalg.inv(camera.T_cam_world)
    far = rays @ T_world_cam[:3, :3].T + T_world_cam[:3, 3]
    tip = np.broadcast_to(T_world_cam[:3, 3], far.shape)
    return np.concatenate([np.stack([tip, far], 1), np.stack([far, np.roll(far, -1, 0)], 1)])


def draw_time(exam: Examination, axes: Axes) -> None:
    """Overlap of every picture looked at, its mean per frame, and the frames that stand out."""
    every = exam.pictures + exam.closer
    numbers = [exam.frame_number(p.image.frame) for p in every]
    axes.scatter(numbers, [p.iou for p in every], s=7, color="#94a3b8", alpha=0.6, linewidths=0, label="a picture")
    mean = exam.frame_iou()
    axes.plot([exam.frame_number(r) for r in mean], list(mean.values()), color=INK, lw=1.4, label="mean of its frame")
    bad = [r for r in mean if r in set(exam.twisted) | set(low_rows(exam))]
    if bad:
        axes.scatter([exam.frame_number(r) for r in bad], [mean[r] for r in bad], s=36, color=LEVELS[0], zorder=5,
                     label="stands out")  # fmt: skip
    for row in exam.twisted:
        axes.axvspan(exam.frame_number(row) - 0.5, exam.frame_number(row) + 0.5, color=LEVELS[0], alpha=0.12, lw=0)
    axes.set_ylim(0, 1)
    axes.set_title("Overlap of body and mask over time (shaded: twisted fit)", fontsize=10, color=INK)
    axes.set_xlabel("frame", fontsize=8, color=FAINT)
    axes.legend(fontsize=7, frameon=False, loc="lower right", ncols=3)
    _plain(axes)


def draw_reprojection(exam: Examination, axes: Axes) -> None:
    """How far the projected body lies beside the mask in every picture, a line per camera, and what stands out."""
    worst: list[tuple[int, float]] = []
    for c, camera in enumerate(exam.capture.cameras):
        factor = camera.width / exam.views[c].width
        of_camera = [p for p in exam.pictures + exam.closer if p.image.camera == c]
        seen = {p.image.frame: factor * centre_offset(p.shadow, p.mask) for p in of_camera}
        rows = sorted(row for row in seen if np.isfinite(seen[row]))
        if not rows:
            continue
        distance = np.array([seen[row] for row in rows])
        axes.plot([exam.frame_number(row) for row in rows], distance, lw=0.9, alpha=0.8, label=camera.name)
        middle = np.median(distance)
        usual = 1.4826 * np.median(np.abs(distance - middle))
        beyond = distance > middle + max(4 * usual, 0.01 * max(camera.width, camera.height))
        worst += [(exam.frame_number(rows[k]), float(distance[k])) for k in np.flatnonzero(beyond)]
    if worst:
        axes.scatter(*zip(*worst), s=24, facecolors="none", edgecolors=LEVELS[0], zorder=5, label="stands out")
    axes.set_ylim(0, None)
    axes.set_title("Centre of the projected body beside that of the mask, pixels", fontsize=10, color=INK)
    axes.set_xlabel("frame", fontsize=8, color=FAINT)
    if len(exam.capture.cameras) <= MOST_NAMED:
        axes.legend(fontsize=7, frameon=False, loc="upper right", ncols=4)
    _plain(axes)


def draw_speed(exam: Examination, axes: Axes) -> None:
    """Largest turn of a joint from each frame to the next."""
    found = exam.steps
    if found is None or not len(found.turn):
        axes.set_axis_off()
        return
    numbers = [exam.frame_number(row) for row in range(1, len(exam.capture.frames))]
    axes.fill_between(numbers, np.rad2deg(found.turn), color="#93c5fd", lw=0)
    axes.set_ylim(0, None)
    axes.set_title("Fastest joint, degrees from one frame to the next", fontsize=10, color=INK)
    axes.set_xlabel("frame", fontsize=8, color=FAINT)
    _plain(axes)


def draw_presence(exam: Examination, axes: Axes) -> None:
    """Which camera has a picture of which frame: white is missing."""
    capture = exam.capture
    there = np.zeros((len(capture.cameras), len(capture.frames)), bool)
    for image in capture.images:
        there[image.camera, image.frame] = True
    colours = np.where(there[..., None], np.array([0.58, 0.77, 0.99]), np.array([1.0, 1.0, 1.0]))
    extent = (capture.frames[0] - 0.5, capture.frames[-1] + 0.5, len(capture.cameras) - 0.5, -0.5)
    axes.imshow(colours, aspect="auto", interpolation="nearest", extent=extent)
    step = max(1, len(capture.cameras) // 12)
    axes.set_yticks(range(0, len(capture.cameras), step), [c.name for c in capture.cameras[::step]])
    axes.set_title(f"Pictures there are ({100 * there.mean():.1f}%; white: missing)", fontsize=10, color=INK)
    axes.set_xlabel("frame", fontsize=8, color=FAINT)
    _plain(axes, grid=False)


def _plain(axes: Axes, grid: bool = True) -> None:
    axes.tick_params(labelsize=7, colors=FAINT)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    if grid:
        axes.grid(axis="y", color=GRID, lw=0.6)
        axes.set_axisbelow(True)
