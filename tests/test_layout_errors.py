"""Broken captures of every layout: the error names the file, what was expected and found, and what to do.

AvatarReX has its own in test_avatarrex.py. Every folder is a small sound capture with one thing broken.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest

from nerfstudio_mobavatar.capture import Capture, CaptureError
from nerfstudio_mobavatar.dataparsers.detect import AutoDataParserConfig
from tests.layouts import write_actorshq, write_dna_rendering, write_dreams, write_people_snapshot, write_thuman4
from tests.layouts.table import ROWS
from tests.layouts.truth import Truth, make_truth

BY_NAME = {row.name: row for row in ROWS}
ANNOTATIONS = Path("part1_annotations") / "0012_09_annots.smc"
MAIN = Path("part1_main") / "0012_09.smc"
BEHIND = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -3], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A small capture without fault; copy it before you change it."""
    base = tmp_path_factory.mktemp("sound")
    modules = {"thuman4": write_thuman4, "actorshq": write_actorshq, "dreams": write_dreams}
    modules |= {"dna_rendering": write_dna_rendering, "people_snapshot": write_people_snapshot}

    def folder(layout: str) -> Path:
        if not (base / layout).exists():
            module: Any = modules[layout]
            names = module.one_camera if module is write_people_snapshot else module.camera_names
            truth: Truth = names(make_truth(frames=3, cameras=2))
            module.write(truth, base / layout)
        return base / layout

    return folder


def edit_npz(path: Path, **changes: Any) -> None:
    with np.load(path, allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files} | changes
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})


def edit_json(path: Path, change: Callable[[Any], Any]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def edit_text(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def edit_smc(path: Path, name: str, value: Any) -> None:
    """Replace or (None) remove a dataset or group."""
    with h5py.File(path, "r+") as file:
        if name in file:
            del file[name]
        if value is not None:
            file[name] = value


def cut(path: Path) -> None:
    """Half of the file, as an interrupted download leaves it."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def resize(path: Path, width: int, height: int) -> None:
    picture = cv2.imread(str(path))
    assert picture is not None
    cv2.imwrite(str(path), cv2.resize(picture, (width, height)))


def crop_all(folder: Path) -> None:
    for path in folder.rglob("*_*.*g"):
        resize(path, 96, 96)


def second_recording(folder: Path) -> None:
    shutil.copy(folder / ANNOTATIONS, folder / ANNOTATIONS.parent / "0013_01_annots.smc")


def narrow_video(folder: Path) -> None:
    write_dreams.write_video(folder / "videos" / "cam01.mp4", [np.zeros((128, 96, 3), np.uint8)] * 5)


BAD: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "thuman4: no pictures of a camera": (
        "thuman4",
        lambda d: shutil.rmtree(d / "images" / "cam01"),
        r"images.cam01: expected images such as 00000000.jpg of camera cam01, which calibration.json lists, found no "
        r"such folder.*--skip-cameras cam01",
    ),
    "thuman4: a mask missing": (
        "thuman4",
        lambda d: (d / "masks" / "cam01" / "00000001.jpg").unlink(),
        r"images.cam01.00000001.jpg: expected its mask in .*masks.cam01, found none; 1 of .*missing_img_files",
    ),
    "thuman4: no calibration": (
        "thuman4",
        lambda d: (d / "calibration.json").unlink(),
        r"expected one of the known capture layouts .*thuman4: calibration.json, images, masks.*found images, masks",
    ),
    "actorshq: a column missing": (
        "actorshq",
        lambda d: edit_text(d / "calibration.csv", "name,w", "name,width"),
        r"calibration.csv: expected the columns name,w,.*found name,width.*missing: w\)",
    ),
    "actorshq: a number that is none": (
        "actorshq",
        lambda d: edit_text(d / "calibration.csv", "Cam002,96", "Cam002,n/a"),
        r"calibration.csv: expected 12 numbers after the name in line 3, found that it is not so \(could not",
    ),
    "actorshq: no rows": (
        "actorshq",
        lambda d: (d / "calibration.csv").write_text(",".join(["name", "w", "h", *"rx ry rz tx ty tz".split()]) +
                                                     ",fx,fy,px,py\n"),
        r"calibration.csv: expected one row per camera, found none",
    ),
    "actorshq: no pictures": (
        "actorshq",
        lambda d: [shutil.rmtree(path) for path in (d / "rgbs").iterdir()],
        r"rgbs: expected images such as Cam001/Cam001_rgb000000.jpg of at least one of the 3 cameras.*found none",
    ),
    "actorshq: no masks": (
        "actorshq",
        lambda d: shutil.rmtree(d / "masks"),
        r"Cam001_rgb000000.jpg: expected its mask in .*masks.Cam001, found none; 3 of .*they come apart",
    ),
    "actorshq: no fit": (
        "actorshq",
        lambda d: (d / "smpl_params.npz").unlink(),
        r"smpl_params.npz: expected a SMPL-X fit, found none. ActorsHQ has no body fits",
    ),
    "actorshq: cropped pictures": (
        "actorshq",
        crop_all,
        r"calibration.csv: expected images of camera Cam001 shaped like 96x128, found 96x96.*do not crop",
    ),
    "dna: annotations missing": (
        "dna_rendering",
        lambda d: (d / ANNOTATIONS).unlink(),
        r"expected one of the known capture layouts .*dna-rendering: \*_annots.smc",
    ),
    "dna: pictures missing": (
        "dna_rendering",
        lambda d: (d / MAIN).unlink(),
        r"expected the pictures 0012_09.smc in it or in a folder such as main.*found none",
    ),
    "dna: two recordings": (
        "dna_rendering",
        second_recording,
        r"expected one recording, found 0012_09, 0013_01. Choose one with --sequence",
    ),
    "dna: half a file": (
        "dna_rendering",
        lambda d: cut(d / ANNOTATIONS),
        r"_annots.smc: expected a DNA-Rendering file \(HDF5\), found that it cannot be read.*interrupted download",
    ),
    "dna: no body": (
        "dna_rendering",
        lambda d: edit_smc(d / ANNOTATIONS, "SMPLx", None),
        r"_annots.smc: expected a DNA-Rendering file .*SMPLx",
    ),
    "dna: no poses": (
        "dna_rendering",
        lambda d: edit_smc(d / ANNOTATIONS, "SMPLx/fullpose", None),
        r"_annots.smc: expected SMPLx/fullpose, found none",
    ),
    "dna: SMPL poses": (
        "dna_rendering",
        lambda d: edit_smc(d / ANNOTATIONS, "SMPLx/fullpose", np.zeros((3, 24, 3))),
        r"expected 55 axis-angle rotations per frame in SMPLx/fullpose, found shape \(3, 24, 3\)",
    ),
    "dna: scale of zero": (
        "dna_rendering",
        lambda d: edit_smc(d / ANNOTATIONS, "SMPLx/scale", np.zeros(1)),
        r"expected one positive number in SMPLx/scale, found \[0.0\].*--apply-scale False",
    ),
    "dna: a camera without calibration": (
        "dna_rendering",
        lambda d: edit_smc(d / ANNOTATIONS, "Camera_Parameter/07", None),
        r"expected Camera_Parameter/07 of a camera that has pictures, found none.*--skip-cameras 07",
    ),
    "dna: no inverse": (
        "dna_rendering",
        lambda d: edit_smc(d / ANNOTATIONS, "Camera_Parameter/07/RT", np.zeros((4, 4))),
        r"expected a 4x4 camera-to-world transform in Camera_Parameter/07/RT, found",
    ),
    "dna: no cameras in the main file": (
        "dna_rendering",
        lambda d: edit_smc(d / MAIN, "Camera_5mp", None),
        r"0012_09.smc: expected pictures in Camera_5mp or Camera_12mp, found neither",
    ),
    "dna: a mask missing": (
        "dna_rendering",
        lambda d: edit_smc(d / ANNOTATIONS, "Mask/7/mask/1", None),
        r"expected its mask in .*07.masks, found none; 1 of the images of camera 07.*annots.smc has none for them",
    ),
    "dna: a broken mask": (
        "dna_rendering",
        lambda d: edit_smc(d / ANNOTATIONS, "Mask/7/mask/1", np.arange(9, dtype=np.uint8)),
        r"_annots.smc: expected a picture in Mask/7/mask/1, found 9 bytes that are none.*--drop-frames",
    ),
    "people: no extrinsic": (
        "people_snapshot",
        lambda d: edit_npz(d / "cameras.npz", extrinsic=None),
        r"cameras.npz: expected extrinsic of shape \(4, 4\), found only height, intrinsic, width",
    ),
    "people: a camera with its back to the person": (
        "people_snapshot",
        lambda d: edit_npz(d / "cameras.npz", extrinsic=BEHIND),
        r"cameras.npz: expected the body in front of camera camera, found it behind",
    ),
    "people: no pictures": (
        "people_snapshot",
        lambda d: [path.unlink() for path in (d / "images").iterdir()],
        r"images: expected pictures such as image_0000.png, found none",
    ),
    "people: a mask missing": (
        "people_snapshot",
        lambda d: (d / "masks" / "mask_0001.npy").unlink(),
        r"image_0001.png: expected its mask in .*masks, found none; 1 of",
    ),
    "people: a mask of another size": (
        "people_snapshot",
        lambda d: np.save(d / "masks" / "mask_0001.npy", np.ones((64, 48), np.uint8)),
        r"mask_0001.npy: expected a mask of 96x128 numbers of 8 bits, found shape \(64, 48\)",
    ),
    "people: masks of Python objects": (
        "people_snapshot",
        lambda d: np.save(d / "masks" / "mask_0001.npy", np.array([{}], dtype=object)),
        r"mask_0001.npy: expected a numpy array, found pickled Python objects",
    ),
    "people: a pose of SMPL-X": (
        "people_snapshot",
        lambda d: edit_npz(d / "poses.npz", thetas=np.zeros((3, 66))),
        r"poses.npz: expected a SMPL fit with 69 numbers per frame in body_pose, found shape \(3, 63\)",
    ),
    "people: no shape": (
        "people_snapshot",
        lambda d: edit_npz(d / "poses.npz", betas=None),
        r"poses.npz: expected SMPL's betas, found none",
    ),
    "people: fewer poses than pictures": (
        "people_snapshot",
        lambda d: edit_npz(d / "poses.npz", thetas=np.zeros((2, 72)), transl=np.zeros((2, 3))),
        r"poses.npz: expected a fit for every image \(the k-th picture shows row k\), found 2 rows but 1 frames",
    ),
    "dreams: no cameras": (
        "dreams",
        lambda d: (d / "cameras.json").write_text('{"rigs": [{}]}'),
        r"cameras.json: expected JSON with rigs\[i\].cameras\[0\] for every camera.*KeyError",
    ),
    "dreams: a camera without centre": (
        "dreams",
        lambda d: edit_json(d / "cameras.json", lambda x: x["rigs"][1]["cameras"][0].pop("c")),
        r"cameras.json: expected numbers in fx, .* of camera cam01 .*KeyError: 'c'",
    ),
    "dreams: a video missing": (
        "dreams",
        lambda d: (d / "videos" / "cam01.mp4").unlink(),
        r"cam01.mp4: expected the video of camera cam01, found no such file.*--skip-cameras cam01",
    ),
    "dreams: half a video": (
        "dreams",
        lambda d: cut(d / "videos" / "cam01.mp4"),
        r"cam01.mp4: expected the video of camera cam01, found that it does not open as a video",
    ),
    "dreams: a video without the matte": (
        "dreams",
        narrow_video,
        r"cam01.mp4: expected a video of 192x128 pixels \(colours beside matte.*found 96x128",
    ),
    "dreams: no frame numbers": (
        "dreams",
        lambda d: edit_npz(d / "smplx.npz", frames=None),
        r"smplx.npz: expected in `frames` another frame number for each of the 3 rows, found 0 numbers",
    ),
    "dreams: a frame twice": (
        "dreams",
        lambda d: edit_npz(d / "smplx.npz", frames=np.array([40, 41, 41])),
        r"for each of the 3 rows, found 3 numbers, 2 of them different",
    ),
    "dreams: PCA hands": (
        "dreams",
        lambda d: edit_npz(d / "smplx.npz", smplx_kwargs=json.dumps({"use_pca": True})),
        r"smplx.npz: expected axis-angle hands, found use_pca",
    ),
    "dreams: broken settings": (
        "dreams",
        lambda d: edit_npz(d / "smplx.npz", smplx_kwargs="{'gender': 'male'}"),
        r"smplx.npz: expected JSON in smplx_kwargs, found",
    ),
    "dreams: broken offset": (
        "dreams",
        lambda d: (d / "capture.json").write_text('{"frame_convention": {"offset_d": null}}'),
        r"capture.json: expected JSON with a whole number in frame_convention.offset_d",
    ),
    "dreams: Python objects": (
        "dreams",
        lambda d: np.savez(d / "smplx.npz", frames=np.array([{}], dtype=object)),
        r"smplx.npz: expected a numpy .npz of plain arrays",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_broken_capture_is_refused_with_its_remedy(name: str, sound: Callable[[str], Path], tmp_path: Path) -> None:
    layout, damage, message = BAD[name]
    folder = Path(shutil.copytree(sound(layout), tmp_path / layout))
    damage(folder)
    with pytest.raises(CaptureError) as error:
        AutoDataParserConfig(data=folder).setup().capture  # noqa: B018
    assert re.search(message, str(error.value), re.DOTALL), str(error.value)
    assert str(error.value).rstrip().endswith(".")


def parse(layout: str, folder: Path, **options: Any) -> Capture:
    return BY_NAME[layout].parse(folder, **options)


def test_expressions_that_stop_early_are_zero_from_there(sound: Callable[[str], Path], tmp_path: Path) -> None:
    """Issue 25 of DNA-Rendering: 40 of 225 rows; and shapes with one row."""
    folder = Path(shutil.copytree(sound("dna_rendering"), tmp_path / "dna"))
    edit_smc(folder / ANNOTATIONS, "SMPLx/expression", np.ones((2, 10)))
    edit_smc(folder / ANNOTATIONS, "SMPLx/betas", np.ones((1, 10)))
    capture = parse("dna_rendering", folder)
    assert capture.fit.expression.any(1).tolist() == [True, True, False]
    assert any("SMPLx/expression has 2 of 3 rows" in note for note in capture.notes)


def test_scale_can_be_ignored(sound: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sound("dna_rendering"), tmp_path / "dna"))
    edit_smc(folder / ANNOTATIONS, "SMPLx/scale", np.array([2.0]))
    halved, whole = (parse("dna_rendering", folder, apply_scale=apply) for apply in (True, False))
    np.testing.assert_allclose(halved.cameras[0].T_cam_world[:3, 3] * 2, whole.cameras[0].T_cam_world[:3, 3])
    assert any("scale 2.0000" in note for note in halved.notes) and not any("scale" in note for note in whole.notes)


def test_sequence_chooses_a_recording(sound: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sound("dna_rendering"), tmp_path / "dna"))
    second_recording(folder)
    assert len(parse("dna_rendering", folder, sequence="0012_09").images) == 6
    with pytest.raises(CaptureError, match=r"expected the annotations 0099_01_annots.smc .*found 0012_09, 0013_01"):
        parse("dna_rendering", folder, sequence="0099_01")


def test_files_beside_each_other(sound: Callable[[str], Path], tmp_path: Path) -> None:
    for file in (ANNOTATIONS, MAIN):
        shutil.copy(sound("dna_rendering") / file, tmp_path)
    assert len(parse("dna_rendering", tmp_path).images) == 6


def test_size_of_actorshq_is_chosen(tmp_path: Path) -> None:
    write_actorshq.write_scales(write_actorshq.camera_names(make_truth(frames=3, cameras=2)), tmp_path)
    shutil.rmtree(tmp_path / "1x" / "rgbs" / "Cam002")
    assert len(parse("actorshq", tmp_path, scale="4x").cameras) == 2
    assert len(parse("actorshq", tmp_path, scale="auto").cameras) == 1
    with pytest.raises(CaptureError, match=r"in one of 1x, 2x, 4x .--scale 2x., found it in 1x,4x only"):
        parse("actorshq", tmp_path, scale="2x")
    assert len(parse("actorshq", tmp_path / "4x").cameras) == 2  # with the fit in the folder above


def test_normalised_calibration_fits_pictures_of_another_size(tmp_path: Path) -> None:
    """A calibration of the full size beside smaller pictures: the numbers are shares."""
    write_actorshq.write(write_actorshq.camera_names(make_truth(frames=3, cameras=2)), tmp_path)
    large = parse("actorshq", tmp_path)
    for path in [*tmp_path.glob("rgbs/*/*.jpg"), *tmp_path.glob("masks/*/*.png")]:
        resize(path, 48, 64)
    small = parse("actorshq", tmp_path)
    np.testing.assert_allclose(small.cameras[0].K, np.diag([0.5, 0.5, 1]) @ large.cameras[0].K)


def test_hands_of_dreams_are_complete_where_the_fit_says_so(sound: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sound("dreams"), tmp_path / "dreams"))
    relative = parse("dreams", folder).fit.pose
    edit_npz(folder / "smplx.npz", smplx_kwargs=json.dumps({"flat_hand_mean": True, "gender": "male"}))
    capture = parse("dreams", folder)
    assert np.abs(capture.fit.pose - relative)[:, 25:].max() > 0.1
    np.testing.assert_array_equal(capture.fit.pose[:, :25], relative[:, :25])
    assert any("of the male SMPL-X model, with hands as they are" in note for note in capture.notes)


def test_videos_shorter_than_the_fit(sound: Callable[[str], Path], tmp_path: Path) -> None:
    """Without an offset the last two of three frames would lie before the video's start: nothing is guessed."""
    folder = Path(shutil.copytree(sound("dreams"), tmp_path / "dreams"))
    (folder / "capture.json").write_text(json.dumps({"frame_convention": {"offset_d": write_dreams.OFFSET + 2}}))
    capture = parse("dreams", folder)
    assert capture.frames == (40,) and any("2 of the 3 rows of the fit have no image" in note for note in capture.notes)
    (folder / "capture.json").unlink()
    with pytest.raises(CaptureError, match=r"videos: expected pictures of frames 40..42, found videos of 5 pictures"):
        parse("dreams", folder)


def test_more_coefficients_are_kept_unless_they_are_zero(sound: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sound("dreams"), tmp_path / "dreams"))
    fit = parse("dreams", folder).fit
    assert (fit.betas.shape, fit.expression.shape) == ((10,), (3, 10))
    betas, expression = np.zeros((3, 300)), np.zeros((3, 100))
    betas[:, 16], expression[1, 49] = 1, 1
    edit_npz(folder / "smplx.npz", betas=betas, expression=expression)
    fit = parse("dreams", folder).fit
    assert (fit.betas.shape, fit.expression.shape) == ((17,), (3, 50))
