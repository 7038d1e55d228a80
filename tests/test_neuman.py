"""NeuMan: what its files may not be, and which of two fits is read. That it gives back the truth: test_layouts.py."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from nerfstudio_mobavatar.capture import CaptureError
from nerfstudio_mobavatar.dataparsers.neuman import NeuManDataParserConfig
from nerfstudio_mobavatar.dataparsers.safe_pickle import load_plain
from tests.layouts import smpl_model, write_neuman
from tests.layouts.truth import make_truth, save_picture
from tests.layouts.write_zju_mocap import save_object

FIT, ALIGNMENTS, HUGS = "smpl_output_optimized.pkl", "alignments.npy", "4d_humans/smpl_optimized_aligned_scale.npz"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NeuMan's and HUGS's fits of the same three frames; copy it before you change it."""
    folder = tmp_path_factory.mktemp("neuman") / "sound"
    truth = write_neuman.in_the_camera(make_truth(smpl=True, frames=3, cameras=2))
    write_neuman.write_hugs(truth, folder)
    own = folder.parent / "own"
    write_neuman.write(truth, own)
    shutil.copy(own / FIT, folder / FIT)
    return folder


def read(folder: Path, **options: Any):
    return NeuManDataParserConfig(data=folder, smpl_model=smpl_model.FILE, **options).setup().capture


def edit_text(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def edit_npz(path: Path, **changes: Any) -> None:
    with np.load(path) as stored:
        arrays = {**stored, **changes}
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})


def edit_alignments(folder: Path, change: Callable[[dict[str, np.ndarray]], Any]) -> None:
    content = load_plain(folder / ALIGNMENTS)
    change(content)
    save_object(folder / ALIGNMENTS, content)


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("this must not be printed",)


def test_both_fits_say_the_same(both: Path) -> None:
    own, hugs = read(both, fits="neuman"), read(both)
    assert any("HUGS" in note for note in hugs.notes) and not any("HUGS" in note for note in own.notes)
    assert own.up == hugs.up == (0.0, -1.0, 0.0)  # of the camera: y points down
    np.testing.assert_allclose(own.fit.pose, hugs.fit.pose, atol=1e-5)
    np.testing.assert_allclose(own.fit.transl, hugs.fit.transl, atol=1e-5)
    assert [c.mask_coding for c in (*own.cameras, *hugs.cameras)] == ["inverted", "matte"]


def test_pictures_without_a_fit_are_left_out_when_asked(both: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(both, tmp_path / "copy")
    edit_alignments(folder, lambda x: x.pop("00001.png"))
    with pytest.raises(CaptureError, match=r"\.pkl: expected a fit for every image .*1 frames from 1 to 1 without one"):
        read(folder, fits="neuman")
    assert read(folder, fits="neuman", drop_frames=("1",)).frames == (0, 2)


BAD: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "no pose of the cameras": ("neuman", lambda d: shutil.rmtree(d / "sparse"), r"sparse: expected COLMAP's cameras"),
    "no images": (
        "neuman",
        lambda d: shutil.rmtree(d / "images"),
        r"images: expected the pictures that .*sparse lists",
    ),
    "a fit that runs code": (
        "neuman",
        lambda d: joblib.dump({1: {"pose": Hostile()}}, d / FIT),
        r"optimized.pkl: expected plain numbers and containers, found '\w+.print', refused .* Save it again as .npz",
    ),
    "a compressed fit": (
        "neuman",
        lambda d: joblib.dump({1: {"pose": np.zeros((3, 72))}}, d / FIT, compress=3),
        r"optimized.pkl: .* saved again without compression",
    ),
    "two people": (
        "neuman",
        lambda d: joblib.dump({1: {}, 2: {}}, d / FIT),
        r"expected one person's pose \(72 numbers\)",
    ),
    "a fit of SMPL-X": (
        "neuman",
        lambda d: joblib.dump({1: {"pose": np.zeros((3, 165)), "betas": np.zeros((3, 10))}}, d / FIT),
        r"expected one person's pose \(72 numbers\).*pose \(3, 165\)",
    ),
    "no alignments": ("neuman", lambda d: (d / ALIGNMENTS).unlink(), r"alignments.npy: expected a file, found none"),
    "alignments of other pictures": (
        "neuman",
        lambda d: save_object(d / ALIGNMENTS, {"9.png": np.eye(4)[:, :3]}),
        r"expected a matrix \[4, 3\] under the name of every picture, such as 00000.png, found only 9.png",
    ),
    "a sheared alignment": (
        "neuman",
        lambda d: edit_alignments(d, lambda x: x["00001.png"].__setitem__((0, 0), 9.0)),
        r"expected a rotation with one scale and a shift, \[4, 3\], for 00001.png",
    ),
    "a mask missing": (
        "neuman",
        lambda d: (d / "segmentations" / "00001.png").unlink(),
        r"00001.png: expected its mask in .*segmentations, found none",
    ),
    "several lenses": (
        "neuman",
        lambda d: (
            edit_text(d / "sparse" / "cameras.txt", "1 PINHOLE", "2 PINHOLE 96 128 9 9 9 9\n1 PINHOLE"),
            edit_text(d / "sparse" / "images.txt", " 1 00001.png", " 2 00001.png"),
        ),
        r"sparse: expected one lens for all pictures, found others for 0000\d.png",
    ),
    "pictures with other names": (
        "neuman",
        lambda d: edit_text(d / "sparse" / "images.txt", "00001.png", "walk-a.png"),
        r"expected pictures named after their frame, such as 00012.png, found walk-a.png",
    ),
    "a mask of HUGS missing": (
        "hugs",
        lambda d: (d / "4d_humans" / "sam_segmentations" / "mask_0002.png").unlink(),
        r"expected a mask for each of the 3 pictures .* found 2 masks and 3 betas",
    ),
    "no scale": ("hugs", lambda d: edit_npz(d / HUGS, scale=None), r"with 1 numbers per frame in scale, found only"),
    "a scale of zero": ("hugs", lambda d: edit_npz(d / HUGS, scale=np.zeros(3)), r"expected positive scales, found 0"),
    "no fit of HUGS": (
        "hugs",
        lambda d: (d / HUGS).unlink(),
        r"aligned_scale.npz: expected the body fit, found no such",
    ),
    "no white mask": (
        "hugs",
        lambda d: [
            save_picture(p, np.zeros((128, 96), np.uint8)) for p in (d / "4d_humans" / "sam_segmentations").iterdir()
        ],
        r"expected masks with 255 on the person, found a sampled mask of every camera empty",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named(both: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    fits, change, message = BAD[name]
    folder = shutil.copytree(both, tmp_path / "copy")
    if name in ("several lenses", "pictures with other names"):
        for file in (folder / "sparse").iterdir():
            file.unlink()
        for file in (both.parent / "own" / "sparse").iterdir():
            shutil.copy(file, folder / "sparse")
    change(folder)
    with pytest.raises(CaptureError, match=message):
        read(folder, fits=fits)
    assert "must not be printed" not in capsys.readouterr().out
