"""DREAMS-Avatar layout. Checked against what is named in dataparsers/dreams.py."""

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from nerfstudio_mobavatar.body_model import load_body
from tests.layouts.truth import Truth
from tests.layouts.write_avatarrex import fit_arrays

FIRST_FRAME, OFFSET, FPS = 40, -38, 20
"""Frames start at 40, whose picture is number 2 of the videos."""


def camera_names(truth: Truth) -> Truth:
    """The same with the layout's names of cameras."""
    return replace(truth, cameras=tuple(replace(x, name=f"cam{c:02d}") for c, x in enumerate(truth.cameras)))


def write(truth: Truth, folder: Path) -> None:
    """The truth as a DREAMS-Avatar capture; the videos have two pictures before the first frame."""
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    (folder / "cameras.json").write_text(json.dumps({"rigs": [{"cameras": [entry(c)]} for c in truth.cameras]}))
    (folder / "capture.json").write_text(json.dumps({"frame_convention": {"offset_d": OFFSET}}))
    write_fit(truth, folder / "smplx.npz")
    for c, camera in enumerate(truth.cameras):
        alpha = np.repeat(truth.alpha[c, ..., None], 3, 3)
        pictures = np.concatenate([truth.matted()[c], alpha], 2)
        write_video(folder / "videos" / f"{camera.name}.mp4", [pictures[-1]] * (FIRST_FRAME + OFFSET) + list(pictures))


def entry(camera) -> dict:
    """Rotation and centre in a world with y down, centres of pixels at half-integers."""
    K, R = camera.K, camera.T_cam_world[:3, :3]
    flip = np.diag([1.0, -1.0, -1.0])
    values = {"fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2], "w": camera.width, "h": camera.height}
    return values | {"R": (R @ flip).tolist(), "c": (-flip @ R.T @ camera.T_cam_world[:3, 3]).tolist()}


def write_fit(truth: Truth, path: Path) -> None:
    """`smplx.npz`: filled up to 300 and 100 coefficients, hands relative to the mean of the open body."""
    arrays = fit_arrays(truth)
    mean = load_body("open").hand_mean.numpy().ravel()
    arrays["left_hand_pose"], arrays["right_hand_pose"] = (
        arrays["left_hand_pose"] - mean[:45], arrays["right_hand_pose"] - mean[45:]
    )  # fmt: skip
    rows = truth.num_frames
    arrays["betas"] = np.pad(np.repeat(arrays["betas"], rows, 0), ((0, 0), (0, 290)))
    arrays["expression"] = np.pad(arrays["expression"], ((0, 0), (0, 90)))
    arrays |= {"leye_pose": np.zeros((rows, 3)), "reye_pose": np.zeros((rows, 3))}
    kwargs = json.dumps({"gender": "neutral", "use_pca": False, "flat_hand_mean": False})
    frames = np.arange(FIRST_FRAME, FIRST_FRAME + rows)
    np.savez(path, frames=frames, smplx_kwargs=kwargs, **arrays)  # pyright: ignore[reportArgumentType]


def write_video(path: Path, pictures: list[np.ndarray]) -> None:
    """MPEG-4 in its best quality; real ones are H.264, whose encoders are not in every build."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height = pictures[0].shape[1], pictures[0].shape[0]
        stream.pix_fmt, stream.options = "yuv420p", {"qmin": "1", "qmax": "1", "b": "100M"}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
