"""How long `mobavatar doctor` takes for 16 cameras x 2,000 frames, at small and at full-size pictures.

`python -m tests.bench.doctor [FOLDER]`. Twenty moments of the synthetic person are rendered, and enlarged for the large
size; the 64,000 files are hard links to them (neighbouring frames never to the same one), and the body fit repeats in
the same way. So the pictures are decoded and the files opened as in a real capture, but the disk's cache is warm.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from tests.corruptions import TABLE
from tests.fixtures import make_mini_capture

from . import common

CAMERAS, FRAMES, MOMENTS = 16, 2000, 20
SMALL, LARGE = (192, 256), (1500, 2048)
LIMIT_S = 60.0


def moments(folder: Path) -> Path:
    """The rendered capture that the others repeat."""
    width, height = SMALL
    return make_mini_capture(folder, frames=MOMENTS, cameras=CAMERAS, width=width, height=height, frame_step=4)


def enlarge(folder: Path, size: tuple[int, int]) -> None:
    """Pictures, masks and calibration at another size of nearly the same shape, in place."""
    entries = json.loads((folder / "calibration_full.json").read_text())
    half = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])  # OpenCV counts from pixel centres
    fx, fy = size[0] / SMALL[0], size[1] / SMALL[1]
    for entry in entries.values():
        K = np.reshape(entry["K"], (3, 3)) + half
        K = np.diag([fx, fy, 1.0]) @ K - half
        entry |= {"K": K.ravel().tolist(), "imgSize": list(size)}
    (folder / "calibration_full.json").write_text(json.dumps(entries))
    for path in folder.rglob("*.jpg"):
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert pixels is not None
        cv2.imwrite(str(path), cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC))


def repeat(source: Path, target: Path) -> None:
    """`FRAMES` frames, running through the moments to and fro so that nothing jumps."""
    order = list(itertools.islice(itertools.cycle([*range(MOMENTS), *range(MOMENTS - 2, 0, -1)]), FRAMES))
    for path in sorted(source.glob("*/")):
        for kind in (Path(), Path("mask") / "pha"):
            (target / path.name / kind).mkdir(parents=True, exist_ok=True)
            for frame, moment in enumerate(order):
                os.link(path / kind / f"{moment:08d}.jpg", target / path.name / kind / f"{frame:08d}.jpg")
    (target / "calibration_full.json").write_text((source / "calibration_full.json").read_text())
    with np.load(source / "smpl_params.npz", allow_pickle=False) as stored:
        arrays = {key: stored[key] if len(stored[key]) == 1 else stored[key][order] for key in stored.files}
    np.savez(target / "smpl_params.npz", **arrays)


def seconds(folder: Path) -> dict[str, float]:
    """The whole command, start of Python included, and what it reports of itself."""
    started = time.monotonic()
    command = [sys.executable, "-m", "nerfstudio_mobavatar.cli", "doctor", str(folder), "--json"]
    result = subprocess.run([*command, "--sheet", str(folder / "look")], capture_output=True, text=True)
    whole = time.monotonic() - started
    report = json.loads(result.stdout)
    assert report["images"] == CAMERAS * FRAMES and report["exit_code"] == 0, report["findings"]
    return {"seconds": round(whole, 1), "examination_seconds": report["seconds"]}


def main() -> None:
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    taken = {}
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        source = moments(Path(scratch) / "moments")
        for size in (SMALL, LARGE):
            if size != SMALL:
                enlarge(source, size)
            target = Path(scratch) / "x".join(map(str, size))
            target.mkdir()
            repeat(source, target)
            taken["x".join(map(str, size))] = seconds(target)
    values = {
        "device": common.device_name("cpu"),
        "command": "python -m tests.bench.doctor",
        "picture_size_px": "x".join(map(str, LARGE)),
        "limit_seconds": LIMIT_S,
        "by_picture_size": taken,
    }
    largest = taken["x".join(map(str, LARGE))]["seconds"]
    common.write(
        "captures",
        {"doctor_seconds_16x2000": largest, "doctor_16x2000": values, "corruptions_tested": len(TABLE)},
    )


if __name__ == "__main__":
    main()
