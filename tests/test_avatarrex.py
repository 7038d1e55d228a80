"""The AvatarReX parser: what it reads, what it holds out, and what it says about input that cannot be used."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs

from nerfstudio_mobavatar.body_model import load_body
from nerfstudio_mobavatar.capture import Capture, CaptureError
from nerfstudio_mobavatar.dataparsers.avatarrex import AvatarReX, AvatarReXDataParserConfig
from nerfstudio_mobavatar.dataparsers.detect import AutoDataParserConfig, detect_layout
from tests.tiny_capture import CAMERAS, FRAMES, HEIGHT, WIDTH, edit_fit, edit_json, fit, write_capture, write_picture


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_capture(tmp_path_factory.mktemp("avatarrex") / "sound")


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(sound, tmp_path / "capture"))


def parser(folder: Path, **options: Any) -> AvatarReX:
    return AvatarReXDataParserConfig(data=folder, **options).setup()


def parse(folder: Path, **options: Any) -> Capture:
    return parser(folder, **options).capture


def test_sound_capture(sound: Path) -> None:
    capture = parse(sound)
    assert [camera.name for camera in capture.cameras] == [f"cam{c}" for c in range(CAMERAS)]
    assert capture.frames == tuple(range(FRAMES)) and len(capture.images) == CAMERAS * FRAMES
    assert capture.up == (0.0, 1.0, 0.0) and capture.fps == 30.0
    camera = capture.cameras[1]
    assert (camera.width, camera.height) == (WIDTH, HEIGHT)
    # the calibration's principal point is the middle of the picture: half-integer centres put it at w/2, h/2
    np.testing.assert_allclose(camera.K[:2, 2], [WIDTH / 2, HEIGHT / 2])
    np.testing.assert_allclose((camera.T_cam_world @ [0, 0, 0, 1])[:3], [0, 0, 3], atol=1e-12)
    image = capture.images[CAMERAS * 5 + 2]
    assert (image.camera, image.frame) == (2, 5)
    assert image.image_path == sound / "cam2" / "00000005.jpg"
    assert image.mask_path == sound / "cam2" / "mask" / "pha" / "00000005.jpg"
    np.testing.assert_allclose(capture.fit.pose[:, 0, 1], 0.01 * np.arange(FRAMES), rtol=1e-6)


def test_notes_name_what_was_assumed(sound: Path, folder: Path) -> None:
    assert all("leye_pose" in note for note in parse(sound).notes)
    edit_fit(folder, leye_pose=np.ones((FRAMES, 3), np.float32), reye_pose=2 * np.ones((FRAMES, 3), np.float32))
    capture = parse(folder)
    assert capture.notes == ()
    assert (capture.fit.pose[:, 23] == 1).all() and (capture.fit.pose[:, 24] == 2).all()


def test_nerfstudio_cameras_project_like_the_capture(sound: Path) -> None:
    """Nerfstudio's rays, made from its OpenGL poses and half-integer pixels, go through the points that OpenCV's
    projection puts at those pixels."""
    outputs = parser(sound, image_scale=0.5).get_dataparser_outputs("train")
    cameras, index = outputs.cameras, 7
    image = outputs.metadata["images"][index]
    view = outputs.metadata["views"][image.camera]
    point = np.array([0.3, -0.4, 0.2, 1.0])
    in_camera = (view.T_cam_world @ point)[:3]
    u, v, _ = view.K @ in_camera / in_camera[2]
    assert (int(cameras.width[index]), int(cameras.height[index])) == (WIDTH // 2, HEIGHT // 2)
    rays = cameras.generate_rays(torch.tensor([[index]]), coords=torch.tensor([[v, u]]).float())
    direction = torch.from_numpy(point[:3]).float() - rays.origins[0]
    torch.testing.assert_close(rays.directions[0], direction / direction.norm(), atol=1e-5, rtol=0)
    assert cameras.metadata is not None and cameras.times is not None
    assert cameras.metadata["pose_row"][index].tolist() == [image.frame]
    assert cameras.metadata["cam_idx"][index].tolist() == [image.camera]
    torch.testing.assert_close(cameras.times[index, 0].item(), image.frame / (FRAMES - 1))


def tags(outputs: DataparserOutputs) -> list[tuple[str, int, str]]:
    """(camera, frame number, tag) of every picture, from its path rather than from what the parser says."""
    return [
        (path.parent.name, int(path.stem), tag)
        for path, tag in zip(outputs.image_filenames, outputs.metadata["split_tags"])
    ]


def test_splits(sound: Path) -> None:
    p = parser(sound, test_cameras=("cam1",), test_frames=("3:5", "10"))
    train, val, test = (tags(p.get_dataparser_outputs(split)) for split in ("train", "val", "test"))
    held = {3, 4, 10}
    seen = set(range(FRAMES)) - held
    assert {t[0] for t in train} == {"cam0", "cam2", "cam3"} and {t[1] for t in train} == seen
    assert len(train) == 3 * len(seen) and {t[2] for t in train} == {"train"}
    assert {t[:2] for t in test if t[2] == "novel_view"} == {("cam1", f) for f in seen}
    assert {t[:2] for t in test if t[2] == "novel_pose"} == {(c, f) for c in ("cam0", "cam2", "cam3") for f in held}
    assert set(val) <= {t for t in test if t[2] == "novel_view"}
    assert p.get_dataparser_outputs("train").metadata["train_frames"] == tuple(sorted(seen))
    bounded = parser(sound, test_cameras=("cam1",), test_frames=("3:5",), max_val_images=2, max_test_images=3)
    assert len(bounded.get_dataparser_outputs("val").image_filenames) == 2
    assert len(bounded.get_dataparser_outputs("test").image_filenames) == 6


def test_automatic_splits(sound: Path, folder: Path) -> None:
    p = parser(sound)
    assert {t[0] for t in tags(p.get_dataparser_outputs("train"))} == {"cam0", "cam1", "cam3"}
    assert {t[1] for t in tags(p.get_dataparser_outputs("test")) if t[2] == "novel_pose"} == {FRAMES - 1}
    two = parser(folder, skip_cameras=("cam2", "cam3"))
    assert {t[0] for t in tags(two.get_dataparser_outputs("train"))} == {"cam0", "cam1"}
    assert {t[2] for t in tags(two.get_dataparser_outputs("val"))} == {"novel_pose"}
    nothing = parser(sound, test_cameras=("none",), test_frames=("none",))
    assert {t[2] for t in tags(nothing.get_dataparser_outputs("test"))} == {"train"}
    assert "evaluation shows training images" in nothing.splits.note


def test_stride_and_drop(sound: Path) -> None:
    capture = parse(sound, frame_stride=3, drop_frames=("0", "10:"))
    assert capture.frames == (1, 4, 7) and capture.fps == 10.0
    np.testing.assert_allclose(capture.fit.pose[:, 0, 1], [0.01, 0.04, 0.07], rtol=1e-6)
    assert {(i.frame, i.image_path.stem) for i in capture.images} == {(0, "00000001"), (1, "00000004"), (2, "00000007")}
    assert parse(sound, fps=60.0).fps == 60.0


def test_frames_missing_in_some_cameras_are_used_where_present(folder: Path) -> None:
    (folder / "cam1" / "00000004.jpg").unlink()
    (folder / "missing_img_files.txt").write_text(
        "subject\\cam2\\00000005.jpg\ncam2/mask/pha/00000006.jpg\n\ncam9/00000001.jpg\n"
    )
    capture = parse(folder)
    assert capture.frames == tuple(range(FRAMES))
    absent = {(c, f) for c in range(CAMERAS) for f in range(FRAMES)} - {(i.camera, i.frame) for i in capture.images}
    assert absent == {(1, 4), (2, 5), (2, 6)}
    notes = " ".join(capture.notes)
    assert "lists 2 images" in notes and "1 lines of missing_img_files.txt" in notes
    assert "per camera: cam1 1, cam2 2" in notes


def test_other_padding_and_png(folder: Path) -> None:
    for path in list((folder / "cam0").rglob("*.jpg")):
        picture = cv2.imread(str(path))
        assert picture is not None
        cv2.imwrite(str(path.with_name(f"{int(path.stem):04d}.png")), picture)
        path.unlink()
    capture = parse(folder)
    assert capture.images[CAMERAS * 3].image_path.name == "0003.png"
    assert len(capture.images) == CAMERAS * FRAMES


def test_image_size_a_little_off_is_taken_from_the_image(folder: Path) -> None:
    edit_json(folder, "cam1", imgSize=[WIDTH, HEIGHT - 1])
    capture = parse(folder)
    assert (capture.cameras[1].width, capture.cameras[1].height) == (WIDTH, HEIGHT)
    assert any("imgSize says 64x95, its images are 64x96" in note for note in capture.notes)
    edit_json(folder, "cam1", imgSize=None)
    assert parse(folder).cameras[1].height == HEIGHT


def test_hand_mean_is_added_when_the_fit_left_it_out(sound: Path) -> None:
    flat = parse(sound).fit.pose
    np.testing.assert_array_equal(flat, parse(sound, flat_hand_mean=True).fit.pose)
    added = parse(sound, flat_hand_mean=False, body="open").fit.pose - flat
    mean = load_body("open").hand_mean.numpy()
    np.testing.assert_allclose(added[:, 25:], np.broadcast_to(mean, (FRAMES, 30, 3)), atol=1e-7)
    assert not added[:, :25].any()


def test_auto_parser_finds_the_layout(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert detect_layout(sound) == "avatarrex"
    found = AutoDataParserConfig(data=sound, image_scale=0.5, test_cameras=("cam3",)).setup()
    assert isinstance(found, AvatarReX)
    assert found.config.image_scale == 0.5 and found.config.test_cameras == ("cam3",)
    outputs = found.get_dataparser_outputs("train")
    assert int(outputs.cameras.width[0]) == WIDTH // 2
    printed = capsys.readouterr().out
    assert "looks like the avatarrex layout" in printed and "4 cameras, 12 frames, 48 images" in printed
    assert "held out: cam3" in printed


def test_downscale_factor_is_image_scale() -> None:
    config = AutoDataParserConfig()
    config.downscale_factor = 4.0  # as ns-render dataset --downscale-factor does
    assert config.image_scale == 0.25 and config.downscale_factor == 4.0


def with_nan(rows: list[int], key: str = "body_pose") -> np.ndarray:
    array = fit()[key]
    array[rows, 1] = np.nan
    return array


def overwrite_mask(folder: Path, value: int) -> None:
    for path in folder.glob("cam*/mask/pha/*.jpg"):
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert mask is not None
        cv2.imwrite(str(path), 255 - mask if value < 0 else np.full_like(mask, value))


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no calibration": (
        lambda d: (d / "calibration_full.json").unlink(),
        r"calibration_full.json: expected the camera calibration, found no such file. Put the JSON",
    ),
    "calibration is no JSON": (
        lambda d: (d / "calibration_full.json").write_text("{"),
        r"calibration_full.json: expected JSON, found .* Export it again",
    ),
    "calibration is empty": (
        lambda d: (d / "calibration_full.json").write_text("{}"),
        r"calibration_full.json: expected an object with one entry per camera.* Export it again",
    ),
    "K is short": (
        lambda d: edit_json(d, "cam1", K=[1.0, 2.0]),
        r"calibration_full.json: expected 9 finite numbers in K of camera cam1, found \[1.0, 2.0\]. Export",
    ),
    "K without focal length": (
        lambda d: edit_json(d, "cam1", K=[0, 0, 31.5, 0, 0, 47.5, 0, 0, 1]),
        r"expected positive focal lengths in K of camera cam1.* Fix K",
    ),
    "T is missing": (
        lambda d: edit_json(d, "cam2", T=None),
        r"3 finite numbers in T of camera cam2, found no such key",
    ),
    "R is no rotation": (
        lambda d: edit_json(d, "cam0", R=[2, 0, 0, 0, 1, 0, 0, 0, 1]),
        r"expected a rotation matrix in R of camera cam0, found .* row by row",
    ),
    "R and T are camera-to-world": (
        lambda d: edit_json(d, "cam0", T=[0, 0, -3]),
        r"calibration_full.json: expected the body in front of camera cam0, found it behind.* invert them",
    ),
    "millimetres": (
        lambda d: edit_json(d, "cam0", T=[0, 0, 3000]),
        r"expected camera cam0 within 100 m of the body, found 3000 m.* divide it by 1000",
    ),
    "distortion of another model": (
        lambda d: edit_json(d, "cam0", distCoeff=[0, 0, 0, 0, 0, 0.1, 0, 0]),
        r"k1, k2, p1, p2, k3 in distCoeff of camera cam0.* Undistort",
    ),
    "camera without folder": (
        lambda d: shutil.rmtree(d / "cam2"),
        r"cam2: expected images .*, found no such folder. Add them, or .*--skip-cameras cam2",
    ),
    "camera without images": (
        lambda d: [p.unlink() for p in (d / "cam2").glob("*.jpg")],
        r"cam2: expected images such as 00000000.jpg of camera cam2.*, found none. Add them, or .*--skip-cameras cam2",
    ),
    "mask missing": (
        lambda d: (d / "cam1" / "mask" / "pha" / "00000007.jpg").unlink(),
        r"cam1.00000007.jpg: expected its mask in .*mask.pha, found none; 1 of .*missing_img_files.txt",
    ),
    "mask of other size": (
        lambda d: cv2.imwrite(str(d / "cam1" / "mask" / "pha" / "00000000.jpg"), np.zeros((48, 32), np.uint8)),
        r"mask.pha.00000000.jpg: expected masks of 64x96 pixels .* found 32x48. Export all",
    ),
    "mask unreadable": (
        lambda d: (d / "cam1" / "mask" / "pha" / "00000000.jpg").write_bytes(b""),
        r"mask.pha.00000000.jpg: expected a picture, found that it cannot be read .* Copy it again",
    ),
    "masks inverted": (
        lambda d: overwrite_mask(d, -1),
        r"pha: expected masks with 255 on the person.* 255 minus the mask",
    ),
    "masks empty": (lambda d: overwrite_mask(d, 1), r"pha: expected masks .* every camera empty. Make .* not 0..1"),
    "imgSize of another scale": (
        lambda d: edit_json(d, "cam1", imgSize=[2 * WIDTH, 2 * HEIGHT]),
        r"calibration_full.json: expected images of 128x192 pixels for camera cam1 \(imgSize\).*found 64x96 in "
        r".*00000000.jpg. The images are 0.500 times the calibrated size: multiply fx, fy, cx, cy",
    ),
    "imgSize turned": (
        lambda d: edit_json(d, "cam1", imgSize=[HEIGHT, WIDTH]),
        r"images of 96x64 pixels for camera cam1.* imgSize is \[width, height\], or the images are turned",
    ),
    "imgSize right, K of another size": (
        lambda d: edit_json(d, "cam1", K=[90, 0, 63.5, 0, 90, 95.5, 0, 0, 1]),
        r"principal point \(63.5, 95.5\) near their centre, found 64x96 .* correct K and imgSize",
    ),
    "imgSize of other aspect": (
        lambda d: edit_json(d, "cam1", imgSize=[WIDTH, HEIGHT + 20]),
        r"expected images of 64x116 pixels for camera cam1.* or correct K and imgSize",
    ),
    "imgSize is a word": (
        lambda d: edit_json(d, "cam1", imgSize="big"),
        r"\[width, height\] in imgSize of camera cam1",
    ),
    "two files of one frame": (
        lambda d: shutil.copy(d / "cam0" / "00000001.jpg", d / "cam0" / "1.jpg"),
        r"cam0.1.jpg: expected one file per frame, found 00000001.jpg with the same number. Remove one",
    ),
    "no fit": (
        lambda d: (d / "smpl_params.npz").unlink(),
        r"smpl_params.npz: expected the body fit, found no such file. Put the SMPL-X parameters",
    ),
    "fit is no npz": (
        lambda d: (d / "smpl_params.npz").write_bytes(b"PK nonsense"),
        r"smpl_params.npz: expected a numpy .npz .* cannot be read .* numpy.savez",
    ),
    "fit holds Python objects": (
        lambda d: np.savez(d / "smpl_params.npz", transl=np.array([None, {}], dtype=object)),
        r"smpl_params.npz: expected a numpy .npz of plain arrays, found .*no Python objects",
    ),
    "fit without a key": (
        lambda d: edit_fit(d, transl=None),
        r"smpl_params.npz: expected the SMPL-X keys .* \(missing: transl\). Save the fit",
    ),
    "NaN in the fit": (
        lambda d: edit_fit(d, body_pose=with_nan([2, 5])),
        r"smpl_params.npz: expected finite numbers, found NaN or infinity in rows 2, 5. .*--drop-frames nan",
    ),
    "NaN in betas": (
        lambda d: edit_fit(d, betas=np.full((1, 10), np.nan, np.float32)),
        r"smpl_params.npz: expected finite shape coefficients in betas.* fit the body again",
    ),
    "fewer rows than frames": (
        lambda d: edit_fit(d, **{k: v[:9] if k != "betas" else v for k, v in fit().items()}),
        r"smpl_params.npz: expected a fit for every image .*, found 9 rows but 3 frames from 9 to 11.*--drop-frames "
        r"nan .or 9:",
    ),
    "rows differ between keys": (
        lambda d: edit_fit(d, expression=np.zeros((5, 10), np.float32)),
        r"smpl_params.npz: expected 12 rows in expression like global_orient, found shape \(5, 10\). Save",
    ),
    "no rows": (
        lambda d: edit_fit(d, global_orient=np.zeros((0, 3), np.float32)),
        r"smpl_params.npz: expected one row per frame, found global_orient without rows",
    ),
    "transl of two numbers": (
        lambda d: edit_fit(d, transl=np.zeros((FRAMES, 2), np.float32)),
        r"smpl_params.npz: expected transl of shape \(12, 3\), found \(12, 2\). Save metres",
    ),
    "SMPL instead of SMPL-X": (
        lambda d: edit_fit(d, body_pose=np.zeros((FRAMES, 69), np.float32)),
        r"smpl_params.npz: expected 63 numbers per row in body_pose, found 69. .* SMPL pose",
    ),
    "PCA hands": (
        lambda d: edit_fit(d, left_hand_pose=np.zeros((FRAMES, 12), np.float32)),
        r"smpl_params.npz: expected 45 numbers per row in left_hand_pose, found 12. .* PCA hands: expand",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_names_file_expectation_finding_and_remedy(folder: Path, name: str) -> None:
    spoil, message = BAD[name]
    spoil(folder)
    with pytest.raises(CaptureError) as error:
        parse(folder)
    assert re.search(message, str(error.value)), str(error.value)
    assert str(folder) in str(error.value)


def test_rows_that_cannot_be_used_can_be_dropped(folder: Path) -> None:
    edit_fit(folder, body_pose=with_nan([2, 5]))
    capture = parse(folder, drop_frames=("nan",))
    assert capture.frames == (0, 1, 3, 4, 6, 7, 8, 9, 10, 11)
    assert np.isfinite(capture.fit.pose).all()
    assert "frames left out (--drop-frames): 2, 5." in capture.notes
    edit_fit(folder, **{k: v[:9] if k != "betas" else v for k, v in fit().items()})
    assert parse(folder, drop_frames=("9:",)).frames == tuple(range(9))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_cameras": ("cam7",)}, r"--test-cameras .* found cam7. Its cameras are cam0, cam1, cam2, cam3"),
        ({"test_cameras": ("cam0", "cam1", "cam2", "cam3")}, r"expected training images, found none .* Hold out less"),
        ({"test_frames": ("90:100",)}, r"--test-frames .* has none of its frames \(0..11\). Name frame numbers"),
        ({"test_frames": ("last",)}, r'--test-frames: expected frame numbers or half-open ranges .* found "last"'),
        ({"skip_cameras": ("cam7",)}, r"--skip-cameras .* found cam7. Its cameras are"),
        ({"skip_cameras": ("cam0", "cam1", "cam2", "cam3")}, r"expected --skip-cameras to name some"),
        ({"drop_frames": (":",)}, r"expected at least one frame, found that --drop-frames : leaves none"),
        ({"frame_stride": 0}, r"--frame-stride is 0; expected 1"),
        ({"image_scale": 1.5}, r"image_scale is 1.5; expected"),
    ],
)
def test_bad_options(sound: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        parser(sound, **options).get_dataparser_outputs("train")


def test_unknown_layout_lists_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "something.txt").touch()
    with pytest.raises(CaptureError, match=r"avatarrex: calibration_full.json[;)].*found something.txt. Give the"):
        detect_layout(tmp_path)
    with pytest.raises(CaptureError, match=r"nowhere: expected the folder of a capture, found no such folder"):
        detect_layout(tmp_path / "nowhere")


def test_camera_whose_frames_are_all_dropped(folder: Path) -> None:
    shutil.rmtree(folder / "cam3")
    write_picture(folder, 3, 11)
    with pytest.raises(
        CaptureError, match=r"cam3: expected images of camera cam3 among the 11 used frames, found none"
    ):
        parse(folder, drop_frames=("11",))


def test_demo_capture_parses(mini_capture: Path) -> None:
    """What `mobavatar demo-data` writes is this layout, and its bodies stand where its masks are."""
    assert inside_masks(parse(mini_capture), frames=3) > 0.9


def test_real_capture_parses_and_its_bodies_stand_in_its_masks(test_data: Path) -> None:
    root = test_data / "real4cam"
    if not root.is_dir():
        pytest.skip(f"{root} is not there")
    capture = parse(root)
    assert (len(capture.cameras), len(capture.frames), len(capture.images)) == (4, 100, 400)
    assert capture.up == (0.0, 0.0, 1.0)
    widths = [json.loads((root / "calibration_full.json").read_text())[c.name]["imgSize"][0] for c in capture.cameras]
    assert [camera.width for camera in capture.cameras] == widths
    assert inside_masks(capture, frames=5) > 0.8


def inside_masks(capture: Capture, frames: int) -> float:
    """Share of the fitted body's vertices that project into the masks dilated by 5 px, in some frames."""
    rows = np.linspace(0, len(capture.frames) - 1, frames).astype(int)
    fitted = capture.fit
    pose, transl, expression = (torch.from_numpy(x[rows]) for x in (fitted.pose, fitted.transl, fitted.expression))
    vertices = load_body("open").vertices(pose, transl, torch.from_numpy(fitted.betas), expression)
    hits = []
    for image in capture.images:
        if image.frame in rows:
            camera = capture.cameras[image.camera]
            mask = cv2.imread(str(image.mask_path), cv2.IMREAD_GRAYSCALE)
            assert mask is not None
            person = cv2.dilate((mask >= 128).astype(np.uint8), np.ones((11, 11), np.uint8))
            points = vertices[list(rows).index(image.frame)].numpy() @ camera.T_cam_world[:3, :3].T
            points = (points + camera.T_cam_world[:3, 3]) @ camera.K.T
            u, v = (points[:, :2] / points[:, 2:]).astype(int).T
            seen = (u >= 0) & (v >= 0) & (u < camera.width) & (v < camera.height)
            hits.append(person[v[seen], u[seen]].sum() / len(points))
    return float(np.mean(hits))
