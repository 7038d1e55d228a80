"""An avatar on a template of its own, from training to the page: the file carries the template's skin weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser
from scipy.spatial import KDTree

from nerfstudio_mobavatar.avatar import Avatar, AvatarConfig, make_layout
from nerfstudio_mobavatar.body_model import load_body
from nerfstudio_mobavatar.render import rasterize
from nerfstudio_mobavatar.skinning import strongest_joints
from nerfstudio_mobavatar.web_export import bundle, pose_sequence
from nerfstudio_mobavatar.web_export.from_avatar import avatar_arrays

from . import renderers
from .browser import NO_CHROMIUM, avatar_page, chromium, sample_page, serve
from .clothes import skirt_template
from .rig import open_template
from .synthetic_avatar import camera

pytestmark = pytest.mark.skipif(chromium() is None, reason=NO_CHROMIUM)

SIZE = 160
CONFIG = AvatarConfig(num_gaussians=3000, num_parts=12, num_nodes=60, basis_size=4, hidden_widths=(6, 6))
STEP, STANCE = torch.zeros(55, 3), torch.zeros(55, 3)
STEP[1, 0], STEP[2, 0], STEP[4, 0] = -1.0, 0.5, 0.8
STANCE[1, 2], STANCE[2, 2] = 0.6, -0.6
POSES = {"a wide step": STEP, "legs apart": STANCE}


def skirt_avatar() -> Avatar:
    """Untrained, on the skirt's template, with stripes that show where everything goes."""
    avatar = Avatar(CONFIG, make_layout(skirt_template(), load_body().parents, CONFIG)).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name in ("rotation", "scale", "color"):
            avatar.basis(name).normal_(0, 0.05, generator=generator)
        avatar.node_basis.normal_(0, 0.003, generator=generator)
        avatar.opacity.fill_(2.0)
        avatar.color.copy_(0.35 * torch.sin(60 * avatar.get_buffer("base_position")))
    return avatar


@torch.no_grad()
def drawn(avatar: Avatar, pose: torch.Tensor, T: np.ndarray, K: np.ndarray) -> np.ndarray:
    """[h, w, 3] uint8, as training draws it."""
    gaussians = avatar(pose, torch.zeros(3), torch.zeros(10)).gaussians
    T_cam_world, focal = (torch.from_numpy(x[None]).float() for x in (T, K))
    rgb = rasterize(gaussians, T_cam_world, focal, SIZE, SIZE, torch.zeros(3), "torch").rgb[0]
    return np.rint(255 * rgb.clamp(0, 1).numpy()).astype(np.uint8)


def test_the_page_poses_a_template_as_training_does(chrome: Browser, tmp_path: Path) -> None:
    """In far poses. A file with the weights of the nearest body vertex would be found out."""
    avatar, torn = skirt_avatar(), skirt_avatar()
    plain = open_template()[0]
    nearest = KDTree(plain.vertices).query(torn.get_buffer("base_position").numpy())[1]
    for name, value in zip(("skin_index", "skin_weight"), strongest_joints(plain.skin_weights[nearest])):
        torn.get_buffer(name).copy_(torch.from_numpy(value))
    arrays = avatar_arrays(avatar, {})
    poses = [
        pose_sequence.from_smplx(pose.numpy(), np.zeros(3), np.zeros(10), arrays.joint_rest[0])
        for pose in POSES.values()
    ]
    site = sample_page(tmp_path, 'target-fps="1"')
    (site / "avatar.mobavatar").write_bytes(bundle.encode(arrays))
    center = poses[0].Th
    with serve(site) as url, avatar_page(chrome, url, SIZE, SIZE) as page:
        page.wait_ready()
        for (name, pose), row in zip(POSES.items(), poses):
            T, K = camera(SIZE, SIZE, 2.6, 0.6)
            T[:3, 3] += T[:3, :3] @ (np.array([0, 1.0, 0]) - center)
            expected = drawn(avatar, pose, T, K)
            found = renderers.draw_chromium(page, renderers.Shot(row, T, K, SIZE, SIZE))
            crop = renderers.person_crop(expected)
            assert renderers.psnr(found[crop], expected[crop]) >= 45, name
            assert renderers.psnr(drawn(torn, pose, T, K)[crop], expected[crop]) < 30, name
        assert not page.errors
