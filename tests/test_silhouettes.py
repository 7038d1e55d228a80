"""Masks as distances and outlines: against brute force, at the picture's border, and read only where asked."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from nerfstudio_mobavatar import silhouettes
from nerfstudio_mobavatar.capture import CaptureError
from nerfstudio_mobavatar.silhouettes import OUTLINE_POINTS, load_silhouettes, mask_distance, mask_outline
from tests.silhouette_scene import CAMERAS, FRAMES, HEIGHT, WIDTH, Scene, make_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("silhouettes"))


def test_distance_is_that_of_the_nearest_person_pixel() -> None:
    rng = np.random.default_rng(0)
    person = rng.random((20, 30)) < 0.03
    ys, xs = np.nonzero(person)
    y, x = np.mgrid[:20, :30]
    expected = np.sqrt((y[..., None] - ys) ** 2 + (x[..., None] - xs) ** 2).min(-1)
    np.testing.assert_allclose(mask_distance(person), expected, atol=1e-3)


def test_outline_runs_around_the_person() -> None:
    person = np.zeros((60, 40), bool)
    person[10:50, 12:30] = True
    outline = mask_outline(person)
    assert outline is not None and outline.shape == (OUTLINE_POINTS, 2)
    inner = (outline > [12.6, 10.6]).all(1) & (outline < [29.4, 49.4]).all(1)
    assert not inner.any() and outline.min(0).tolist() == [12.5, 10.5] and outline.max(0).tolist() == [29.5, 49.5]


def test_what_the_picture_cuts_off_is_no_outline() -> None:
    person = np.zeros((60, 40), bool)
    person[30:, 10:25] = True
    outline = mask_outline(person)
    assert outline is not None and outline[:, 1].max() < 58


def test_no_person_no_outline() -> None:
    assert mask_outline(np.zeros((60, 40), bool)) is None
    specks = np.zeros((60, 40), bool)
    specks[5:57:4, 5:37:4] = True
    assert specks.sum() > silhouettes.LEAST_PERSON and mask_outline(specks) is None


def test_masks_at_the_working_resolution(scene: Scene) -> None:
    capture = scene.capture
    read = load_silhouettes(capture.cameras, capture.images, [1, 3], 64, "cpu")
    assert read.outside.shape == (2, CAMERAS, 64, 48) and bool(read.seen.all()) and read.num_frames == 2
    assert read.size.tolist() == [[48, 64]] * CAMERAS
    torch.testing.assert_close(read.K[0, :2], torch.from_numpy(capture.cameras[0].K[:2] * 64 / HEIGHT).float())
    two = read.cameras([2, 0])
    torch.testing.assert_close(two.outline, read.outline[:, [2, 0]])
    torch.testing.assert_close(two.T_cam_world, read.T_cam_world[[2, 0]])
    assert WIDTH / HEIGHT == 48 / 64


def test_only_the_pictures_asked_for_are_read(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    capture, read = scene.capture, []
    load = silhouettes.load_matte

    def record(path: Path, *rest):
        read.append(path)
        return load(path, *rest)

    monkeypatch.setattr(silhouettes, "load_matte", record)
    images = [image for image in capture.images if image.camera == 1]
    found = load_silhouettes(capture.cameras, images, [0, 2], 64, "cpu")
    assert sorted(path.name for path in read) == ["0.png", "2.png"] and {p.parent.name for p in read} == {"cam1"}
    assert found.seen.tolist() == [[False, True, False, False]] * 2


def test_an_unreadable_mask_is_named(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"")
    image = type(scene.capture.images[0])(0, 0, path, path)
    with pytest.raises(CaptureError, match=r"broken\.png: expected a readable mask"):
        load_silhouettes(scene.capture.cameras, [image], range(FRAMES), 64, "cpu")


def test_a_person_who_left_is_not_seen(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    cv2.imwrite(str(path), np.zeros((HEIGHT, WIDTH), np.uint8))
    image = type(scene.capture.images[0])(2, 0, path, path)
    assert not load_silhouettes(scene.capture.cameras, [image], [0], 64, "cpu").seen.any()
