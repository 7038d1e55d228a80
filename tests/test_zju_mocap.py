"""What the ZJU-MoCap parser says about folders that it cannot use; what it reads is in test_layouts.py."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nerfstudio_mobavatar.capture import Capture, CaptureError
from nerfstudio_mobavatar.dataparsers.safe_pickle import load_plain
from nerfstudio_mobavatar.dataparsers.zju_mocap import ZJUMoCapDataParserConfig
from tests.layouts.truth import make_truth
from tests.layouts.write_zju_mocap import camera_names, save_object, write


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zju") / "sound"
    write(camera_names(make_truth(smpl=True).subset((0, 1))), folder)
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "capture"))


def parse(folder: Path, **options: Any) -> Capture:
    return ZJUMoCapDataParserConfig(data=folder, **options).setup().capture


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    content = load_plain(path)
    change(content)
    save_object(path, content)


class _Evil:
    def __reduce__(self) -> Any:
        return os.system, ("true",)


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "annotations run code": (
        lambda d: save_object(d / "annots.npy", {"cams": _Evil()}),
        r"annots.npy: expected plain numbers and containers, found '\w+.system', refused",
    ),
    "annotations of another kind": (
        lambda d: save_object(d / "annots.npy", {"frames": []}),
        r"annots.npy: expected 'cams' with K, R, T, D and a list 'ims' .*KeyError.* own file",
    ),
    "a camera without calibration": (
        lambda d: edit(d / "annots.npy", lambda a: a["cams"].update(K=a["cams"]["K"][:1])),
        r"annots.npy: expected equally many pictures .* calibration for each, found \[2\] .*'K': 1",
    ),
    "a frame with fewer pictures": (
        lambda d: edit(d / "annots.npy", lambda a: a["ims"][2].update(ims=a["ims"][2]["ims"][:1])),
        r"annots.npy: expected equally many pictures in every frame .* found \[1, 2\]",
    ),
    "one folder for two cameras": (
        lambda d: edit(d / "annots.npy", lambda a: a["ims"][0].update(ims=["A/000000.jpg", "A/000001.jpg"])),
        r"annots.npy: expected a folder per camera, found A, A",
    ),
    "picture without a number": (
        lambda d: edit(d / "annots.npy", lambda a: a["ims"][0].update(ims=["A/first.jpg", "B/first.jpg"])),
        r"annots.npy: expected pictures named after their frame .* found A/first.jpg. Rename",
    ),
    "no pictures of a camera": (
        lambda d: shutil.rmtree(d / "Camera_B2"),
        r'Camera_B2: expected the pictures .* such as 000000.jpg, found none. .*--skip-cameras "Camera_B2"',
    ),
    "no masks": (
        lambda d: shutil.rmtree(d / "mask_cihp"),
        r"000000.jpg: expected its mask in .*mask_cihp.Camera_B1, found none; 6 of .* Copy the data set's mask_cihp",
    ),
    "no parameters": (
        lambda d: shutil.rmtree(d / "new_params"),
        r"new_params: expected SMPL parameters such as 0.npy, one file per frame, found none. Copy",
    ),
    "a frame without parameters": (
        lambda d: (d / "new_params" / "3.npy").unlink(),
        r"new_params: expected a fit for every image \(picture i is fitted in i.npy\), found 5 rows .* from 3 to 3",
    ),
    "parameters of SMPL-X": (
        lambda d: edit(d / "new_params" / "1.npy", lambda p: p.update(poses=np.zeros((1, 165)))),
        r"1.npy: expected SMPL's poses \(72 numbers\), .* found shape \(1, 165\) for poses",
    ),
    "parameters without Th": (
        lambda d: edit(d / "new_params" / "1.npy", lambda p: p.pop("Th")),
        r"1.npy: .* found no such key for Th",
    ),
    "metres": (
        lambda d: edit(d / "annots.npy", lambda a: a["cams"].update(T=[1000 * t for t in a["cams"]["T"]])),
        r"annots.npy: expected camera Camera_B1 within 100 m of the body, found \d+ m",
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


def test_frames_without_parameters_can_be_dropped_and_old_parameters_are_found(folder: Path) -> None:
    (folder / "new_params" / "3.npy").unlink()
    (folder / "new_params").rename(folder / "params")
    assert parse(folder, drop_frames=("nan",)).frames == (0, 1, 2, 4, 5)


def test_shape_needs_the_model_file(sound: Path) -> None:
    assert (parse(sound).fit.betas == 0).all()
    with pytest.raises(CaptureError, match=r"capture|sound.*nowhere.npz: expected a SMPL or SMPL-H model file"):
        parse(sound, smpl_model=Path("nowhere.npz"))
