"""The slow way to decode an avatar, to compare with: dense blendshapes of all attributes on every Gaussian, in torch.

Written after the description of MMLPHuman (arXiv 2504.12909): anchors with small networks of the pose, every Gaussian
blends the coefficients of its nearest anchors, every attribute has a basis on every Gaussian, and gsplat draws. Random
weights: only time is measured. It is this project's own, so its time is not the public code's (4.5 ms on an H100).
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

NUM_BASES = 15
NUM_ANCHORS = 300
NEAREST_ANCHORS = 3
ATTRIBUTES = {"position": 3, "rotation": 4, "scale": 3, "color": 3, "opacity": 1}


class DenseDecoder:
    """Random anchors, bases and skinning for `n` Gaussians on `device`."""

    def __init__(self, n: int, device: torch.device):
        g = torch.Generator(device).manual_seed(0)

        def random(*shape: int, scale: float = 1.0) -> Tensor:
            return torch.randn(*shape, generator=g, device=device) * scale

        self.base = {name: random(n, d, scale=0.3) for name, d in ATTRIBUTES.items()}
        self.base["scale"] = self.base["scale"] - 6.0
        self.bases = {name: random(n, NUM_BASES, d, scale=0.003) for name, d in ATTRIBUTES.items()}
        sizes = [73, 64, 64, NUM_BASES]
        self.layers = [random(NUM_ANCHORS, i, o, scale=i**-0.5) for i, o in zip(sizes[:-1], sizes[1:])]
        self.anchors = torch.randint(0, NUM_ANCHORS, (n, NEAREST_ANCHORS), generator=g, device=device)
        self.anchor_weights = torch.softmax(random(n, NEAREST_ANCHORS), 1)
        self.skin_weights = torch.softmax(random(n, 55), 1)

    def decode(self, inputs: Tensor, joints: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Posed means, quaternions, scales, opacities, colours from [73] network inputs and [55, 4, 4] transforms."""
        x = inputs.expand(NUM_ANCHORS, 1, -1)
        for i, weight in enumerate(self.layers):
            x = torch.bmm(x, weight)
            x = torch.nn.functional.leaky_relu(x) if i + 1 < len(self.layers) else x
        coefficients = (x[:, 0][self.anchors] * self.anchor_weights[..., None]).sum(1)
        value = {
            name: self.base[name] + torch.einsum("nk,nkd->nd", coefficients, basis)
            for name, basis in self.bases.items()
        }
        T = (self.skin_weights @ joints.reshape(55, 16)).reshape(-1, 4, 4)
        means = torch.einsum("nij,nj->ni", T[:, :3, :3], value["position"]) + T[:, :3, 3]
        opacity = torch.sigmoid(value["opacity"][:, 0])
        return means, value["rotation"], value["scale"].exp(), opacity, torch.sigmoid(value["color"])


def frame_ms(n: int, T_cam_world: np.ndarray, K: np.ndarray, width: int, height: int) -> dict[str, float]:
    """Median milliseconds of a whole frame (decode, skin, gsplat's drawing) and of its decoding on the CUDA device."""
    from gsplat import rasterization  # compiled when first used, CUDA only

    device = torch.device("cuda")
    decoder = DenseDecoder(n, device)
    inputs = torch.randn(73, device=device)
    joints = torch.eye(4, device=device).expand(55, 4, 4).contiguous()
    viewmats, Ks = (torch.tensor(x, dtype=torch.float32, device=device)[None] for x in (T_cam_world, K))

    def frame() -> None:
        posed = decoder.decode(inputs, joints)
        rasterization(*posed, viewmats, Ks, width, height, packed=False)

    with torch.inference_mode():
        return {"frame_ms": _median_ms(frame), "decode_ms": _median_ms(lambda: decoder.decode(inputs, joints))}


def _median_ms(call: Callable[[], object], repeats: int = 50) -> float:
    times = []
    for i in range(repeats + 5):
        torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        times += [1000 * (time.perf_counter() - start)] if i >= 5 else []
    return float(np.median(times))
