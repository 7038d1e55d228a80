"""What the MVHumanNet parser says about folders that it cannot use; what it reads is in test_layouts.py."""

import json
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nerfstudio_mobavatar.capture import CaptureError
from nerfstudio_mobavatar.dataparsers.mvhumannet import MVHumanNetDataParserConfig
from tests.layouts.truth import make_truth
from tests.layouts.write_mvhumannet import write


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mvhumannet") / "sound"
    write(make_truth(smpl=True).subset((0,)), folder)
    return folder


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


FIT = Path("smplx") / "smpl" / "000002.json"
BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "scale that runs code": (
        lambda d: (d / "camera_scale.pkl").write_bytes(pickle.dumps(Path("x"))),
        r"camera_scale.pkl: expected plain numbers and containers, found 'pathlib",
    ),
    "scale of another kind": (
        lambda d: (d / "camera_scale.pkl").write_bytes(pickle.dumps({})),
        r"camera_scale.pkl: expected a number such as 1.846, found \{\}",
    ),
    "no intrinsics": (
        lambda d: (d / "camera_intrinsics.json").unlink(),
        r"camera_intrinsics.json: expected the intrinsics of all cameras, found no such file",
    ),
    "short intrinsics": (
        lambda d: edit(d / "camera_intrinsics.json", lambda c: c["intrinsics"].pop()),
        r"camera_intrinsics.json: expected 3x3 numbers in 'intrinsics', found shape \(2, 3\)",
    ),
    "no rotation": (
        lambda d: edit(d / "camera_extrinsics.json", lambda c: c["1_22010700.png"].pop("rotation")),
        r"camera_extrinsics.json: expected 9 finite numbers in R of camera 22010700",
    ),
    "no pictures": (
        lambda d: shutil.rmtree(d / "images_lr"),
        r"images_lr: expected pictures such as CAMERA/0005_img.jpg, found none of the 2 cameras",
    ),
    "no fits": (
        lambda d: shutil.rmtree(d / "smplx"),
        r"smplx.smpl: expected SMPL-X parameters such as 000000.json, found none for the pictures 5..30",
    ),
    "fit of SMPL": (
        lambda d: edit(d / FIT, lambda c: c[0].update(poses=[[0.0] * 72])),
        r"000002.json: expected 87 finite numbers in poses, found 72 numbers",
    ),
    "nobody in a frame": (
        lambda d: edit(d / FIT, lambda c: c.clear()),
        r"000002.json: expected poses, Rh, Th, expression, shapes of one person, found that it is not so \(IndexError",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_names_file_expectation_finding_and_remedy(sound: Path, tmp_path: Path, name: str) -> None:
    spoil, message = BAD[name]
    folder = Path(shutil.copytree(sound, tmp_path / "capture"))
    spoil(folder)
    with pytest.raises(CaptureError) as error:
        _ = MVHumanNetDataParserConfig(data=folder).setup().capture
    assert re.search(message, str(error.value)), str(error.value)
    assert str(folder) in str(error.value)
