"""Milliseconds that a rasteriser takes, forward and backward: `python -m tests.bench.raster`.

Scene: capsules in the shape of a standing person, seen by four cameras. Prints device, N and milliseconds and writes
tests/bench/results/raster.json. Needs no data. gsplat runs where there is a CUDA GPU and a version that works on it.
"""

import math
import time

import torch

from nerfstudio_mobavatar.gaussians import PosedGaussians
from nerfstudio_mobavatar.render import Backend, RasterizerUnavailableError, rasterize, resolve_backend

from . import common

CAPSULES = (
    ((0, 1.15, 0), (0, 1.35, 0), 0.16),
    ((0, 0.95, 0), (0, 1.15, 0), 0.15),
    ((0, 1.60, 0), (0, 1.66, 0), 0.10),
    ((0.10, 0.1, 0), (0.10, 0.9, 0), 0.08),
    ((-0.10, 0.1, 0), (-0.10, 0.9, 0), 0.08),
    ((0.2, 1.40, 0), (0.5, 0.9, 0), 0.05),
    ((-0.2, 1.40, 0), (-0.5, 0.9, 0), 0.05),
)
"""Ends and radius of trunk, head, legs and arms, metres."""
CAMERAS = 4


def person(n: int, seed: int = 0) -> PosedGaussians:
    """`n` Gaussians on the surface of the capsules, each as large as its share of it."""
    g = torch.Generator().manual_seed(seed)
    start, end = (torch.tensor([c[i] for c in CAPSULES]).float() for i in (0, 1))
    radius = torch.tensor([c[2] for c in CAPSULES])
    area = 2 * math.pi * radius * ((end - start).norm(dim=1) + 2 * radius)
    which = torch.multinomial(area, n, replacement=True, generator=g)
    out = torch.nn.functional.normalize(torch.randn(n, 3, generator=g), dim=1)
    along = torch.rand(n, 1, generator=g)
    means = torch.lerp(start[which], end[which], along) + radius[which, None] * out
    A = torch.randn(n, 3, 3, generator=g) * 0.45 * math.sqrt(float(area.sum()) / n)
    return PosedGaussians(
        means, A @ A.mT + 1e-6 * torch.eye(3), torch.rand(n, 3, generator=g), 0.5 + 0.5 * torch.rand(n, generator=g)
    )


def around(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cameras 3 m away on a circle, upright, the person filling the height of the picture."""
    views = torch.eye(4).repeat(CAMERAS, 1, 1)
    for k, T in enumerate(views):
        a = 0.4 + 2 * math.pi * k / CAMERAS
        T[:3, :3] = torch.tensor([[math.cos(a), 0, -math.sin(a)], [0, -1, 0], [-math.sin(a), 0, -math.cos(a)]])
        T[:3, 3] = torch.tensor([0, 0.9, 3.0])
    K = torch.tensor([[1.5 * size, 0, size / 2], [0, 1.5 * size, size / 2], [0, 0, 1]])
    return views, K.repeat(CAMERAS, 1, 1)


def measure(n: int, size: int, backend: Backend, device: str, repeats: int) -> dict[str, object]:
    """Median wall-clock times of one drawing of all cameras."""
    g = person(n)
    leaves = [v.to(device).requires_grad_() for v in (g.means, g.covariances, g.colors, g.opacities)]
    T, K = (v.to(device) for v in around(size))
    white, upstream = torch.ones(3, device=device), torch.randn(CAMERAS, size, size, 3, device=device)

    def now() -> float:
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    forward, backward = [], []
    for _ in range(repeats + 2):  # two to warm up
        start = now()
        loss = (rasterize(PosedGaussians(*leaves), T, K, size, size, white, backend).rgb * upstream).sum()
        drawn = now()
        loss.backward()
        forward.append(drawn - start)
        backward.append(now() - drawn)
    ms = [1e3 * sorted(v[2:])[repeats // 2] for v in (forward, backward)]
    name = common.device_name(device) + ("" if device == "cuda" else ", 1 thread")
    print(f"{name}: {backend}, {n} Gaussians, {CAMERAS} x {size} px: {ms[0]:.1f} ms forward, {ms[1]:.1f} ms backward")
    return {"device": name, "backend": backend, "gaussians": n, "cameras": CAMERAS, "side_px": size} | {
        "forward_ms": round(ms[0], 2),
        "backward_ms": round(ms[1], 2),
    }


def main() -> None:
    torch.set_num_threads(1)
    runs = [measure(10_000, 256, "torch", "cpu", 7)]
    if torch.cuda.is_available():
        backends: list[Backend] = ["torch"]
        try:
            backends.append(resolve_backend("gsplat", "cuda"))
        except RasterizerUnavailableError as error:
            print(error)
        for backend in backends:
            runs += [measure(n, size, backend, "cuda", 11) for n, size in ((10_000, 256), (200_000, 1024))]
    common.write("raster", {"command": common.command_line(), "torch_version": torch.__version__, "runs": runs})


if __name__ == "__main__":
    main()
