"""Every WGSL pass on a real driver against its numpy or torch twin, on a device with exactly the default limits.

A shader that naga cannot digest may abort the process, so the shaders are compiled once in a process of their own
before these tests use them here.
"""

import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from nerfstudio_mobavatar.gaussians import PosedGaussians
from nerfstudio_mobavatar.render import rasterize
from nerfstudio_mobavatar.web_export import bundle, evaluate, layout
from nerfstudio_mobavatar.web_export.bundle import AvatarArrays
from nerfstudio_mobavatar.web_export.evaluate import Pose, PosedArrays
from nerfstudio_mobavatar.web_export.wgpu_renderer import NO_ADAPTER, WgpuRenderer
from tests.synthetic_avatar import SyntheticAvatar, camera, walking_pose
from tests.wgsl import twins

SIZE = 256
PROBE = """
from nerfstudio_mobavatar.web_export import bundle
from nerfstudio_mobavatar.web_export.wgpu_renderer import WgpuRenderer
from tests.synthetic_avatar import SyntheticAvatar
WgpuRenderer(bundle.encode(SyntheticAvatar(100, 3, 9, 10).build()))
"""
# three sort blocks and no size a multiple of a workgroup; and an avatar whose every size is odd or absent
USUAL = SyntheticAvatar(num_gaussians=9001, num_parts=21, num_nodes=301, num_kept=1500)
ODD = SyntheticAvatar(num_gaussians=333, num_parts=3, num_nodes=7, num_kept=0, basis_size=6, hidden=(17, 33, 5))


@dataclass(frozen=True)
class Case:
    """An avatar on the GPU and what the evaluator says about one pose of it."""

    renderer: WgpuRenderer
    arrays: AvatarArrays
    pose: Pose
    features: np.ndarray
    nodes: np.ndarray
    posed: PosedArrays


@pytest.fixture(scope="session")
def gpu() -> None:
    """Skips where there is no adapter, fails where the shaders do not compile."""
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=300)
    if NO_ADAPTER in done.stderr:
        pytest.skip(NO_ADAPTER)
    assert done.returncode == 0, f"compiling the shaders ended with {done.returncode}:\n{done.stderr[-3000:]}"


@pytest.fixture(scope="module", params=[USUAL, ODD], ids=["usual", "odd"])
def case(request: pytest.FixtureRequest, gpu: None) -> Case:
    data = bundle.encode(request.param.build())
    arrays, pose = bundle.decode(data), walking_pose(1.0)
    renderer = WgpuRenderer(data)
    renderer.set_pose(pose)
    e = evaluate.features(arrays, evaluate.mlp_inputs(arrays, pose))
    dx = evaluate.node_displacements(arrays, e)
    posed = evaluate.posed(arrays, e, dx, evaluate.joint_transforms(arrays, pose))
    return Case(renderer, arrays, pose, e, dx, posed)


@pytest.fixture(scope="module")
def usual(gpu: None) -> WgpuRenderer:
    return WgpuRenderer(bundle.encode(USUAL.build()))


def pack_posed(p: PosedArrays) -> np.ndarray:
    """[N, 12] words as pose.wgsl writes them."""
    out = np.zeros((len(p.mean), 12), np.uint32)
    out[:, :3] = np.ascontiguousarray(p.mean, np.float32).view(np.uint32)
    upper = p.covariance[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
    out[:, 3:9] = np.ascontiguousarray(upper, np.float32).view(np.uint32)
    halves = np.zeros((len(p.mean), 4), np.uint16)
    halves[:, :3] = p.color.astype(np.float16).view(np.uint16)
    halves[:, 3] = np.rint(p.opacity * 65535)
    out[:, 9:11] = halves.view(np.uint32)
    return out


def picture(p: PosedArrays, T: np.ndarray, K: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rgb [SIZE, SIZE, 3] clamped to 0..1, alpha) by the torch rasteriser."""
    t = [torch.tensor(np.asarray(x, np.float32)) for x in (p.mean, p.covariance, p.color, p.opacity, T, K, background)]
    out = rasterize(PosedGaussians(*t[:4]), t[4][None], t[5][None], SIZE, SIZE, t[6], "torch")
    return out.rgb[0].clamp(0, 1).numpy(), out.alpha[0, ..., 0].numpy()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(1 / np.mean((a.astype(np.float64) - b) ** 2)))


def test_the_device_has_no_more_than_the_default_limits(usual: WgpuRenderer):
    limits = usual.device.limits
    upper = {k: v for k, v in layout.DEFAULT_LIMITS.items() if k.startswith("max-storage") or "compute" in k}
    assert {k: limits[k] for k in upper} == upper
    assert "llvmpipe" in usual.adapter_name or len(usual.adapter_name) > 3


def test_features(case: Case):
    case.renderer.run("features")
    found = case.renderer.read("features", "float32")[: case.features.size].reshape(case.features.shape)
    # sums of up to 73 products of order one, in another order
    np.testing.assert_allclose(found, case.features, atol=5e-6)


def test_nodes(case: Case):
    case.renderer.write("features", case.features)
    case.renderer.run("nodes")
    found = case.renderer.read("node_displacement", "float32").reshape(-1, 4)[: len(case.nodes)]
    np.testing.assert_allclose(found[:, :3], case.nodes, atol=1e-7)
    assert not found[:, 3].any()


def test_pose(case: Case):
    case.renderer.write("features", case.features)
    case.renderer.write("node_displacement", np.pad(case.nodes, ((0, 0), (0, 1))))
    case.renderer.run("pose")
    found = case.renderer.read("posed").reshape(-1, 12)[: len(case.posed.mean)]
    expected = pack_posed(case.posed)
    mean, covariance = (np.ascontiguousarray(found[:, s]).view(np.float32) for s in (np.s_[:3], np.s_[3:9]))
    # float32 at 2 m
    np.testing.assert_allclose(mean, case.posed.mean, atol=2e-6)
    largest = np.trace(case.posed.covariance, axis1=1, axis2=2)[:, None]
    # relative to each Gaussian's own size, since flat ones have entries that cancel
    np.testing.assert_allclose(
        covariance / largest, np.ascontiguousarray(expected[:, 3:9]).view(np.float32) / largest, atol=5e-6
    )
    color = np.ascontiguousarray(found[:, 9:11]).view(np.float16).astype(np.float32)[:, :3]
    # WGSL leaves the direction of rounding to halves open: one step
    np.testing.assert_allclose(color, case.posed.color, rtol=2**-10, atol=2**-14)
    np.testing.assert_array_equal(found[:, 10] >> 16, expected[:, 10] >> 16)


def scattered(n: int) -> PosedArrays:
    """Gaussians around and behind the camera, near its plane, beyond the image edges, faint ones and needles."""
    rng = np.random.default_rng(5)
    mean = rng.uniform([-3, -1, -3], [3, 3, 4], (n, 3))
    T, _ = camera(SIZE, SIZE)
    eye = -T[:3, :3].T @ T[:3, 3]
    mean[: n // 10] = eye + rng.normal(0, 0.05, (n // 10, 3))
    R = evaluate.rotation_matrices(rng.normal(size=(n, 3)))
    half = R * np.exp(rng.uniform(-8, -2.5, (n, 1, 3)))
    opacity = rng.uniform(0, 1, n) ** 3
    opacity = np.rint(opacity * 65535) / 65535
    f = np.float32
    return PosedArrays(mean.astype(f), (half @ half.transpose(0, 2, 1)).astype(f), rng.uniform(0, 1.2, (n, 3)), opacity)


def run_project(renderer: WgpuRenderer, posed: PosedArrays, T: np.ndarray, K: np.ndarray) -> None:
    renderer.set_view(T, K, SIZE, SIZE, np.ones(3))
    renderer.write("posed", pack_posed(posed))
    renderer.run("project")


def test_project(usual: WgpuRenderer):
    n = USUAL.num_gaussians
    posed = scattered(n)
    T, K = camera(SIZE, SIZE)
    K[0, 2] += 20  # the clamp is not symmetric then
    run_project(usual, posed, T, K)
    twin = twins.project(posed.mean, posed.covariance, posed.opacity, T, K, (SIZE, SIZE))
    depths = usual.read("depths")[:n]
    assert 0.2 * n < twin.visible.sum() < 0.8 * n
    np.testing.assert_array_equal(depths != twins.CULLED, twin.visible)
    seen = twin.visible & (twin.depth > 0.1)  # closer ones are thousands of pixels wide and away
    np.testing.assert_allclose(depths[seen].view(np.float32), twin.depth[seen], rtol=1e-6, atol=1e-6)

    words = usual.read("splats").reshape(-1, 8)[:n][seen]
    center, major = (np.ascontiguousarray(words[:, s]).view(np.float32) for s in (np.s_[:2], np.s_[2:4]))
    minor, radius = np.ascontiguousarray(words[:, 4:6]).view(np.float32).astype(np.float64).T
    np.testing.assert_allclose(center, twin.center[seen], rtol=1e-5, atol=1e-3)
    # 1 % of a sigma where alpha barely passes 1/255 and the logarithm starts as a square root
    np.testing.assert_allclose(radius, twin.radius[seen], atol=1e-2)
    length = np.linalg.norm(major.astype(np.float64), axis=1)
    across = np.stack([-major[:, 1], major[:, 0]], 1) / length[:, None] * minor[:, None]
    covariance = np.einsum("na,nb->nab", major, major) + np.einsum("na,nb->nab", across, across)
    # the conic decides the picture: compare inverses, relative to the size of each
    found, expected = np.linalg.inv(covariance), np.linalg.inv(twin.covariance[seen])
    scale = np.abs(expected).max((1, 2), keepdims=True)
    # float32 loses digits in the determinant of needles
    assert np.quantile(np.abs(found / scale - expected / scale), 0.999) < 2e-3
    np.testing.assert_array_equal(words[:, 6:8], pack_posed(posed)[seen, 9:11])


def test_frame_state_holds_count_and_depth_range(usual: WgpuRenderer):
    run_project(usual, scattered(USUAL.num_gaussians), *camera(SIZE, SIZE))
    depths = usual.read("depths")[: USUAL.num_gaussians]
    seen = depths[depths != twins.CULLED]
    state = usual.read("frame_state")
    assert [int(state[0]), int(~state[1]), int(state[2])] == [len(seen), int(seen.min()), int(seen.max())]


def test_nothing_in_view_draws_the_background(usual: WgpuRenderer):
    T, K = camera(SIZE, SIZE)
    T[:3, 3] -= [0, 0, 100]  # the person is behind the camera
    rgb = usual.render(walking_pose(0.0), T, K, SIZE, SIZE, np.array([0.2, 0.4, 0.6]))
    np.testing.assert_array_equal(rgb, np.broadcast_to([51, 102, 153], rgb.shape))


def test_sort_keys(usual: WgpuRenderer):
    run_project(usual, scattered(USUAL.num_gaussians), *camera(SIZE, SIZE))
    usual.run("sort_keys")
    depths = usual.read("depths")[: USUAL.num_gaussians]
    pairs = usual.read("pairs_a").reshape(-1, 2)[: USUAL.num_gaussians].astype(np.int64)
    np.testing.assert_array_equal(pairs[:, 1], np.arange(USUAL.num_gaussians))
    # the twin works in float64: a key may fall to the neighbour
    assert np.abs(pairs[:, 0] - twins.sort_keys(depths)).max() <= 1
    visible = int((depths != twins.CULLED).sum())
    np.testing.assert_array_equal(usual.read("draw_arguments")[:5], [6 * 128, -(-visible // 128), 0, 0, 0])


KEYS = {
    "random": lambda rng, n: rng.integers(0, 65536, n),
    "few values": lambda rng, n: rng.integers(0, 3, n) * 21845,
    "all equal": lambda rng, n: np.full(n, 65535),
    "falling": lambda rng, n: np.arange(n)[::-1],
    "one digit": lambda rng, n: rng.integers(0, 16, n) << 8,
}


@pytest.mark.parametrize("kind", KEYS)
def test_sort_is_a_stable_argsort(case: Case, kind: str):
    n = len(case.arrays.position)
    keys = KEYS[kind](np.random.default_rng(1), n)
    pairs = np.stack([keys, np.random.default_rng(2).permutation(n)], 1).astype(np.uint32)
    case.renderer.write("pairs_a", pairs)
    for p in case.renderer.passes:
        if p.digit >= 0:
            case.renderer.run(p.name)
    found = case.renderer.read("pairs_a").reshape(-1, 2)[:n]
    np.testing.assert_array_equal(found, pairs[np.argsort(keys, kind="stable")])


def test_each_sort_pass(usual: WgpuRenderer):
    n, digit = USUAL.num_gaussians, 2
    keys = np.random.default_rng(3).integers(0, 65536, n)
    pairs = np.stack([keys, np.arange(n)], 1).astype(np.uint32)
    usual.write("pairs_a", pairs)
    usual.run(f"sort_histogram_{digit}")
    counts = twins.histogram(keys, 4 * digit, layout.SORT_BLOCK)
    np.testing.assert_array_equal(usual.read("histogram")[: counts.size], counts.ravel())
    usual.run(f"sort_scan_{digit}")
    np.testing.assert_array_equal(usual.read("histogram")[: counts.size], twins.scan(counts))
    usual.run(f"sort_scatter_{digit}")
    np.testing.assert_array_equal(usual.read("pairs_b").reshape(-1, 2)[:n], twins.scatter(pairs, 4 * digit))


def test_picture_of_the_person_is_the_torch_rasterisers(case: Case):
    T, K = camera(SIZE, SIZE)
    background = np.array([1.0, 1.0, 1.0])
    rgb = case.renderer.render(case.pose, T, K, SIZE, SIZE, background) / 255
    expected, alpha = picture(case.posed, T, K, background)
    rows, columns = np.nonzero(alpha > 1 / 255)
    crop = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    # 63.6 dB is what 8-bit output alone leaves; sorting by 16-bit keys and blending in halves cost a few more
    assert psnr(rgb[crop], expected[crop]) >= 50


def layered() -> tuple[PosedArrays, np.ndarray, np.ndarray]:
    """Three wide splats one behind the other and one small one, seen by a camera that looks along z."""
    mean = np.array([[0, 0, 2.0], [0.1, 0.05, 2.5], [-0.1, -0.1, 3.0], [0.31, 0.2, 1.5]], np.float32)
    sigma = np.array([[0.2, 0.05, 0.1], [0.1, 0.3, 0.1], [0.25, 0.2, 0.1], [1e-4, 1e-4, 1e-4]])
    R = evaluate.rotation_matrices(np.array([[0, 0, 0.5], [0, 0, -0.3], [0.2, 0, 0], [0, 0, 0]]))
    half = R * sigma[:, None, :]
    color = np.array([[1, 0, 0], [0, 1.5, 0], [0, 0, 1], [1, 1, 1]], np.float32)
    opacity = np.rint(np.array([0.5, 0.8, 1.0, 0.9]) * 65535) / 65535
    posed = PosedArrays(mean, (half @ half.transpose(0, 2, 1)).astype(np.float32), color, opacity)
    K = np.array([[300, 0, 120.25], [0, 280, 131.5], [0, 0, 1]], np.float32)
    return posed, np.eye(4, dtype=np.float32), K


def draw_alone(renderer: WgpuRenderer, posed: PosedArrays, T: np.ndarray, K: np.ndarray, background: np.ndarray):
    """The picture of Gaussians that are written into the `posed` buffer of an avatar of more (the rest is faint)."""
    words = np.zeros((renderer.dimensions["gaussians"], 12), np.uint32)
    words[: len(posed.mean)] = pack_posed(posed)
    renderer.write("posed", words)
    renderer.set_view(T, K, SIZE, SIZE, background)
    encoder = renderer.device.create_command_encoder()
    renderer.encode_compute(encoder, "view")
    renderer.encode_draw(encoder, SIZE, SIZE)
    renderer.device.queue.submit([encoder.finish()])
    return renderer.read_picture(SIZE, SIZE)


def test_draw_blends_like_the_torch_rasteriser(usual: WgpuRenderer):
    posed, T, K = layered()
    background = np.array([0.1, 0.3, 0.5])
    rgb = draw_alone(usual, posed, T, K, background)
    expected, alpha = picture(posed, T, K, background)
    assert 0.1 < (alpha > 0).mean() < 1
    # half a step of the 8-bit output, and four roundings to halves below 2 (half a step: 1/8 of 1/255 each, no more)
    assert np.abs(rgb / 255 - expected).max() * 255 <= 1.0


def test_order_decides_the_picture(usual: WgpuRenderer):
    posed, T, K = layered()
    swapped = replace(posed, mean=np.where([[1, 1, 0]], posed.mean, 5 - posed.mean).astype(np.float32))
    rgb = draw_alone(usual, swapped, T, K, np.zeros(3))
    expected, _ = picture(swapped, T, K, np.zeros(3))
    assert np.abs(rgb / 255 - expected).max() * 255 <= 1.0
    assert np.abs(picture(posed, T, K, np.zeros(3))[0] - expected).max() > 0.2


def test_drawing_twice_gives_the_same_bytes(case: Case):
    T, K = camera(SIZE, SIZE)
    first = case.renderer.render(case.pose, T, K, SIZE, SIZE, np.zeros(3))
    case.renderer.render(walking_pose(2.5), T, K, SIZE, SIZE, np.ones(3))
    np.testing.assert_array_equal(case.renderer.render(case.pose, T, K, SIZE, SIZE, np.zeros(3)), first)
