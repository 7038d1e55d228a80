"""Loading pictures: geometry against dots whose place is known, sizes, crops."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from nerfstudio_mobavatar import images
from nerfstudio_mobavatar.capture import CaptureCamera, CaptureError, MaskCoding
from nerfstudio_mobavatar.cutouts import processes_share
from nerfstudio_mobavatar.images import (
    Box,
    CameraView,
    SharedUndistortMaps,
    UndistortMaps,
    _undistort,
    crop_intrinsics,
    load_image,
    load_matte,
    person_box,
    place_window,
    read_mask,
    scaled_view,
    shared_window,
)

WIDTH, HEIGHT = 320, 240
BARREL = np.array([-0.3, 0.08, 0.002, -0.001, 0.01])
DOTS = np.stack(np.meshgrid(np.linspace(-0.62, 0.62, 6), np.linspace(-0.45, 0.45, 5)), -1).reshape(-1, 2)
"""Normalised image coordinates x/z, y/z, out to the corners, where distortion and half-pixel errors are largest."""


def camera(distortion: np.ndarray) -> CaptureCamera:
    """A camera whose principal point, in OpenCV's convention, is off centre."""
    K = np.array([[210.0, 0, 163.2], [0, 205.0, 117.7], [0, 0, 1]])
    K = K + np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    return CaptureCamera("cam", K, np.eye(4), WIDTH, HEIGHT, distortion)


def write_dots(folder: Path, cam: CaptureCamera) -> tuple[Path, Path]:
    """Record dots that are round in the pinhole picture: every recorded pixel (integer centres, as OpenCV has them) is
    taken back through OpenCV's inverse distortion and looks up the dots there."""
    K = cam.K - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    grid = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), -1).reshape(-1, 1, 2).astype(float)
    accurate = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-10)
    seen = cv2.undistortPointsIter(grid, K, cam.distortion, np.eye(3), np.eye(3), accurate).reshape(HEIGHT, WIDTH, 2)
    squared = ((seen[:, :, None] - DOTS) * [K[0, 0], K[1, 1]]) ** 2
    image = 250 * np.exp(-squared.sum(-1) / (2 * 2.5**2)).sum(-1)
    gray = np.round(image).clip(0, 255).astype(np.uint8)
    paths = folder / "0.png", folder / "m.png"
    cv2.imwrite(str(paths[0]), gray[..., None].repeat(3, 2))
    cv2.imwrite(str(paths[1]), gray)
    return paths


def load_both(paths: tuple[Path, Path], view: CameraView) -> tuple[np.ndarray, np.ndarray]:
    maps = UndistortMaps()
    return load_image(paths[0], view, maps), load_matte(paths[1], view, maps)


def dot_errors(pixels: np.ndarray, view: CameraView) -> np.ndarray:
    """Distance in pixels between each dot's centroid and its pinhole projection with the view's `K`."""
    errors = []
    radius = int(9 * view.width / view.source_width)
    for x, y in DOTS:
        u, v, _ = view.K @ np.array([x, y, 1.0])
        i, j = int(v), int(u)
        patch = 1e-9 + pixels[i - radius : i + radius + 1, j - radius : j + radius + 1].astype(float)
        ys, xs = np.mgrid[i - radius : i + radius + 1, j - radius : j + radius + 1] + 0.5
        errors.append(np.hypot((patch * xs).sum() / patch.sum() - u, (patch * ys).sum() / patch.sum() - v))
    return np.array(errors)


@pytest.mark.parametrize("distortion", [np.zeros(5), BARREL], ids=["pinhole", "barrel"])
@pytest.mark.parametrize("scale", [1.0, 0.5, 0.37])
def test_dots_land_where_the_pinhole_camera_sees_them(tmp_path: Path, distortion: np.ndarray, scale: float) -> None:
    cam = camera(distortion)
    view = scaled_view(cam, scale)
    image, matte = load_both(write_dots(tmp_path, cam), view)
    assert image.shape == (view.height, view.width, 3)
    assert matte.shape == image.shape[:2]
    # 0.1 px: 1/32 px steps of OpenCV's fixed-point maps and 8 bits; a forgotten half pixel is 0.2 to 0.5
    assert dot_errors(image[..., 0], view).max() < 0.1
    assert dot_errors(matte, view).max() < 0.1


def test_a_window_is_that_part_of_the_picture(tmp_path: Path) -> None:
    for distortion in (np.zeros(5), BARREL):
        cam = camera(distortion)
        view, maps = scaled_view(cam, 0.5), UndistortMaps()
        path = write_dots(tmp_path, cam)[0]
        part = load_image(path, view, maps, Box(11, 7, 91, 103))
        np.testing.assert_array_equal(part, load_image(path, view, maps)[7:103, 11:91])


@pytest.mark.parametrize(
    "distortion", [BARREL, -BARREL, np.array([1.5, 0, 0, 0, 0])], ids=["barrel", "pincushion", "x"]
)
def test_a_matte_undistorted_around_the_person_equals_the_whole_undistorted(
    tmp_path: Path, distortion: np.ndarray
) -> None:
    """Persons of many places and sizes, single pixels and none: all pixels equal."""
    view, maps = scaled_view(camera(distortion)), UndistortMaps()
    rng = np.random.default_rng(0)
    lit = 0
    for trial in range(60):
        matte = np.zeros((HEIGHT, WIDTH), np.uint8)
        y, x = rng.integers(0, HEIGHT), rng.integers(0, WIDTH)
        height, width = rng.integers(0, 90, 2) if trial % 4 else (1, 1)
        matte[y : y + height, x : x + width] = rng.integers(1, 256)
        path = tmp_path / "m.png"
        cv2.imwrite(str(path), matte)
        whole = _undistort(matte, view, maps, Box(0, 0, WIDTH, HEIGHT))
        np.testing.assert_array_equal(load_matte(path, view, maps), whole)
        lit += bool(whole.any())
    assert lit > 20


def test_distortion_of_the_test_is_not_small(tmp_path: Path) -> None:
    """Without undistortion the same dots are many pixels off, so the test above can fail."""
    cam = camera(BARREL)
    paths = write_dots(tmp_path, cam)
    pinhole = scaled_view(camera(np.zeros(5)))
    image, _ = load_both(paths, pinhole)
    assert dot_errors(image[..., 0], pinhole).max() > 3


def test_scaled_view_follows_rounded_sides() -> None:
    view = scaled_view(camera(np.zeros(5)), max_image_side=101)
    assert (view.width, view.height) == (101, 76)
    np.testing.assert_allclose(view.K[0, 2] / view.width, (163.2 + 0.5) / WIDTH, rtol=1e-12)
    np.testing.assert_allclose(view.K[1, 1] / view.height, 205.0 / HEIGHT, rtol=1e-12)
    assert scaled_view(camera(np.zeros(5)), max_image_side=1000).width == WIDTH
    with pytest.raises(CaptureError, match=r"image_scale is 2.0; expected 0 < image_scale <= 1"):
        scaled_view(camera(np.zeros(5)), image_scale=2.0)


def test_colours_are_rgb(tmp_path: Path) -> None:
    paths = write_dots(tmp_path, camera(np.zeros(5)))
    red = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    red[..., 2] = 200  # OpenCV writes BGR
    cv2.imwrite(str(paths[0]), red)
    image, _ = load_both(paths, scaled_view(camera(np.zeros(5))))
    assert image[5, 5].tolist() == [200, 0, 0]


@pytest.mark.parametrize("which", [0, 1], ids=["image", "mask"])
def test_unreadable_and_wrong_size_name_the_file(tmp_path: Path, which: int) -> None:
    view = scaled_view(camera(np.zeros(5)))
    paths = write_dots(tmp_path, camera(np.zeros(5)))
    cv2.imwrite(str(paths[which]), np.zeros((10, 20), np.uint8))
    with pytest.raises(CaptureError, match=rf"{paths[which].name}: expected .* 320x240 .* found 20x10. Export all"):
        load_both(paths, view)
    paths[which].write_bytes(b"not a picture")
    with pytest.raises(CaptureError, match=rf"{paths[which].name}: .*13 bytes that are not a picture. Copy"):
        load_both(paths, view)
    paths[which].unlink()
    with pytest.raises(CaptureError, match=rf"{paths[which].name}: .*does not exist"):
        load_both(paths, view)


@pytest.mark.parametrize(
    ("coding", "expected"),
    [("matte", [0, 1, 100, 255]), ("inverted", [255, 254, 155, 0]), ("nonzero", [0, 255, 255, 255])],
)
@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_masks_of_every_coding_become_mattes(
    tmp_path: Path, coding: MaskCoding, expected: list[int], suffix: str
) -> None:
    path, stored = tmp_path / f"mask{suffix}", np.array([[0, 1], [100, 255]], np.uint8)
    if suffix == ".npy":
        np.save(path, stored)
    else:
        cv2.imwrite(str(path), stored)
    camera = CaptureCamera("0", np.eye(3), np.eye(4), 2, 2, np.zeros(5), coding)
    assert load_matte(path, scaled_view(camera), UndistortMaps()).ravel().tolist() == expected


def test_bad_mask_arrays_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mask.npy"
    for content, message in (
        (np.zeros((2, 3), np.uint8), r"mask.npy: expected a mask of 2x2 numbers of 8 bits, found shape \(2, 3\)"),
        (np.zeros((2, 2), np.float32), r"mask.npy: .* of float32. Export all"),
        (np.array([[None, {}], [1, 2]], object), r"mask.npy: expected a numpy array, found pickled Python objects"),
    ):
        np.save(path, content)
        with pytest.raises(CaptureError, match=message):
            read_mask(path, 2, 2, "matte")


def barrel_views(count: int) -> list[CameraView]:
    return [
        scaled_view(CaptureCamera(str(i), np.diag([200.0 + i, 200, 1]), np.eye(4), 64, 48, BARREL))
        for i in range(count)
    ]


def test_maps_are_bounded() -> None:
    views = barrel_views(5)
    maps = UndistortMaps(max_bytes=2 * 64 * 48 * 6)
    for view in views:
        maps.get(view)
        assert maps.num_bytes() <= maps.max_bytes
    assert maps.get(views[-1]) is maps.get(views[-1])


@pytest.mark.skipif(not processes_share(), reason="loading processes are no forks here")
def test_maps_of_common_memory_are_those_of_each_process_and_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first by a process that was forked, the second in this one."""
    views, plain = barrel_views(2), UndistortMaps()
    maps = SharedUndistortMaps(views)
    process = multiprocessing.get_context("fork").Process(target=maps.get, args=(views[0],))
    process.start()
    process.join()
    made: list[str] = []
    make = images._undistort_maps
    monkeypatch.setattr(images, "_undistort_maps", lambda view: (made.append(view.name), make(view))[1])
    for _ in range(2):
        for view in views:
            for table, wanted in zip(maps.get(view), plain.get(view), strict=True):
                np.testing.assert_array_equal(table, wanted)
                assert table.dtype == wanted.dtype
    assert made == ["0", "1", "1"]  # once each by `plain`, and number 1 by `maps`


def test_maps_of_common_memory_are_bounded() -> None:
    views, one = barrel_views(5), 64 * 48 * 6
    straight = replace(views[0], name="straight", distortion=np.zeros(5))
    maps = SharedUndistortMaps([straight, *views], max_shared_bytes=2 * one + 1, max_bytes=one)
    for view in views:
        for table, wanted in zip(maps.get(view), UndistortMaps().get(view), strict=True):
            np.testing.assert_array_equal(table, wanted)
        assert maps.num_bytes() == (one if view in views[2:] else 0)
    assert SharedUndistortMaps([straight]).get(views[0])[0].shape == (48, 64, 2)


def test_person_box() -> None:
    matte = np.zeros((40, 30), np.uint8)
    assert person_box(matte, 4) == Box(15, 20, 15, 20)
    matte[10:20, 3:9] = 200
    matte[0, 0] = 100  # ringing of a JPEG is not a person
    assert person_box(matte, 0) == Box(3, 10, 9, 20)
    assert person_box(matte, 5) == Box(0, 5, 14, 25)


def test_window_holds_the_boxes_and_stays_inside() -> None:
    boxes = [Box(0, 0, 20, 33), Box(50, 60, 64, 96), Box(32, 48, 32, 48)]
    sizes = [(64, 96), (64, 96), (66, 96)]
    window = shared_window(boxes, sizes)
    assert window == (32, 48)
    for box, size in zip(boxes, sizes):
        x0, y0 = place_window(box, window, size)
        assert 0 <= x0 <= box.x0 and box.x1 <= x0 + window[0] <= size[0]
        assert 0 <= y0 <= box.y0 and box.y1 <= y0 + window[1] <= size[1]
    assert shared_window([Box(0, 0, 64, 96)], [(64, 96), (60, 90)]) == (60, 90)
    assert shared_window([Box(5, 5, 5, 5)], [(64, 96)]) == (16, 16)


def test_crop_moves_the_principal_point_only() -> None:
    K = camera(np.zeros(5)).K
    cropped = crop_intrinsics(K, 7, 11)
    point = np.array([0.2, -0.1, 1.0])
    np.testing.assert_allclose(cropped @ point, K @ point - [7, 11, 0], atol=1e-12)
