"""Every WGSL pass on a real driver against its numpy or torch twin, on a device with exactly the default limits."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from nerfstudio_mobavatar.gaussians import PosedGaussians
from nerfstudio_mobavatar.render import rasterize
from nerfstudio_mobavatar.web_export import bundle, evaluate, layout, wgpu_device, wgpu_selftest
from nerfstudio_mobavatar.web_export.bundle import AvatarArrays
from nerfstudio_mobavatar.web_export.evaluate import Pose, PosedArrays
from nerfstudio_mobavatar.web_export.wgpu_device import GpuContext
from nerfstudio_mobavatar.web_export.wgpu_renderer import AvatarInstance, AvatarModel, SceneRenderer, WgpuRenderer
from tests.synthetic_avatar import SyntheticAvatar, camera, rest_pose, walking_pose
from tests.wgsl import twins

SIZE = 256
# five sort blocks and no size a multiple of a workgroup; and an avatar whose every size is odd or absent
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


@pytest.fixture(scope="module", params=[USUAL, ODD], ids=["usual", "odd"])
def case(request: pytest.FixtureRequest, gpu: None) -> Case:
    data = bundle.encode(request.param.build())
    arrays, pose = bundle.decode(data), walking_pose(1.0)
    renderer = WgpuRenderer(data)
    renderer.set_pose(pose)
    renderer.set_view(*camera(SIZE, SIZE), SIZE, SIZE)
    e = evaluate.features(arrays, evaluate.mlp_inputs(arrays, pose))
    dx = evaluate.node_displacements(arrays, e)
    posed = evaluate.posed(arrays, e, dx, evaluate.joint_transforms(arrays, pose))
    return Case(renderer, arrays, pose, e, dx, posed)


@pytest.fixture(scope="module")
def usual(gpu: None) -> WgpuRenderer:
    renderer = WgpuRenderer(bundle.encode(USUAL.build()))
    renderer.set_view(*camera(SIZE, SIZE), SIZE, SIZE)
    return renderer


def picture(p: PosedArrays, T: np.ndarray, K: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rgb [SIZE, SIZE, 3] clamped to 0..1, alpha) by the torch rasteriser."""
    t = [torch.tensor(np.asarray(x, np.float32)) for x in (p.mean, p.covariance, p.color, p.opacity, T, K, background)]
    out = rasterize(PosedGaussians(*t[:4]), t[4][None], t[5][None], SIZE, SIZE, t[6], "torch")
    return out.rgb[0].clamp(0, 1).numpy(), out.alpha[0, ..., 0].numpy()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(1 / np.mean((a.astype(np.float64) - b) ** 2)))


def test_the_device_has_no_more_than_the_default_limits(usual: WgpuRenderer):
    limits = usual.context.device.limits
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


def still_avatar(mean: np.ndarray, rotation: np.ndarray, sigma: np.ndarray, rgb: np.ndarray, opacity: np.ndarray):
    """An avatar file of Gaussians that no pose moves; in the rest pose they lie where `mean` says."""
    n = len(mean)
    plain = SyntheticAvatar(n, num_parts=1, num_nodes=3, num_kept=0).build()
    arrays = replace(
        plain,
        position=mean,
        rotation=rotation,
        log_scale=np.log(sigma),
        color=rgb - 0.5,
        opacity=opacity,
        skin_index=np.zeros((n, 4), int),
        skin_weight=np.tile([1.0, 0, 0, 0], (n, 1)),
        node_basis=np.zeros_like(plain.node_basis),
    )
    return bundle.encode(arrays)


def scattered(n: int) -> bytes:
    """Gaussians around and behind the camera, near its plane, beyond the image edges, faint ones and needles."""
    rng = np.random.default_rng(5)
    mean = rng.uniform([-3, -1, -3], [3, 3, 4], (n, 3))
    T, _ = camera(SIZE, SIZE)
    mean[: n // 10] = -T[:3, :3].T @ T[:3, 3] + rng.normal(0, 0.05, (n // 10, 3))
    sigma = np.exp(rng.uniform(-8, -2.5, (n, 3)))
    return still_avatar(mean, rng.normal(size=(n, 4)), sigma, rng.uniform(0, 1.2, (n, 3)), rng.uniform(0, 1, n) ** 3)


def assert_projected(renderer: WgpuRenderer, posed: PosedArrays, T: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Run `project` and compare with the twins; gives who is visible."""
    n = len(posed.mean)
    renderer.set_view(T, K, SIZE, SIZE)
    renderer.run("project")
    twin = twins.project(posed.mean, posed.covariance, posed.opacity, T, K, (SIZE, SIZE))
    depths = renderer.read("depths")[:n]
    np.testing.assert_array_equal(depths != twins.CULLED, twin.visible)
    state = renderer.read("frame_state")
    in_view = depths[twin.visible]
    assert [int(state[0]), int(~state[1]), int(state[2])] == [len(in_view), int(in_view.min()), int(in_view.max())]
    quads = 4 * twin.radius**2 * np.sqrt(np.maximum(np.linalg.det(twin.covariance), 0))
    fragments = np.minimum(quads[twin.visible], SIZE * SIZE).sum()
    assert state[3] == pytest.approx(fragments, rel=2e-3, abs=0.5 * len(in_view)), (
        "each quad is rounded to whole pixels"
    )

    seen = twin.visible & (twin.depth > 0.1)  # closer ones are thousands of pixels wide and away
    np.testing.assert_allclose(depths[seen].view(np.float32), twin.depth[seen], rtol=2e-6, atol=2e-6)
    words = renderer.read("splats").reshape(-1, 8)[:n][seen]
    center, major = (np.ascontiguousarray(words[:, s]).view(np.float32) for s in (np.s_[:2], np.s_[2:4]))
    minor, radius = np.ascontiguousarray(words[:, 4:6]).view(np.float32).astype(np.float64).T
    np.testing.assert_allclose(center, twin.center[seen], rtol=1e-5, atol=2e-3)
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
    halves = np.ascontiguousarray(words[:, 6:8]).view(np.uint16)
    color = halves[:, :3].copy().view(np.float16).astype(np.float32)
    # WGSL leaves the direction of rounding to halves open: one step
    np.testing.assert_allclose(color, posed.color[seen], rtol=2**-10, atol=2**-14)
    np.testing.assert_array_equal(halves[:, 3], np.rint(posed.opacity[seen] * 65535))
    return twin.visible


def test_project_poses_and_projects(case: Case):
    case.renderer.write("features", case.features)
    case.renderer.write("node_displacement", np.pad(case.nodes, ((0, 0), (0, 1))))
    assert assert_projected(case.renderer, case.posed, *camera(SIZE, SIZE)).all()


def test_features_that_are_zero_are_left_out_and_those_behind_them_are_not(case: Case):
    """Bases of parts with fewer features than others are not read; here every second part lacks the first two."""
    e = case.features.copy()
    e[::2, :2] = 0
    case.renderer.write("features", e)
    case.renderer.write("node_displacement", np.concatenate([case.nodes, np.zeros_like(case.nodes[:, :1])], 1))
    posed = evaluate.posed(case.arrays, e, case.nodes, evaluate.joint_transforms(case.arrays, case.pose))
    assert assert_projected(case.renderer, posed, *camera(SIZE, SIZE)).sum() > 100


def test_project_culls_what_cannot_be_seen(gpu: None):
    data = scattered(USUAL.num_gaussians)
    renderer = WgpuRenderer(data)
    renderer.set_pose(rest_pose())
    T, K = camera(SIZE, SIZE)
    K[0, 2] += 20  # the clamp is not symmetric then
    visible = assert_projected(renderer, evaluate.evaluate(bundle.decode(data), rest_pose()), T, K)
    assert 0.2 < visible.mean() < 0.8


def test_nothing_in_view_draws_the_background(usual: WgpuRenderer):
    T, K = camera(SIZE, SIZE)
    T[:3, 3] -= [0, 0, 100]  # the person is behind the camera
    rgb = usual.render(walking_pose(0.0), T, K, SIZE, SIZE, np.array([0.2, 0.4, 0.6]))
    np.testing.assert_array_equal(rgb, np.broadcast_to([51, 102, 153], rgb.shape))


DEPTHS = {
    "random": lambda rng, n: rng.uniform(1, 4, n),
    "few values": lambda rng, n: rng.integers(1, 4, n),
    "all equal": lambda rng, n: np.full(n, 2.5),
    "falling": lambda rng, n: np.linspace(4, 1, n),
    "one visible": lambda rng, n: np.where(np.arange(n) == n // 2, 2.0, np.nan),
}


def write_depths(renderer: WgpuRenderer, kind: str, n: int) -> np.ndarray:
    """Depth bits of which a third is culled, as project.wgsl leaves them."""
    rng = np.random.default_rng(1)
    depth = DEPTHS[kind](rng, n).astype(np.float32)
    bits = depth.view(np.uint32).copy()
    bits[np.isnan(depth) | ((rng.uniform(size=n) < 1 / 3) & (kind != "one visible"))] = twins.CULLED
    seen = bits[bits != twins.CULLED]
    renderer.write("depths", bits)
    renderer.write("frame_state", np.array([len(seen), ~seen.min(), seen.max(), 0], np.uint32))
    return bits


@pytest.mark.parametrize("kind", DEPTHS)
def test_sort_is_a_stable_argsort_of_what_is_visible(case: Case, kind: str):
    bits = write_depths(case.renderer, kind, len(case.arrays.position))
    for p in layout.PASSES:
        if p.stage == "sort":
            case.renderer.run(p.name)
    visible = np.flatnonzero(bits != twins.CULLED)
    keys = twins.sort_keys(bits)[visible]
    found = case.renderer.read("order")[: len(visible)]
    assert len(np.unique(found)) == len(found) and np.isin(found, visible).all()
    # division is exact to 2.5 steps of float32 in WGSL: a key may fall to the neighbour, nothing else may move
    order = twins.sort_keys(bits)[found]
    assert (np.diff(order) >= -1).all()
    same = np.flatnonzero(np.diff(order) == 0)
    assert np.mean(found[same + 1] > found[same]) > 0.999 if len(same) else True
    if kind != "random":
        np.testing.assert_array_equal(found, visible[np.argsort(keys, kind="stable")])


def test_each_sort_pass(usual: WgpuRenderer):
    n, block = USUAL.num_gaussians, layout.SORT_BLOCK
    bits = write_depths(usual, "few values", n)
    visible = bits != twins.CULLED
    keys, splats = twins.sort_keys(bits), np.arange(n)
    items = twins.scatter(((keys >> 8 << 24) | splats)[visible], keys[visible] & 255)
    for digit, digits, values, target in (
        (0, keys & 255, ((keys >> 8) << 24) | splats, "items"),
        (1, items >> 24, items & 0xFFFFFF, "order"),
    ):
        sorted_ = visible if digit == 0 else np.ones(len(items), bool)
        usual.run(f"sort_histogram_{digit}")
        counts = twins.histogram(digits, sorted_, block)
        np.testing.assert_array_equal(usual.read("histogram")[: counts.size], counts.ravel())
        usual.run(f"sort_scan_{digit}")
        np.testing.assert_array_equal(usual.read("histogram")[: counts.size], twins.scan(counts).ravel())
        np.testing.assert_array_equal(usual.read("digit_totals"), counts.sum(1))
        usual.run(f"sort_scatter_{digit}")
        expected = twins.scatter(values[sorted_], digits[sorted_])
        np.testing.assert_array_equal(usual.read(target)[: len(expected)], expected)
    count = int(visible.sum())
    arguments = [6 * 128, -(-count // 128), 0, 0, 0, 0, 0, 0, -(-count // block), 1, 1]
    np.testing.assert_array_equal(usual.read("arguments")[:11], arguments)


def test_picture_of_the_person_is_the_torch_rasterisers(case: Case):
    T, K = camera(SIZE, SIZE)
    background = np.array([1.0, 1.0, 1.0])
    rgb = case.renderer.render(case.pose, T, K, SIZE, SIZE, background) / 255
    expected, alpha = picture(case.posed, T, K, background)
    rows, columns = np.nonzero(alpha > 1 / 255)
    crop = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    # blending in 8 bits is what costs most; a picture of 200K Gaussians keeps 47 dB
    assert psnr(rgb[crop], expected[crop]) >= 48


def layered(swapped: bool = False) -> tuple[bytes, np.ndarray, np.ndarray]:
    """Three wide splats one behind the other and one small one, seen by a camera that looks along z."""
    mean = np.array([[0, 0, 2.0], [0.1, 0.05, 2.5], [-0.1, -0.1, 3.0], [0.31, 0.2, 1.5]])
    if swapped:
        mean[:, 2] = 5 - mean[:, 2]
    sigma = np.array([[0.2, 0.05, 0.1], [0.1, 0.3, 0.1], [0.25, 0.2, 0.1], [1e-4, 1e-4, 1e-4]])
    rotation = np.array([[0.97, 0, 0, 0.25], [0.99, 0, 0, -0.15], [0.995, 0.1, 0, 0], [1, 0, 0, 0]])
    color = np.array([[1, 0, 0], [0, 0.9, 0.2], [0, 0, 1], [1, 1, 1.0]])
    K = np.array([[300, 0, 120.25], [0, 280, 131.5], [0, 0, 1]], np.float32)
    data = still_avatar(mean, rotation, sigma, color, np.array([0.5, 0.8, 1.0, 0.9]))
    return data, np.eye(4, dtype=np.float32), K


@pytest.mark.parametrize("swapped", [False, True])
def test_draw_blends_like_the_torch_rasteriser(gpu: None, swapped: bool):
    data, T, K = layered(swapped)
    background = np.array([0.1, 0.3, 0.5])
    rgb = WgpuRenderer(data).render(rest_pose(), T, K, SIZE, SIZE, background)
    expected, alpha = picture(evaluate.evaluate(bundle.decode(data), rest_pose()), T, K, background)
    assert 0.1 < (alpha > 0).mean() < 1
    # half a step of the 8-bit output for the background and for each of up to four layers
    assert np.abs(rgb / 255 - expected).max() * 255 <= 2.5
    other, _ = picture(evaluate.evaluate(bundle.decode(layered(not swapped)[0]), rest_pose()), T, K, background)
    assert np.abs(other - expected).max() > 0.1, "the order decides"


def test_drawing_twice_gives_the_same_bytes(case: Case):
    T, K = camera(SIZE, SIZE)
    first = case.renderer.render(case.pose, T, K, SIZE, SIZE, np.zeros(3))
    case.renderer.render(walking_pose(2.5), T, K, SIZE, SIZE, np.ones(3))
    np.testing.assert_array_equal(case.renderer.render(case.pose, T, K, SIZE, SIZE, np.zeros(3)), first)


def placed(angle: float, x: float, z: float, scale: float = 1.0) -> np.ndarray:
    """[4, 4] turned about the up axis, scaled, moved over the floor."""
    T = np.eye(4)
    c, s = np.cos(angle), np.sin(angle)
    T[:3, :3] = scale * np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    T[:3, 3] = [x, 0, z]
    return T


def moved(posed: PosedArrays, T: np.ndarray) -> PosedArrays:
    A = T[:3, :3]
    return replace(posed, mean=posed.mean @ A.T + T[:3, 3], covariance=A @ posed.covariance @ A.T)


def joined(parts: list[PosedArrays]) -> PosedArrays:
    names = ("mean", "covariance", "color", "opacity")
    return PosedArrays(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def test_several_avatars_are_sorted_together(gpu: None):
    context = GpuContext()
    files = [bundle.encode(USUAL.build()), bundle.encode(ODD.build())]
    models = [AvatarModel(context, data) for data in files]
    scene = SceneRenderer(context)
    T, K = camera(SIZE, SIZE, 4.0)
    poses = [walking_pose(0.0), walking_pose(2.0), walking_pose(4.0)]
    places = [np.eye(4), placed(1.0, 0.15, 0.05), placed(-0.5, -0.6, 0.3, 0.7)]  # the first two stand in each other
    people = []
    for model, pose, place in zip((models[0], models[0], models[1]), poses, places):
        person = AvatarInstance(model)
        person.set_pose(pose)
        person.T_world_avatar = place
        people.append(person)
    arrays = [bundle.decode(files[i]) for i in (0, 0, 1)]
    posed = [moved(evaluate.evaluate(a, p), place) for a, p, place in zip(arrays, poses, places)]

    def assert_shows(indices: list[int]) -> np.ndarray:
        rgb = scene.render_scene([people[i] for i in indices], T, K, SIZE, SIZE, np.ones(3))
        expected, alpha = picture(joined([posed[i] for i in indices if people[i].visible]), T, K, np.ones(3))
        crop = alpha > 1 / 255
        assert psnr((rgb / 255)[crop], expected[crop]) >= 45
        return rgb

    alone = assert_shows([0])  # the buffers grow afterwards
    together = assert_shows([0, 1, 2])
    assert psnr(alone / 255, together / 255) < 30
    assert psnr(assert_shows([2, 1, 0]) / 255, together / 255) > 45, "the order of the list does not matter"
    people[1].visible = False
    assert_shows([0, 1, 2])
    people[0].set_pose(poses[2])
    posed[0] = evaluate.evaluate(arrays[0], poses[2])
    assert_shows([0, 2])


def test_a_scene_of_nobody_is_the_background(gpu: None):
    scene = SceneRenderer(GpuContext())
    rgb = scene.render_scene([], *camera(SIZE, SIZE), SIZE, SIZE, np.array([0.2, 0.4, 0.6]))
    np.testing.assert_array_equal(rgb, np.broadcast_to([51, 102, 153], rgb.shape))


@pytest.mark.parametrize(
    ("shader", "sound", "broken"),
    [
        ("sort_scatter.wgsl", "before += values[i];", "before += 2u * values[i];"),
        ("sort_histogram.wgsl", "sort_key(item) & 255u", "sort_key(item) & 127u"),
        ("sort_scan.wgsl", "total += value;", "total = value;"),
        ("sort_scan.wgsl", "arguments[8] = (frame_state.x + BLOCK - 1u)", "arguments[8] = frame_state.x"),
    ],
)
def test_the_self_test_sees_a_broken_sort(
    gpu: None, monkeypatch: pytest.MonkeyPatch, shader: str, sound: str, broken: str
):
    """As a driver would break it: the shaders compile and run, and compute something else."""
    text = wgpu_device.shader_source(shader)
    assert text.count(sound) == 1
    changed = {shader: text.replace(sound, broken)}
    read = wgpu_device.shader_source
    monkeypatch.setattr(wgpu_device, "shader_source", lambda name: changed.get(name) or read(name))
    with pytest.raises(RuntimeError, match=r"computes wrongly \(.*expected"):
        GpuContext()


def test_the_self_test_is_the_pages():
    """Depths and order made by the rule in selftest.ts, written out by hand for a few."""
    bits, order = wgpu_selftest.scene()
    assert bits[0] == np.float32(1).view(np.uint32) and bits[1] == np.float32(2).view(np.uint32)
    assert bits[3] == wgpu_selftest.CULLED and bits[4] == np.float32(1 + (7919 * 4 % 3001 * 21 + 5.5) / 65535).view(
        "u4"
    )
    assert order[0] == 0 and order[-1] == 1 and len(order) == 2 + 3332
