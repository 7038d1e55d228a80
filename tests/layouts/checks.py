"""Is what a parser returned the truth? Geometry against masks, numbers against numbers, pictures against pictures."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch

from nerfstudio_mobavatar.avatar import Avatar, make_layout
from nerfstudio_mobavatar.body_model import Body, load_body
from nerfstudio_mobavatar.capture import BodyFit, Capture, CaptureImage
from nerfstudio_mobavatar.images import PERSON_THRESHOLD, UndistortMaps, load_image, load_matte, scaled_view
from nerfstudio_mobavatar.render import rasterize
from nerfstudio_mobavatar.template import make_template
from tests.layouts.truth import Truth, body_points, coverage, hits_of
from tests.rig import TINY

FACTOR = 4
"""Samples per pixel and axis of the silhouette, so that its outline at half coverage is that of a matte."""


def mask_ious(parsed: Capture, body: Body, images: Sequence[CaptureImage]) -> list[float]:
    """Per picture: how well the parsed body's silhouette through the parsed camera covers the parsed mask
    (intersection over union). The mask is loaded as in training, undistorted."""
    maps = UndistortMaps()
    rows = sorted({image.frame for image in images})
    f = parsed.fit
    points = dict(zip(rows, body_points(BodyFit(f.pose[rows], f.transl[rows], f.expression[rows], f.betas), body)))
    values = []
    for image in images:
        camera = parsed.cameras[image.camera]
        mask = load_matte(image.mask_path, scaled_view(camera), maps) >= PERSON_THRESHOLD
        drawn = coverage(hits_of(points[image.frame], body, camera, FACTOR), camera, FACTOR) >= 0.5
        values.append(float((mask & drawn).sum() / max((mask | drawn).sum(), 1)))
    return values


def mask_iou(parsed: Capture, body: Body) -> float:
    """The worst picture of the capture."""
    return min(mask_ious(parsed, body, parsed.images))


def assert_same_cameras(parsed: Capture, truth: Truth, tol: float = 1e-4, names: bool = True) -> None:
    """Cameras in the truth's order; `tol` in metres and radians, and as a share of the picture's width for pixels."""
    assert len(parsed.cameras) == len(truth.cameras)
    for found, true in zip(parsed.cameras, truth.cameras):
        assert not names or found.name == true.name
        assert (found.width, found.height) == (true.width, true.height)
        np.testing.assert_allclose(found.T_cam_world, true.T_cam_world, atol=tol, err_msg=f"pose of {found.name}")
        np.testing.assert_allclose(found.K, true.K, atol=tol * true.width, err_msg=f"intrinsics of {found.name}")
        np.testing.assert_allclose(found.distortion, true.distortion, atol=tol, err_msg=f"lens of {found.name}")


def assert_same_poses(parsed: Capture, truth: Truth, tol: float = 1e-4) -> None:
    """Body parameters row by row, radians and metres."""
    for part in ("pose", "transl", "expression", "betas"):
        found, true = getattr(parsed.fit, part), getattr(truth.fit, part)
        assert found.shape == true.shape, part
        np.testing.assert_allclose(found, true, atol=tol, err_msg=part)
    assert parsed.fit.num_frames == len(parsed.frames)


def assert_same_pictures(parsed: Capture, truth: Truth, tol: float = 12.0) -> None:
    """Every picture, loaded as in training, is the truth's of the same camera and frame: mean difference on the person
    below `tol` of 255 levels (JPEG costs 5, a video with colours at half the size 9; another frame differs by 40)."""
    maps = UndistortMaps()
    assert len(parsed.images) == len(truth.cameras) * truth.num_frames
    assert len({(image.camera, image.frame) for image in parsed.images}) == len(parsed.images)
    for image in parsed.images:
        found = load_image(image.image_path, scaled_view(parsed.cameras[image.camera]), maps).astype(float)
        person = truth.alpha[image.camera, image.frame] == 255
        difference = np.abs(found - truth.rgb[image.camera, image.frame])[person].mean()
        assert difference < tol, f"camera {image.camera}, row {image.frame}: {difference:.1f} levels"


def cross_layout_psnr(parsed: Capture, truth: Truth, rows: Sequence[int] | None = None) -> float:
    """PSNR in dB of the worst picture when one small avatar, built on the parsed shape, is drawn in the parsed poses by
    the parsed cameras, against the same from the truth. Over the pixels that the truth's avatar touches; at most 120.
    `rows`: those frames only; all by default."""
    chosen = tuple(range(truth.num_frames)) if rows is None else tuple(rows)
    worst = 0.0
    for (found, _), (true, alpha) in zip(_pictures(parsed, chosen), _true_pictures(truth, chosen)):
        assert found.shape == true.shape
        person = (alpha > 0.05)[..., 0]
        worst = max(worst, float((found - true)[person].square().mean()))
    return float(-10 * np.log10(max(worst, 1e-12)))


@lru_cache(maxsize=4)
def _true_pictures(truth: Truth, rows: tuple[int, ...]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return _pictures(truth.capture(), rows)


@torch.no_grad()
def _pictures(capture: Capture, rows: tuple[int, ...]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(rgb [h, w, 3], alpha [h, w, 1]) of the avatar in every row, then every camera."""
    avatar = _avatar(tuple(capture.fit.betas.tolist()))
    pictures = []
    for row in rows:
        pose, transl, expression = (
            torch.from_numpy(x[row]).float() for x in (capture.fit.pose, capture.fit.transl, capture.fit.expression)
        )
        gaussians = avatar(pose, transl, expression, True).gaussians
        for camera in capture.cameras:
            T, K = (torch.from_numpy(x)[None].float() for x in (camera.T_cam_world, camera.K))
            drawn = rasterize(gaussians, T, K, camera.width, camera.height, torch.zeros(3), "torch")
            pictures.append((drawn.rgb[0], drawn.alpha[0]))
    return pictures


@lru_cache(maxsize=4)
def _avatar(betas: tuple[float, ...]) -> Avatar:
    """Like `tests.rig.tiny_avatar`, on the body of this shape."""
    body = load_body("open")
    avatar = Avatar(TINY, make_layout(make_template(body, torch.tensor(betas)), tuple(body.parents), TINY))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for values, scale in ((avatar.node_basis, 0.01), (avatar.basis("color"), 0.3), (avatar.color, 0.4)):
            values.normal_(0, scale, generator=generator)
    return avatar
