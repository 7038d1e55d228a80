"""From files to pixels: one picture and its matte as uint8, undistorted, scaled and cropped to the person.

Geometry. `K` has pixel centres at half-integers, so scaling an image by `s` scales focal lengths and principal point
by `s` and nothing else, and cropping at `(x0, y0)` subtracts `(x0, y0)` from the principal point. OpenCV's maps put
pixel centres at integers; the half pixel is taken off before and never shows outside `UndistortMaps`. Pictures are
scaled first and undistorted after: distortion is a function of normalised coordinates, so the two commute, and the
maps are as small as the pictures.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int, Int16, UInt8, UInt16
from numpy import ndarray

from nerfstudio_mobavatar.capture import CaptureCamera, CaptureError, MaskCoding
from nerfstudio_mobavatar.picture_header import picture_size
from nerfstudio_mobavatar.plain_data import NotPlainError, read_npy

PERSON_THRESHOLD = 128
"""Matte value from which a pixel counts as the person: JPEG mattes ring around 0 and are soft between 5 and 250."""

NODE_SPACING = 16
"""Pixels between the entries of an undistortion map that tell where to look."""

WINDOW_MULTIPLE = 16
"""Sides of a crop window are multiples of this (the rasteriser's tile), so that few distinct sizes occur."""


@dataclass(frozen=True)
class CameraView:
    """A camera as its *loaded* pictures have it: scaled, without distortion."""

    name: str
    K: Float[ndarray, "3 3"]
    """Intrinsics of the scaled picture, pixel centres at half-integers."""
    T_cam_world: Float[ndarray, "4 4"]
    """World to camera, metres, OpenCV axes."""
    width: int
    height: int
    distortion: Float[ndarray, " 5"]
    """OpenCV k1, k2, p1, p2, k3 that loading removes."""
    source_width: int
    source_height: int
    mask_coding: MaskCoding = "matte"


@dataclass(frozen=True)
class Box:
    """Half-open pixel rectangle `x0 <= x < x1`, `y0 <= y < y1`; empty when `x1 <= x0`."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        return max(self.x1 - self.x0, 0)

    @property
    def height(self) -> int:
        return max(self.y1 - self.y0, 0)


def scaled_view(camera: CaptureCamera, image_scale: float = 1.0, max_image_side: int = 0) -> CameraView:
    """The view of a camera whose pictures are shrunk by `image_scale`, and further until the longest side is at most
    `max_image_side` pixels (0: no limit). Sides are rounded to whole pixels and `K` follows the rounded sides."""
    if not 0 < image_scale <= 1:
        raise CaptureError(
            f"image_scale is {image_scale}; expected 0 < image_scale <= 1 (pictures are never enlarged)."
        )
    scale = image_scale
    if max_image_side > 0:
        scale = min(scale, max_image_side / max(camera.width, camera.height))
    width, height = max(round(camera.width * scale), 1), max(round(camera.height * scale), 1)
    shrink = np.diag([width / camera.width, height / camera.height, 1.0])
    return CameraView(
        name=camera.name,
        K=shrink @ camera.K.astype(np.float64),
        T_cam_world=camera.T_cam_world,
        width=width,
        height=height,
        distortion=camera.distortion,
        source_width=camera.width,
        source_height=camera.height,
        mask_coding=camera.mask_coding,
    )


class UndistortMaps:
    """Fixed-point remap tables per camera, kept up to `max_bytes` (least recently used leave first)."""

    def __init__(self, max_bytes: int = 256 * 2**20):
        self.max_bytes = max_bytes
        self._maps: OrderedDict[str, tuple[ndarray, ndarray]] = OrderedDict()

    def get(self, view: CameraView) -> tuple[ndarray, ndarray]:
        """OpenCV's `map1` (int16, h w 2) and `map2` (uint16, h w) from undistorted to recorded pixels."""
        if view.name not in self._maps:
            self._maps[view.name] = _undistort_maps(view)
        self._maps.move_to_end(view.name)
        while len(self._maps) > 1 and self.num_bytes() > self.max_bytes:
            self._maps.popitem(last=False)
        return self._maps[view.name]

    def num_bytes(self) -> int:
        return sum(a.nbytes + b.nbytes for a, b in self._maps.values())


class SharedUndistortMaps(UndistortMaps):
    """Tables in memory that processes forked later have in common: each is made once, by the first that needs it.

    For as many of `views` as fit into `max_shared_bytes` (6 bytes a pixel); the others' are every process's own, as in
    `UndistortMaps`.
    """

    def __init__(
        self, views: Sequence[CameraView], max_shared_bytes: int = 512 * 2**20, max_bytes: int = 32 * 2**20
    ) -> None:
        super().__init__(max_bytes)
        distorted = {view.name: view for view in views if np.any(view.distortion)}
        ends = np.cumsum([6 * view.width * view.height for view in distorted.values()])
        fitting = [view for view, end in zip(distorted.values(), ends) if end <= max_shared_bytes]
        self._shared: dict[str, tuple[ndarray, ndarray, ndarray]] = {}
        """Whether they are made, and both tables."""
        if not fitting:
            return
        memory = np.frombuffer(mmap(-1, int(ends[len(fitting) - 1])), np.uint8)  # pages are taken when written to
        made = np.frombuffer(mmap(-1, len(fitting)), np.bool_)
        for number, (view, own) in enumerate(zip(fitting, np.split(memory, ends[: len(fitting) - 1]))):
            pixels = view.height, view.width
            first, second = np.split(own, [4 * view.height * view.width])
            tables = first.view(np.int16).reshape(*pixels, 2), second.view(np.uint16).reshape(pixels)
            self._shared[view.name] = made[number : number + 1], *tables

    def get(self, view: CameraView) -> tuple[ndarray, ndarray]:
        if view.name not in self._shared:
            return super().get(view)
        is_made, first, second = self._shared[view.name]
        if not is_made[0]:  # two at a time write the same
            first[:], second[:] = _undistort_maps(view)
            is_made[0] = True
        return first, second


def _undistort_maps(view: CameraView) -> tuple[Int16[ndarray, "h w 2"], UInt16[ndarray, "h w"]]:
    K = view.K - np.array([[0.0, 0.0, 0.5], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
    size = (view.width, view.height)
    return cv2.initUndistortRectifyMap(K, view.distortion, np.eye(3), K, size, cv2.CV_16SC2)


def read_pixels(path: Path, width: int, height: int, gray: bool) -> UInt8[ndarray, "h w *c"]:
    """Decode one file as stored (orientation tags are ignored, as calibrations do): BGR, or one channel if `gray`.

    Raises `CaptureError` when it cannot be decoded or is not `width x height`.
    """
    mode = cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR
    what = "mask" if gray else "image"
    try:
        size = picture_size(path)
        # only what has the right size is decoded
        pixels = cv2.imread(str(path), mode | cv2.IMREAD_IGNORE_ORIENTATION) if size == (width, height) else None
    except (OSError, NotPlainError, cv2.error):
        size, pixels = (width, height), None
    if size != (width, height):
        raise CaptureError(
            f"{path}: expected a {what} of {width}x{height} pixels like the camera's first image, found "
            f"{size[0]}x{size[1]}. Export all images and masks of a camera at one size."
        )
    if pixels is None or pixels.shape[:2] != (height, width):
        found = "it does not exist" if not path.exists() else f"{path.stat().st_size} bytes that are not a picture"
        raise CaptureError(
            f"{path}: expected a readable {what}, found that {found}. Copy the file again, or remove it."
        )
    return pixels


def read_mask(path: Path, width: int, height: int, coding: MaskCoding) -> UInt8[ndarray, "h w"]:
    """Decode one mask file, a picture or a `.npy`, to a matte: 0 background .. 255 person.

    Raises `CaptureError` when it cannot be decoded or is not `width x height`.
    """
    mask = _read_mask_array(path, width, height) if path.suffix == ".npy" else read_pixels(path, width, height, True)
    if coding == "inverted":
        return 255 - mask
    return np.where(mask > 0, np.uint8(255), np.uint8(0)) if coding == "nonzero" else mask


def _read_mask_array(path: Path, width: int, height: int) -> UInt8[ndarray, "h w"]:
    try:
        mask = read_npy(path)
    except NotPlainError as error:
        raise CaptureError(f"{path}: expected a numpy array, found {error}. Copy the file again.") from error
    if mask.shape != (height, width) or mask.dtype.kind not in "bu":
        raise CaptureError(
            f"{path}: expected a mask of {width}x{height} numbers of 8 bits, found shape {mask.shape} of {mask.dtype}. "
            "Export all images and masks of a camera at one size."
        )
    return mask.astype(np.uint8)


def load_matte(mask_path: Path, view: CameraView, maps: UndistortMaps) -> UInt8[ndarray, "h w"]:
    """Matte (0 background .. 255 person) in the geometry of `view`; 0 outside the recorded picture."""
    matte = _scale(read_mask(mask_path, view.source_width, view.source_height, view.mask_coding), view)
    if not np.any(view.distortion):
        return matte
    region = _seen_in(maps.get(view)[0], person_box(matte, 0, threshold=1))
    undistorted = np.zeros_like(matte)
    rows, columns = slice(region.y0, region.y1), slice(region.x0, region.x1)
    if region.width > 0:  # else the person is out of this picture
        undistorted[rows, columns] = _undistort(matte, view, maps, region)
    return undistorted


def load_image(
    image_path: Path, view: CameraView, maps: UndistortMaps, window: Box | None = None
) -> UInt8[ndarray, "h w 3"]:
    """Picture (RGB) in the geometry of `view`, or the `window` of it, which costs less to undistort than the whole."""
    image = _scale(read_pixels(image_path, view.source_width, view.source_height, gray=False), view)
    region = Box(0, 0, view.width, view.height) if window is None else window
    return cv2.cvtColor(_undistort(image, view, maps, region), cv2.COLOR_BGR2RGB)


def _scale(pixels: UInt8[ndarray, "h w *c"], view: CameraView) -> UInt8[ndarray, "h2 w2 *c"]:
    """Area average, which is the right filter for shrinking."""
    if (view.width, view.height) == (view.source_width, view.source_height):
        return pixels
    return cv2.resize(pixels, (view.width, view.height), interpolation=cv2.INTER_AREA)


def _undistort(
    pixels: UInt8[ndarray, "h w *c"], view: CameraView, maps: UndistortMaps, region: Box
) -> UInt8[ndarray, "h2 w2 *c"]:
    """The region of the undistorted picture (bilinear); what was not recorded is 0."""
    rows, columns = slice(region.y0, region.y1), slice(region.x0, region.x1)
    if not np.any(view.distortion):
        return pixels[rows, columns]
    map1, map2 = (table[rows, columns] for table in maps.get(view))
    return cv2.remap(pixels, map1, map2, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0,))


def _seen_in(map1: Int[ndarray, "h w 2"], recorded: Box) -> Box:
    """A box that holds every undistorted pixel that looks at the recorded box, from every 16th pixel of the map.

    A pixel looks no further from its nearest node than neighbouring nodes do from each other, and bilinear
    interpolation reaches one pixel further.
    """
    height, width = map1.shape[:2]
    if recorded.width == 0:
        return Box(0, 0, 0, 0)
    nodes = map1[::NODE_SPACING, ::NODE_SPACING].astype(np.int32)
    steps = [np.abs(np.diff(nodes, axis=axis)).max(initial=0) for axis in (0, 1)]
    reach = int(sum(steps)) + 2
    x, y = nodes[..., 0], nodes[..., 1]
    near = (
        (x >= recorded.x0 - reach) & (x < recorded.x1 + reach) & (y >= recorded.y0 - reach) & (y < recorded.y1 + reach)
    )
    at_x, at_y = np.flatnonzero(near.any(0)), np.flatnonzero(near.any(1))
    if len(at_x) == 0:
        return Box(0, 0, 0, 0)
    return Box(
        max((int(at_x[0]) - 1) * NODE_SPACING, 0),
        max((int(at_y[0]) - 1) * NODE_SPACING, 0),
        min((int(at_x[-1]) + 1) * NODE_SPACING, width),
        min((int(at_y[-1]) + 1) * NODE_SPACING, height),
    )


def person_box(matte: UInt8[ndarray, "h w"], margin: int, threshold: int = PERSON_THRESHOLD) -> Box:
    """Bounding box of the matte's pixels from `threshold` on, `margin` pixels wider each way and inside the picture.

    An empty matte (the person is out of this picture) gives an empty box at the picture's centre.
    """
    xs, ys = (np.flatnonzero(matte.max(axis) >= threshold) for axis in (0, 1))
    tight = Box(int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1) if len(xs) else Box(0, 0, 0, 0)
    return widened(tight, margin, (matte.shape[1], matte.shape[0]))


def widened(box: Box, margin: int, size: tuple[int, int]) -> Box:
    """The box `margin` pixels wider each way, inside a picture of `size` (width, height); an empty one is put at the
    picture's centre and stays empty."""
    width, height = size
    if box.width == 0:
        return Box(width // 2, height // 2, width // 2, height // 2)
    return Box(
        max(box.x0 - margin, 0), max(box.y0 - margin, 0), min(box.x1 + margin, width), min(box.y1 + margin, height)
    )


def shared_window(boxes: Sequence[Box], sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Width and height that hold every box: the largest, rounded up to `WINDOW_MULTIPLE`, at most the smallest of the
    pictures' `sizes` (width, height)."""

    def side(lengths: list[int], limit: int) -> int:
        return min(max(math.ceil(max(lengths) / WINDOW_MULTIPLE), 1) * WINDOW_MULTIPLE, limit)

    width = side([box.width for box in boxes], min(size[0] for size in sizes))
    height = side([box.height for box in boxes], min(size[1] for size in sizes))
    return width, height


def place_window(box: Box, window: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Top-left corner of a `window` (width, height) centred on `box` and shifted to lie inside a picture of `size`.

    A box larger than the window (a wider picture beside a narrow one in the same step) is cut evenly.
    """
    x0 = (box.x0 + box.x1 - window[0]) // 2
    y0 = (box.y0 + box.y1 - window[1]) // 2
    return min(max(x0, 0), size[0] - window[0]), min(max(y0, 0), size[1] - window[1])


def crop_intrinsics(K: Float[ndarray, "3 3"], x0: int, y0: int) -> Float[ndarray, "3 3"]:
    """Intrinsics of the picture whose top-left pixel is `(x0, y0)` of the original."""
    cropped = K.copy()
    cropped[0, 2] -= x0
    cropped[1, 2] -= y0
    return cropped
