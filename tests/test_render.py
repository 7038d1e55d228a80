"""The rasterisers against renderers that are too simple to be wrong, and against each other."""

import importlib.metadata
import math

import pytest
import torch
from torch import Tensor

from nerfstudio_mobavatar import render, torch_rasterizer
from nerfstudio_mobavatar.gaussians import PosedGaussians
from nerfstudio_mobavatar.render import RasterizerUnavailableError, describe_backend, rasterize, resolve_backend

LEAVES = ("means", "covariances", "colors", "opacities")


def scene(n: int, seed: int, size: float = 0.15, dtype: torch.dtype = torch.float64) -> PosedGaussians:
    """Gaussians in a unit ball around the origin."""
    g = torch.Generator().manual_seed(seed)
    A = torch.randn(n, 3, 3, generator=g, dtype=dtype) * size
    return PosedGaussians(
        torch.randn(n, 3, generator=g, dtype=dtype) * 0.5,
        A @ A.mT + 1e-5 * torch.eye(3, dtype=dtype),
        torch.rand(n, 3, generator=g, dtype=dtype),
        torch.rand(n, generator=g, dtype=dtype),
    )


def cameras(c: int, width: int, height: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Cameras on a circle of 3 m that look at the origin, principal points off centre."""
    views = []
    for k in range(c):
        angle = 0.3 + 2 * math.pi * k / c
        T = torch.eye(4, dtype=dtype)
        T[0, :3] = torch.tensor([math.cos(angle), 0, math.sin(angle)])
        T[2, :3] = torch.tensor([-math.sin(angle), 0, math.cos(angle)])
        T[2, 3] = 3
        views.append(T)
    K = torch.tensor([[0.9 * width, 0, 0.53 * width], [0, 0.95 * width, 0.46 * height], [0, 0, 1]], dtype=dtype)
    return torch.stack(views), K.repeat(c, 1, 1)


def dense(g: PosedGaussians, T: Tensor, K: Tensor, width: int, height: int, background: Tensor) -> tuple[Tensor, ...]:
    """One camera, every splat over every pixel, nearest first; textbook formulas, gradients by autograd."""
    p = g.means @ T[:3, :3].T + T[:3, 3]
    y, x = torch.meshgrid(*(torch.arange(n, dtype=p.dtype) + 0.5 for n in (height, width)), indexing="ij")
    rgb, depth = torch.zeros(height, width, 3, dtype=p.dtype), torch.zeros(height, width, dtype=p.dtype)
    left, done = torch.ones(height, width, dtype=p.dtype), torch.zeros(height, width, dtype=torch.bool)
    (fx, _, cx), (_, fy, cy), _ = K.tolist()
    for i in p[:, 2].argsort(stable=True).tolist():
        X, Y, Z = p[i]
        if Z <= 0.01:
            continue
        tx = Z * torch.clamp(X / Z, -(cx / fx + 0.15 * width / fx), (width - cx) / fx + 0.15 * width / fx)
        ty = Z * torch.clamp(Y / Z, -(cy / fy + 0.15 * height / fy), (height - cy) / fy + 0.15 * height / fy)
        zero = torch.zeros_like(Z)
        J = torch.stack([fx / Z, zero, -fx * tx / Z**2, zero, fy / Z, -fy * ty / Z**2]).reshape(2, 3) @ T[:3, :3]
        S = g.covariances[i]
        S = torch.triu(S) + torch.triu(S, 1).T
        inverse = torch.linalg.inv(J @ S @ J.T + 0.3 * torch.eye(2, dtype=p.dtype))
        d = torch.stack([x - (fx * X / Z + cx), y - (fy * Y / Z + cy)], -1)
        alpha = (g.opacities[i] * torch.exp(-0.5 * torch.einsum("hwi,ij,hwj->hw", d, inverse, d))).clamp(max=0.999)
        alpha = torch.where(alpha < 1 / 255, 0, alpha)
        done = done | (left * (1 - alpha) <= 1e-4)
        alpha = torch.where(done, 0, alpha)
        rgb = rgb + (left * alpha)[..., None] * g.colors[i]
        depth = depth + left * alpha * Z
        left = left * (1 - alpha)
    return rgb + left[..., None] * background, (1 - left)[..., None], (depth / (1 - left).clamp(min=1e-10))[..., None]


def per_pixel(g: PosedGaussians, T: Tensor, K: Tensor, width: int, height: int) -> Tensor:
    """The blending loop as a shader would write it, scalar Python, black background; shares only the projection."""
    centre, cov, depth = torch_rasterizer.project(g.means, g.covariances, T[None], K[None], width, height)
    order = [i for i in depth[0].argsort(stable=True).tolist() if depth[0, i] > 0.01]
    image = torch.zeros(height, width, 3, dtype=g.means.dtype)
    for v in range(height):
        for u in range(width):
            left, rgb = 1.0, [0.0, 0.0, 0.0]
            for i in order:
                (mx, my), (xx, xy, yy), o = centre[0, i].tolist(), cov[0, i].tolist(), float(g.opacities[i])
                dx, dy, det = u + 0.5 - mx, v + 0.5 - my, xx * yy - xy * xy
                alpha = min(0.999, o * math.exp(-0.5 * (yy * dx * dx - 2 * xy * dx * dy + xx * dy * dy) / det))
                if alpha < 1 / 255:
                    continue
                if left * (1 - alpha) <= 1e-4:
                    break
                rgb = [a + left * alpha * float(b) for a, b in zip(rgb, g.colors[i])]
                left *= 1 - alpha
            image[v, u] = torch.tensor(rgb, dtype=image.dtype)
    return image


def stacked(reference, g: PosedGaussians, T: Tensor, K: Tensor, *rest) -> tuple[Tensor, ...]:
    return tuple(torch.stack(v) for v in zip(*(reference(g, t, k, *rest) for t, k in zip(T, K))))


def gradients(images: tuple[Tensor, ...], upstream: tuple[Tensor, ...], leaves: tuple[Tensor, ...]) -> list[Tensor]:
    """By the leaves; the covariance's is symmetrised, since only its upper triangle is read."""
    loss = torch.stack([(i * u).sum() for i, u in zip(images, upstream)]).sum()
    return [v + v.mT if v.ndim == 3 else v for v in torch.autograd.grad(loss, leaves)]


def leaves_of(g: PosedGaussians) -> tuple[PosedGaussians, tuple[Tensor, ...]]:
    leaves = tuple(getattr(g, name).clone().requires_grad_() for name in LEAVES)
    return PosedGaussians(*leaves), leaves


def test_a_shader_like_loop_gives_the_same_image():
    """Second witness for the dense reference's order of tests (skip, stop, add)."""
    g = scene(15, 1, 0.2)
    g = PosedGaussians(g.means, g.covariances, g.colors, g.opacities.sqrt())
    T, K = cameras(1, 18, 13)
    got = rasterize(g, T, K, 18, 13, torch.zeros(3, dtype=torch.float64), "torch").rgb[0]
    torch.testing.assert_close(got, per_pixel(g, T[0], K[0], 18, 13), atol=1e-12, rtol=0)  # float64, order of sums


@pytest.mark.parametrize("limit", [10**9, 40])
def test_forward_and_backward_match_the_dense_autograd_renderer(monkeypatch, limit):
    """Also when the memory limit cuts the image into many bands."""
    monkeypatch.setattr(torch_rasterizer, "MAX_ITEMS", limit)
    g, leaves = leaves_of(scene(60, 2))
    T, K = cameras(3, 37, 22)
    background = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64, requires_grad=True)
    r = rasterize(g, T, K, 37, 22, background, "torch")
    want = stacked(dense, g, T, K, 37, 22, background)
    for a, b in zip((r.rgb, r.alpha, r.depth), want):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=0)  # float64 rounding
    generator = torch.Generator().manual_seed(3)
    upstream = tuple(torch.randn(v.shape, generator=generator, dtype=v.dtype) for v in want)
    all_leaves = (*leaves, background)
    got = gradients((r.rgb, r.alpha, r.depth), upstream, all_leaves)
    for name, a, b in zip((*LEAVES, "background"), got, gradients(want, upstream, all_leaves)):
        assert (a - b).norm() <= 1e-8 * b.norm(), name  # float64; the depth's division loses a few digits


def test_gradients_by_finite_differences():
    """gradcheck on a scene whose fragments stay off the jumps (1/255, 0.999, 1e-4)."""
    _, leaves = leaves_of(scene(3, 5, 0.4))
    T, K = cameras(1, 6, 5)
    leaves = (*leaves[:3], (leaves[3].detach() * 0.3 + 0.3).requires_grad_())

    def draw(*values: Tensor) -> tuple[Tensor, ...]:
        r = rasterize(PosedGaussians(*values), T, K, 6, 5, torch.zeros(3, dtype=torch.float64), "torch")
        return r.rgb, r.alpha

    assert torch.autograd.gradcheck(draw, leaves, eps=1e-7, atol=1e-5)


def test_float32_stays_within_a_grey_level_of_float64():
    g, (T, K) = scene(400, 7, 0.05), cameras(2, 50, 41)
    want = rasterize(g, T, K, 50, 41, torch.ones(3, dtype=torch.float64), "torch").rgb
    single = PosedGaussians(*(getattr(g, name).float() for name in LEAVES))
    got = rasterize(single, T.float(), K.float(), 50, 41, torch.ones(3), "torch").rgb
    # a fragment at the 1/255 cut may fall on either side
    torch.testing.assert_close(got.double(), want, atol=1 / 255, rtol=0)
    assert (got.double() - want).abs().mean() < 1e-5


def one(mean: list[float], variance: float, opacity: float) -> PosedGaussians:
    covariance = float(variance) * torch.eye(3)[None]
    return PosedGaussians(
        torch.tensor([mean]).float(), covariance, torch.tensor([[1.0, 0.5, 0]]), torch.tensor([opacity]).float()
    )


CAMERA = torch.eye(4)[None], torch.tensor([[[20.0, 0, 8], [0, 20, 6], [0, 0, 1]]])


@pytest.mark.parametrize(
    "gaussians",
    [
        pytest.param(one([0, 0, -2], 0.01, 0.9), id="behind"),
        pytest.param(one([0, 0, 0.005], 0.01, 0.9), id="nearer than the near plane"),
        pytest.param(one([50, 0, 2], 0.01, 0.9), id="beside the frame"),
        pytest.param(one([0, 0, 2], 0.01, 0.003), id="fainter than 1/255"),
        pytest.param(PosedGaussians(*(v[:0] for v in vars(one([0, 0, 2], 1, 1)).values())), id="none at all"),
    ],
)
def test_what_no_pixel_sees_leaves_the_background_and_zero_gradients(gaussians):
    g, leaves = leaves_of(gaussians)
    r = rasterize(g, *CAMERA, 16, 12, torch.tensor([0.1, 0.2, 0.3]), "torch")
    torch.testing.assert_close(r.rgb, torch.tensor([0.1, 0.2, 0.3]).expand(1, 12, 16, 3))
    assert not r.alpha.any() and not r.depth.any()
    for gradient in torch.autograd.grad(r.rgb.sum() + r.depth.sum(), leaves):
        assert not gradient.any()


def test_a_huge_opaque_splat_covers_every_pixel_and_clamps_at_0_999():
    g, leaves = leaves_of(one([0, 0, 2], 1e4, 1.0))
    r = rasterize(g, *CAMERA, 16, 12, torch.zeros(3), "torch")
    torch.testing.assert_close(r.alpha, torch.full((1, 12, 16, 1), 0.999))
    torch.testing.assert_close(r.depth, torch.full((1, 12, 16, 1), 2.0))
    torch.testing.assert_close(r.rgb[..., 0], r.alpha[..., 0])
    mean, covariance, color, opacity = torch.autograd.grad(r.rgb.sum(), leaves)
    assert color.all() and not mean.any() and not covariance.any() and not opacity.any()  # the clamp is flat


def test_a_pixel_stops_before_its_transmittance_falls_to_1e_4():
    """0.999 leaves 1e-3; a second 0.95 would leave 5e-5, so it and everything behind it is dropped, however faint."""
    stack = [one([0, 0, z], 1e4, o) for z, o in ((2.0, 1.0), (3.0, 0.95), (4.0, 0.1))]
    g = PosedGaussians(*(torch.cat([getattr(s, name) for s in stack]) for name in LEAVES))
    r = rasterize(g, *CAMERA, 16, 12, torch.zeros(3), "torch")
    torch.testing.assert_close(r.alpha, torch.full((1, 12, 16, 1), 0.999))


def test_nearer_covers_farther_whatever_the_order():
    near, far = one([0, 0, 2], 0.05, 0.9), one([0, 0, 3], 0.1, 0.9)
    far = PosedGaussians(far.means, far.covariances, far.colors.flip(1), far.opacities)
    both = [
        PosedGaussians(*(torch.cat([getattr(a, k), getattr(b, k)]) for k in LEAVES))
        for a, b in [(near, far), (far, near)]
    ]
    images = [rasterize(g, *CAMERA, 16, 12, torch.zeros(3), "torch").rgb for g in both]
    torch.testing.assert_close(*images)
    assert images[0][0, 6, 8, 0] > 0.8  # red of the near one


def test_bands_cover_the_image_once_and_respect_the_limit():
    tiles = torch.tensor([[0, 3, 0, 2], [1, 1, 1, 5], [0, 0, 7, 7]])
    assert torch_rasterizer.bands(tiles, 8, 10**9) == [(0, 8)]
    assert torch_rasterizer.bands(tiles, 8, 5) == [(0, 1), (1, 2), (2, 3), (3, 8)]  # rows hold 4 5 5 1 1 1 0 1


def test_bad_pair_of_gsplat_and_cuda_is_named_with_its_remedy(monkeypatch):
    """1.4.0 hangs while it compiles for CUDA 13, so nothing may be imported before the check."""
    versions = {"gsplat": "1.4.0"}
    monkeypatch.setattr(render, "_installed", versions.get)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    for name in ("auto", "gsplat"):
        with pytest.raises(RasterizerUnavailableError, match=r"pip install --no-deps gsplat==1\.5\.3"):
            resolve_backend(name, "cuda")
    versions["gsplat"] = "1.5.3"
    assert resolve_backend("auto", "cuda") == "gsplat"
    versions["gsplat"] = "1.4.0"
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    assert resolve_backend("gsplat", "cuda:1") == "gsplat"


def test_backends_that_cannot_run_say_so(monkeypatch):
    with pytest.raises(RasterizerUnavailableError, match="CUDA devices only"):
        resolve_backend("gsplat", "cpu")
    monkeypatch.setattr(render, "_installed", lambda _: None)
    with pytest.raises(RasterizerUnavailableError, match="not installed"):
        resolve_backend("gsplat", "cuda")
    assert resolve_backend("auto", "cuda") == "torch"
    with pytest.raises(RasterizerUnavailableError, match="CUDA devices only"):
        rasterize(one([0, 0, 2], 1, 1), *CAMERA, 16, 12, torch.zeros(3), "gsplat")


def test_auto_says_what_it_took():
    assert resolve_backend("auto", torch.device("cpu")) == "torch"
    line = describe_backend("auto", "cpu")
    assert "torch" in line and "asked for 'auto'" in line and "CUDA" in line


def gsplat_reason() -> str:
    """Why the comparison cannot run here, or an empty string."""
    if not torch.cuda.is_available():
        return "no CUDA GPU: gsplat draws on CUDA only"
    try:
        version = importlib.metadata.version("gsplat")
    except importlib.metadata.PackageNotFoundError:
        return "gsplat is not installed"
    if not version.startswith("1.5"):
        return f"gsplat {version} cuts footprints differently; the twin follows 1.5.3"
    return ""


@pytest.mark.skipif(bool(gsplat_reason()), reason=gsplat_reason() or "runs")
@pytest.mark.parametrize("twin_device", ["cpu", "cuda"])
def test_twin_matches_gsplat_forward_and_backward(twin_device):
    """5,000 Gaussians, 3 cameras, a size that is no multiple of either's tile; random upstream gradients."""
    width, height = 200, 150
    g = scene(5000, 11, 0.03, torch.float32)
    T, K = cameras(3, width, height, torch.float32)
    background = torch.tensor([0.1, 0.6, 0.3])
    generator = torch.Generator().manual_seed(12)
    upstream = [torch.randn(3, height, width, k, generator=generator) for k in (3, 1)]
    images, grads = {}, {}
    for backend, device in (("gsplat", "cuda"), ("torch", twin_device)):
        moved, leaves = leaves_of(PosedGaussians(*(getattr(g, name).to(device) for name in LEAVES)))
        r = rasterize(moved, T.to(device), K.to(device), width, height, background.to(device), backend)
        up = tuple(u.to(device) for u in upstream)
        grads[backend] = [v.cpu() for v in gradients((r.rgb, r.alpha), up, leaves)]
        images[backend] = [v.detach().cpu() for v in (r.rgb, r.alpha, r.depth)]
    rgb, alpha = ((a - b).abs() for a, b in list(zip(images["gsplat"], images["torch"]))[:2])
    assert rgb.max() <= 1 / 255 and alpha.max() <= 1 / 255  # a fragment at the cut may fall on either side
    assert rgb.mean() <= 1e-5
    seen = images["torch"][1] > 0.5
    assert (images["gsplat"][2] - images["torch"][2])[seen].abs().max() <= 0.02  # metres; same reason, scene 3 m deep
    for name, a, b in zip(LEAVES, grads["torch"], grads["gsplat"]):
        assert (a - b).norm() <= 1e-3 * b.norm(), name  # --use_fast_math in gsplat
