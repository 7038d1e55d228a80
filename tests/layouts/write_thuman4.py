"""THuman4.0 layout. Checked against what is named in dataparsers/thuman4.py."""

import json
from dataclasses import replace
from pathlib import Path

from tests.layouts.truth import Truth, save_picture
from tests.layouts.write_avatarrex import calibration, write_fit


def camera_names(truth: Truth) -> Truth:
    """The same with the layout's names of cameras."""
    return replace(truth, cameras=tuple(replace(x, name=f"cam{c:02d}") for c, x in enumerate(truth.cameras)))


def write(truth: Truth, folder: Path) -> None:
    """The truth as a THuman4.0 capture; one more picture, of noise, is listed as missing with backslashes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "calibration.json").write_text(json.dumps(calibration(truth)))
    write_fit(truth, folder / "smpl_params.npz")
    for c, camera in enumerate(truth.cameras):
        for t in range(truth.num_frames):
            save_picture(folder / "images" / camera.name / f"{t:08d}.jpg", truth.rgb[c, t])
            save_picture(folder / "masks" / camera.name / f"{t:08d}.jpg", truth.alpha[c, t])
    surplus = f"{truth.num_frames:08d}.jpg"
    save_picture(folder / "images" / truth.cameras[0].name / surplus, truth.rgb[0, 0])
    (folder / "missing_img_files.txt").write_text(f"images\\{truth.cameras[0].name}\\{surplus}\n")
