"""What pruning kept, for people: a table per body region and per part, and a picture of what moves."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from .avatar import Avatar
from .blendshapes import ATTRIBUTES
from .gaussians import PosedGaussians
from .motion.joint_names import NAMES
from .pruning import CorrectiveStatistics, PruningReport, features_of
from .render import Backend, rasterize
from .template import big_pose

TEXT_FILE, PICTURE_FILE = "pruning.txt", "pruning.png"


def kept_shares(avatar: Avatar) -> Float[Tensor, "p 3"]:
    """Of each part's Gaussians, the share that keeps a corrective; one column per attribute."""
    part, parts = avatar.get_buffer("part"), avatar.config.num_parts
    total = torch.bincount(part, minlength=parts).clamp_min(1)
    kept = [torch.bincount(part[avatar.index(name)], minlength=parts) for name in ATTRIBUTES]
    return torch.stack(kept, 1) / total[:, None]


def joint_of_parts(avatar: Avatar) -> list[int]:
    """The joint that moves each part most."""
    part, index, weight = (avatar.get_buffer(name) for name in ("part", "skin_index", "skin_weight"))
    total = torch.zeros(avatar.config.num_parts * len(avatar.parents), device=part.device)
    total.index_add_(0, (part[:, None] * len(avatar.parents) + index).flatten(), weight.flatten())
    return total.view(avatar.config.num_parts, -1).argmax(1).tolist()


def table(avatar: Avatar, before: dict[str, CorrectiveStatistics], report: PruningReport) -> str:
    """Kept share of every region's and part's Gaussians, which share of the score lies there, and how many features the
    parts keep on average. `before`: the statistics that pruning looked at, of all Gaussians."""
    part, parts, n = avatar.get_buffer("part"), avatar.config.num_parts, avatar.config.num_gaussians
    count = torch.bincount(part, minlength=parts).double().cpu().numpy()
    kept = kept_shares(avatar).cpu().numpy() * np.maximum(count, 1)[:, None]
    scores = np.zeros((parts, 3))
    for i, name in enumerate(ATTRIBUTES):
        if len(before[name].score) == n:
            score = before[name].score.double().cpu()
            summed = torch.zeros(parts, dtype=torch.float64).index_add_(0, part.cpu(), score)
            scores[:, i] = (summed / summed.sum().clamp_min(1e-300)).numpy()
    joints, features = np.array(joint_of_parts(avatar)), [n.cpu().numpy() for n in features_of(avatar)]
    head = f"{'':<22}{'Gaussians':>10}" + "".join(f"{name + ' kept':>15}{'of score':>10}" for name in ATTRIBUTES)
    head += f"{'features':>10}{'of nodes':>10}"

    def line(label: str, rows: ndarray) -> str:
        cells = [
            f"{kept[rows, i].sum() / max(count[rows].sum(), 1):>15.1%}{scores[rows, i].sum():>10.1%}" for i in range(3)
        ]
        cells += [f"{n[rows].mean():>10.1f}" for n in features]
        return f"{label:<22}{int(count[rows].sum()):>10,}" + "".join(cells)

    regions = sorted(set(joints.tolist()), key=lambda j: -kept[joints == j].sum())
    return "\n".join(
        [
            report.describe(),
            "",
            "By the joint that moves a part most:",
            head,
            *(line(NAMES[j], np.flatnonzero(joints == j)) for j in regions),
            "",
            "By part:",
            head,
            *(line(f"{p:>4} {NAMES[joints[p]]}", np.array([p])) for p in range(parts)),
            "",
        ]
    )


@torch.no_grad()
def picture(avatar: Avatar, backend: Backend, side_px: int = 384) -> UInt8[ndarray, "h w 3"]:
    """The avatar in its canonical pose, from the front above and from behind below, each part coloured from grey (none
    of its Gaussians keeps a corrective) over yellow to red (all do): rotation, scale and colour side by side."""
    device = avatar.color.device
    posed = avatar(big_pose().to(device), torch.zeros(3, device=device), torch.zeros(10, device=device), False)
    g, shares = posed.gaussians, kept_shares(avatar)[avatar.get_buffer("part")]
    low, high = g.means.amin(0), g.means.amax(0)
    center, reach = 0.5 * (low + high), float((high - low).max())
    focal, distance = 2.4 * side_px, 2.6 * reach
    K = torch.tensor([[[focal, 0, side_px / 2], [0, focal, side_px / 2], [0, 0, 1.0]]], device=device)
    rows = []
    for side in (1.0, -1.0):
        R = torch.tensor([[side, 0, 0], [0, -1.0, 0], [0, 0, -side]], device=device)
        T = torch.eye(4, device=device)
        T[:3, :3], T[:3, 3] = R, -R @ center + torch.tensor([0, 0, distance], device=device)
        cells = []
        for i in range(len(ATTRIBUTES)):
            shown = PosedGaussians(g.means, g.covariances, _heat(shares[:, i]), g.opacities)
            drawn = rasterize(shown, T[None], K, side_px, side_px, torch.ones(3, device=device), backend)
            cells.append(drawn.rgb[0].clamp(0, 1).mul(255).byte().cpu().numpy())
        rows.append(np.concatenate(cells, 1))
    return np.concatenate(rows)


def _heat(share: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    stops = share.new_tensor([[0.75, 0.75, 0.75], [0.95, 0.8, 0.2], [0.8, 0.05, 0.05]])
    low = (share < 0.5)[:, None]
    t = (2 * share % 1)[:, None]
    t = torch.where((share >= 1)[:, None], torch.ones_like(t), t)
    return torch.where(low, torch.lerp(stops[0], stops[1], t), torch.lerp(stops[1], stops[2], t))


def write(
    folder: Path, avatar: Avatar, before: dict[str, CorrectiveStatistics], report: PruningReport, backend: Backend
) -> None:
    """`pruning.txt` and `pruning.png` into the run's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TEXT_FILE).write_text(table(avatar, before, report))
    Image.fromarray(picture(avatar, backend)).save(folder / PICTURE_FILE)
