"""Should every Gaussian store its skin weights, or take them from its three control nodes?

Poses paper-scale Gaussians of the open body with both and compares positions and rendered pictures over a procedural
motion. What it decides: AvatarConfig stores weights per Gaussian (8 bytes each in the avatar file).
"""

import argparse

import numpy as np
import torch

from nerfstudio_mobavatar import skinning
from nerfstudio_mobavatar.avatar import Avatar, AvatarConfig, make_layout
from nerfstudio_mobavatar.body_model import load_body
from nerfstudio_mobavatar.demo.motion import procedural_motion
from nerfstudio_mobavatar.gaussians import PosedGaussians
from nerfstudio_mobavatar.render import rasterize
from nerfstudio_mobavatar.template import make_template

from . import common


def node_weights(avatar: Avatar) -> tuple[torch.Tensor, torch.Tensor]:
    """[n, 4] joints and weights that every Gaussian gets from its three nodes."""
    nodes, share = avatar.get_buffer("node_index"), avatar.get_buffer("node_weight")
    dense = torch.zeros(len(share), 55).scatter_(1, avatar.get_buffer("skin_index"), avatar.get_buffer("skin_weight"))
    # nodes are Gaussians: a node's own row is the one that follows it most (the last write of an ascending order wins)
    own = np.zeros(avatar.config.num_nodes, np.int64)
    order = share[:, 0].argsort().numpy()
    own[nodes[:, 0].numpy()[order]] = order
    mixed = torch.einsum("nk,nkj->nj", share, dense[own][nodes])
    index, weight = skinning.strongest_joints(mixed.numpy())
    return torch.from_numpy(index), torch.from_numpy(weight).float()


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gaussians", type=int, default=100_000)
    parser.add_argument("--frames", type=int, default=12)
    args = parser.parse_args()
    torch.set_num_threads(1)
    body = load_body("open")
    config = AvatarConfig(num_gaussians=args.gaussians)
    template = make_template(body, torch.zeros(10))
    avatar = Avatar(config, make_layout(template, tuple(body.parents), config))
    avatar.color.copy_(torch.sin(60 * avatar.get_buffer("base_position")) * 0.4)  # texture, so that shifts are visible
    index, weight = node_weights(avatar)
    motion = procedural_motion(args.frames, 25, 0)
    K = torch.tensor([[[1400.0, 0, 384], [0, 1400, 512], [0, 0, 1]]])
    T = torch.eye(4)[None].clone()
    T[0, 1, 1] = T[0, 2, 2] = -1
    T[0, :3, 3] = torch.tensor([0.0, -0.35, 3.0])
    shift, psnr = [], []
    for frame in range(args.frames):
        pose = torch.from_numpy(np.asarray(motion.pose[frame], np.float32))
        pose[0] = 0
        own = avatar(pose, torch.zeros(3), torch.zeros(10), False).gaussians
        kept = avatar.get_buffer("skin_index").clone(), avatar.get_buffer("skin_weight").clone()
        avatar.get_buffer("skin_index").copy_(index)
        avatar.get_buffer("skin_weight").copy_(weight)
        shared = avatar(pose, torch.zeros(3), torch.zeros(10), False).gaussians
        avatar.get_buffer("skin_index").copy_(kept[0])
        avatar.get_buffer("skin_weight").copy_(kept[1])
        shift.append((own.means - shared.means).norm(dim=1) * 1000)
        pictures = [draw(g, T, K) for g in (own, shared)]
        seen = pictures[0][1][0, ..., 0] > 0.05
        error = (pictures[0][0] - pictures[1][0])[0][seen].square().mean()
        psnr.append(float(-10 * torch.log10(error)))
    moved = torch.cat(shift)
    values = {
        "device": common.device_name("cpu"),
        "command": common.command_line(),
        "gaussians": args.gaussians,
        "frames": args.frames,
        "shift_mm_mean": round(float(moved.mean()), 4),
        "shift_mm_p99": round(float(moved.kthvalue(int(0.99 * len(moved))).values), 4),
        "shift_mm_max": round(float(moved.max()), 3),
        "psnr_crop_db_1024px": round(float(np.mean(psnr)), 2),
        "bytes_per_gaussian_saved": 8,
        "decision": "stored per Gaussian",
    }
    common.write("skin_weights", values)


def draw(g: PosedGaussians, T: torch.Tensor, K: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    picture = rasterize(g, T, K, 768, 1024, torch.ones(3), "torch")
    return picture.rgb, picture.alpha


if __name__ == "__main__":
    main()
