"""What the generic parser says about folders that it cannot use, and `mobavatar convert-capture`."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from nerfstudio_mobavatar.capture import Capture, CaptureError
from nerfstudio_mobavatar.convert_capture import ConvertCapture
from nerfstudio_mobavatar.dataparsers.avatarrex import AvatarReXDataParserConfig
from nerfstudio_mobavatar.dataparsers.generic import GenericDataParserConfig
from tests.layouts import write_generic, write_zju_mocap
from tests.layouts.smpl_model import FILE
from tests.layouts.truth import make_truth


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture per calibration, all with SMPL-X but `colmap`."""
    base, truth = tmp_path_factory.mktemp("generic"), make_truth(smpl=True).subset((0, 1))
    write_generic.write_json(truth, base / "json")
    write_generic.write_opencv(truth, base / "opencv")
    write_generic.write_transforms(truth, base / "transforms")
    write_generic.write_colmap(truth, base / "colmap")
    return base


def parse(folder: Path, **options: Any) -> Capture:
    return GenericDataParserConfig(data=folder, **options).setup().capture


def edit_json(path: Path, change: Callable[[dict], Any]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_body(folder: Path, **changes: Any) -> None:
    with np.load(folder / "body.npz") as stored:
        arrays = {key: stored[key] for key in stored.files} | changes
    np.savez(folder / "body.npz", **{k: v for k, v in arrays.items() if v is not None})


BAD: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "no calibration": (
        "json",
        lambda d: (d / "cameras.json").unlink(),
        r"expected one calibration \(cameras.json, intri.yml, transforms.json, sparse\), found none. Put one",
    ),
    "two calibrations": (
        "json",
        lambda d: (d / "transforms.json").write_text("{}"),
        r"found cameras.json and transforms.json. Keep the one",
    ),
    "no extri.yml": (
        "opencv",
        lambda d: (d / "extri.yml").unlink(),
        r"extri.yml: expected OpenCV's YAML .*, found no such file",
    ),
    "broken yml": (
        "opencv",
        lambda d: (d / "intri.yml").write_text("%YAML:1.0\n---\nnames: [ ?"),
        r"intri.yml: expected (OpenCV's YAML, found that it does not parse)",
    ),
    "yml without a camera": (
        "opencv",
        lambda d: (d / "extri.yml").write_text("%YAML:1.0\n---\nnames: []\n"),
        r"intri.yml: expected 9 finite numbers in R of camera 22010700, found no such key",
    ),
    "transforms without frames": (
        "transforms",
        lambda d: edit_json(d / "transforms.json", lambda c: c.pop("frames")),
        r"transforms.json: expected nerfstudio's 'frames' .*KeyError",
    ),
    "fisheye": (
        "transforms",
        lambda d: edit_json(d / "transforms.json", lambda c: c.update(camera_model="OPENCV_FISHEYE")),
        r"transforms.json: expected a pinhole or OPENCV camera_model, found OPENCV_FISHEYE. Undistort",
    ),
    "no focal length": (
        "transforms",
        lambda d: edit_json(d / "transforms.json", lambda c: [f.pop("fl_x") for f in c["frames"]]),
        r"transforms.json: expected fl_x, fl_y, cx, cy, w and h for camera 22010700, found none for 'fl_x'",
    ),
    "moving camera": (
        "transforms",
        lambda d: edit_json(d / "transforms.json", lambda c: c["frames"][1]["transform_matrix"][0].__setitem__(3, 9)),
        r"transforms.json: expected one pose of camera 22010700, found several: it moves",
    ),
    "damaged COLMAP model": (
        "colmap",
        lambda d: (d / "sparse" / "0" / "images.bin").write_bytes(b"no"),
        r"sparse.0: expected COLMAP's cameras and images .* cannot be read .* Export the model again",
    ),
    "camera without images": (
        "json",
        lambda d: shutil.rmtree(d / "images" / "22010703"),
        r"22010703: expected images such as 000000.jpg of camera 22010703 .* no such folder.*--skip-cameras 22010703",
    ),
    "no body": ("json", lambda d: (d / "body.npz").unlink(), r"body.npz: expected the body fit, found no such file"),
    "poses of another model": (
        "opencv",
        lambda d: edit_body(d, poses=np.zeros((6, 48))),
        r"body.npz: expected poses of 165 \(SMPL-X\), 156 \(SMPL-H\) or 72 \(SMPL\) .*, found 48 numbers and",
    ),
    "SMPL without betas": (
        "colmap",
        lambda d: edit_body(d, betas=None),
        r"body.npz: expected poses of .* with transl and betas, found 72 numbers and body_pose, frames",
    ),
    "SMPL with fewer translations": (
        "colmap",
        lambda d: edit_body(d, transl=np.zeros((2, 3))),
        r"body.npz: expected 6 rows in transl, found shape \(2, 3\)",
    ),
    "a frame twice": (
        "json",
        lambda d: edit_body(d, frames=np.array([100, 101, 101, 103, 104, 105])),
        r"body.npz: expected in 'frames' a different whole number for each of the 6 rows",
    ),
    "frames of other images": (
        "json",
        lambda d: edit_body(d, frames=np.arange(6)),
        r"body.npz: expected a fit for every image \(row n shows image n, or the n-th of 'frames'\)",
    ),
    "several rates": (
        "json",
        lambda d: edit_body(d, fps=np.array([30, 25])),
        r"body.npz: expected one number in fps, found \[30, 25\]",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_names_file_expectation_finding_and_remedy(sound: Path, tmp_path: Path, name: str) -> None:
    which, spoil, message = BAD[name]
    folder = Path(shutil.copytree(sound / which, tmp_path / "capture"))
    spoil(folder)
    with pytest.raises(CaptureError) as error:
        parse(folder)
    assert re.search(message, str(error.value)), str(error.value)
    assert str(folder) in str(error.value)


def test_what_the_body_file_says(sound: Path, tmp_path: Path) -> None:
    """The rate and the hands' mean are the file's, the options come first."""
    folder = Path(shutil.copytree(sound / "json", tmp_path / "capture"))
    flat = parse(folder).fit.pose
    edit_body(folder, fps=np.float32(12.5), flat_hand_mean=np.bool_(False))
    capture = parse(folder)
    assert capture.fps == 12.5 and np.abs(capture.fit.pose - flat)[:, 25:].max() > 0.1
    assert parse(folder, fps=20.0, flat_hand_mean=True).fps == 20.0
    np.testing.assert_array_equal(parse(folder, flat_hand_mean=True).fit.pose, flat)


def test_applied_transform_is_said(sound: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sound / "transforms", tmp_path / "capture"))
    edit_json(folder / "transforms.json", lambda c: c.update(applied_transform=np.eye(4)[:3].tolist()))
    assert any("applied_transform" in note for note in parse(folder).notes)


def test_smplh_and_one_camera(sound: Path, tmp_path: Path) -> None:
    """156 numbers are SMPL-H's; a capture of one camera keeps its name in COLMAP's model."""
    folder = Path(shutil.copytree(sound / "colmap", tmp_path / "capture"))
    pose = np.zeros((6, 156))
    pose[:, 66:111] = 0.2
    edit_body(folder, poses=pose, body_pose=None, global_orient=None)
    capture = parse(folder, skip_cameras=("22010703",))
    assert [camera.name for camera in capture.cameras] == ["22010700"]
    assert np.allclose(capture.fit.pose[:, 25:40], 0.2) and any("SMPL-H fit" in note for note in capture.notes)


def test_convert_capture_keeps_everything(sound: Path, tmp_path: Path) -> None:
    """A converted SMPL capture, read as AvatarReX, has the cameras, poses and pixels of the original."""
    ConvertCapture(sound / "colmap", tmp_path / "out", smpl_model=sound / "colmap" / FILE).main()
    original = parse(sound / "colmap", smpl_model=FILE)
    converted = AvatarReXDataParserConfig(data=tmp_path / "out").setup().capture
    assert converted.frames == tuple(range(6)) and len(converted.images) == len(original.images)
    for a, b in zip(original.cameras, converted.cameras):
        np.testing.assert_allclose(a.K, b.K, atol=1e-9)
        np.testing.assert_allclose(a.T_cam_world, b.T_cam_world, atol=1e-12)
    for key in ("pose", "transl", "betas", "expression"):
        np.testing.assert_array_equal(getattr(original.fit, key), getattr(converted.fit, key))
    for a, b in zip(original.images, converted.images):
        assert (a.camera, a.frame) == (b.camera, b.frame)
        assert a.image_path.samefile(b.image_path) and a.mask_path.samefile(b.mask_path)


def test_convert_capture_writes_masks_of_another_coding(tmp_path: Path) -> None:
    write_zju_mocap.write(write_zju_mocap.camera_names(make_truth(smpl=True).subset((0,))), tmp_path / "in")
    ConvertCapture(tmp_path / "in", tmp_path / "out", copy=True, frame_stride=3).main()
    mask = cv2.imread(str(tmp_path / "out" / "Camera_B1" / "mask" / "pha" / "00000001.png"), cv2.IMREAD_GRAYSCALE)
    labels = cv2.imread(str(tmp_path / "in" / "mask_cihp" / "Camera_B1" / "000003.png"), cv2.IMREAD_GRAYSCALE)
    assert mask is not None and labels is not None
    np.testing.assert_array_equal(mask, np.where(labels > 0, 255, 0))
    copied = tmp_path / "out" / "Camera_B1" / "00000001.jpg"
    assert copied.read_bytes() == (tmp_path / "in" / "Camera_B1" / "000003.jpg").read_bytes()
    assert copied.stat().st_nlink == 1
    with pytest.raises(CaptureError, match=r"out: expected an empty folder to write to, found files"):
        ConvertCapture(tmp_path / "in", tmp_path / "out").main()


def test_convert_capture_refuses_a_model_that_is_not_used(mini_capture: Path, tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"--smpl-model is for layouts with a SMPL fit, found one that never has"):
        ConvertCapture(mini_capture, tmp_path / "out", smpl_model=tmp_path / "x.pkl").main()
