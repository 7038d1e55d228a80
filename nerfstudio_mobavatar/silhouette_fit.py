"""Small corrections of a body fit and of cameras that bring the body into its silhouettes: objective and solver.

Per frame and camera, in square centimetres (method of the refinement, ours):

    E = OUTSIDE_WEIGHT * mean_points rho(distance outside the mask) + mean_outline rho(distance to the body - margin)

`rho(d) = d^2 / (1 + d^2 / s^2)`: a hand that the mask lost must not pull the arm. The margin is cloth: outlines may lie
that far outside the body at no cost, the body never outside the outlines. Every correction is `limit * tanh(raw)`.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from .body_model import Body, forward_kinematics, relative_to_rest
from .silhouettes import Silhouettes
from .transforms import axis_angle_to_rotmat

FREE_JOINTS = 22
"""Pelvis and body joints are corrected; jaw, eyes and fingers say nothing in a silhouette."""
POINT_SPACING_M = 0.025
"""Body points are thinned to about this spacing."""
ROBUST_M = 0.10
"""`s` of the robust distance: further than this counts as something else than a misfit."""
OUTSIDE_WEIGHT = 3.0
POSE_SCALE, TRANSL_SCALE_M, CAMERA_SCALE = 0.15, 0.05, (0.02, 0.02, 0.02, 0.05, 0.05, 0.05)
"""Corrections of this size cost as much as each other: radians, metres, and (radians, metres) of a camera."""
FRAME_PRIOR, BETAS_PRIOR, CAMERA_PRIOR = 0.02, 0.002, 0.01
"""Weights of the squared corrections beside E, for a prior weight of 1."""
RATES = {"pose": 0.02, "transl": 0.03, "betas": 0.03, "camera": 0.05}
"""Adam's rates for the raw values, which are shares of the limits."""
NEAREST_EVERY = 5
"""Iterations between searches for the body point nearest to each outline point."""


@dataclass(frozen=True)
class SparseBody:
    """The body's points at a coarse spacing, with everything to pose them. Expression is left out: millimetres."""

    index: Int[Tensor, " p"]
    """Vertices of the body."""
    parents: tuple[int, ...]
    rest: Float[Tensor, "p 3"]
    shape_dirs: Float[Tensor, "p 3 b"]
    pose_dirs: Float[Tensor, "486 p3"]
    weights: Float[Tensor, "p 55"]
    joints: Float[Tensor, "55 3"]
    joint_shape_dirs: Float[Tensor, "55 3 b"]

    def to(self, device: torch.device | str) -> "SparseBody":
        """The same points on another device."""
        return replace(self, **{k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)})


@dataclass(frozen=True)
class Corrections:
    """What is added to a fit of `t` frames and to `c` cameras. All zero: nothing is changed."""

    pose: Float[Tensor, "t 22 3"]
    """Added to the axis-angle numbers, radians."""
    transl: Float[Tensor, "t 3"]
    """Metres."""
    betas: Float[Tensor, " b"]
    camera: Float[Tensor, "c 6"]
    """Rotation vector (radians) and translation (metres): `x_cam = exp(r) (T_cam_world x) + t`."""

    @staticmethod
    def zeros(frames: int, betas: int, cameras: int, device: torch.device | str) -> "Corrections":
        shapes = {"pose": (frames, FREE_JOINTS, 3), "transl": (frames, 3), "betas": (betas,), "camera": (cameras, 6)}
        return Corrections(**{name: torch.zeros(shape, device=device) for name, shape in shapes.items()})


@dataclass(frozen=True)
class Limits:
    """No correction exceeds these, per number."""

    pose: float
    """Radians."""
    transl: float
    """Metres."""
    betas: float
    camera: tuple[float, float]
    """Radians, metres."""

    def of(self, name: str, like: Tensor) -> Tensor:
        """The limit of each entry of one correction."""
        value = getattr(self, name)
        return like.new_tensor([value[0]] * 3 + [value[1]] * 3) if name == "camera" else like.new_tensor(value)


def thin_body(body: Body, num_betas: int, spacing: float = POINT_SPACING_M) -> SparseBody:
    """The first vertex of every occupied cube of side `spacing` (metres) of the rest pose, with the first `num_betas`
    shape directions."""
    _, cube = torch.unique(torch.floor(body.v_template / spacing).long(), dim=0, return_inverse=True)
    first = torch.full((int(cube.max()) + 1,), body.num_vertices, device=cube.device)
    first.scatter_reduce_(0, cube, torch.arange(body.num_vertices, device=cube.device), "amin")
    index = first.sort().values
    pose_dirs = body.pose_dirs.view(len(body.pose_dirs), -1, 3)[:, index].flatten(1)
    return SparseBody(
        index,
        body.parents,
        body.v_template[index],
        body.shape_dirs[index][..., :num_betas],
        pose_dirs,
        body.skin_weights[index],
        body.J_regressor @ body.v_template,
        torch.einsum("jv,vcb->jcb", body.J_regressor, body.shape_dirs[..., :num_betas]),
    )


def pose_points(
    body: SparseBody, pose: Float[Tensor, "t 55 3"], transl: Float[Tensor, "t 3"], betas: Float[Tensor, " b"]
) -> Float[Tensor, "t p 3"]:
    """Skinned points in the world, metres: `Body.vertices` at zero expression, thinned and differentiable."""
    shaped, joints = body.rest + body.shape_dirs @ betas, body.joints + body.joint_shape_dirs @ betas
    R = axis_angle_to_rotmat(pose)
    feature = (R[:, 1:] - torch.eye(3, dtype=R.dtype, device=R.device)).flatten(1)
    moved = shaped + (feature @ body.pose_dirs).view(len(pose), -1, 3)
    T = relative_to_rest(forward_kinematics(R, joints, body.parents, transl), joints)[..., :3, :]
    A = torch.einsum("pj,tjk->tpk", body.weights, T.flatten(2)).unflatten(-1, (3, 4))
    return (A[..., :3] @ moved[..., None])[..., 0] + A[..., 3]


def project(
    points: Float[Tensor, "t p 3"], seen_by: Silhouettes, camera: Float[Tensor, "c 6"]
) -> tuple[Float[Tensor, "t c p 2"], Float[Tensor, "t c"]]:
    """Pixels of world points in every camera, and metres per pixel at the middle of the points."""
    T = corrected(seen_by.T_cam_world, camera)
    x = torch.einsum("cij,tpj->tcpi", T[:, :3, :3], points) + T[:, None, :3, 3]
    focal = seen_by.K.diagonal(dim1=1, dim2=2)[:, :2]
    pixels = x[..., :2] / x[..., 2:].clamp_min(0.05) * focal[:, None] + seen_by.K[:, None, :2, 2]
    return pixels, (x[..., 2].mean(-1).clamp_min(0.05) / focal.mean(1)).detach()


def corrected(T_cam_world: Float[Tensor, "c 4 4"], camera: Float[Tensor, "c 6"]) -> Float[Tensor, "c 4 4"]:
    """World-to-camera transforms after their corrections."""
    R = axis_angle_to_rotmat(camera[:, :3])
    top = torch.cat([R, camera[:, 3:, None]], -1) @ T_cam_world
    return torch.cat([top, T_cam_world[:, 3:]], 1)


def distance_outside(
    pixels: Float[Tensor, "t c p 2"], m_per_px: Float[Tensor, "t c"], seen_by: Silhouettes
) -> Float[Tensor, "t c p"]:
    """Metres by which each point lies outside its mask; 0 inside, outside the picture, and where there is no mask."""
    t, c, height, width = seen_by.outside.shape
    grid = pixels / pixels.new_tensor([width, height]) * 2 - 1
    maps, at = seen_by.outside.view(t * c, 1, height, width), grid.reshape(t * c, 1, -1, 2)
    value = F.grid_sample(maps, at, align_corners=False, padding_mode="border").view(t, c, -1)
    within = ((pixels > 0) & (pixels < seen_by.size[:, None])).all(-1) & seen_by.seen[..., None]
    return value * m_per_px[..., None] * within


def nearest_point(pixels: Float[Tensor, "t c p 2"], seen_by: Silhouettes) -> Int[Tensor, "t c m"]:
    """The body point whose projection is nearest to each outline point."""
    with torch.no_grad():  # frame by frame: all at once would be gigabytes
        return torch.stack([torch.cdist(o, p).argmin(-1) for o, p in zip(seen_by.outline, pixels)])


def outline_gap(
    pixels: Float[Tensor, "t c p 2"],
    m_per_px: Float[Tensor, "t c"],
    seen_by: Silhouettes,
    nearest: Int[Tensor, "t c m"],
) -> Float[Tensor, "t c m"]:
    """Metres from each outline point to its body point, in the picture plane."""
    near = torch.gather(pixels, 2, nearest[..., None].expand(-1, -1, -1, 2))
    return ((near - seen_by.outline).square().sum(-1) + 1e-6).sqrt() * m_per_px[..., None]


def robust(distance: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """`rho` of the module's docstring, square metres."""
    return distance.square() / (1 + (distance / ROBUST_M).square())


def silhouette_error(
    pixels: Float[Tensor, "t c p 2"],
    m_per_px: Float[Tensor, "t c"],
    seen_by: Silhouettes,
    nearest: Int[Tensor, "t c m"],
    margin: float,
) -> Float[Tensor, ""]:
    """Mean of E over the pictures with a mask, square centimetres."""
    outside = robust(distance_outside(pixels, m_per_px, seen_by)).mean(-1)
    gap = robust((outline_gap(pixels, m_per_px, seen_by, nearest) - margin).clamp_min(0)).mean(-1)
    return 1e4 * ((OUTSIDE_WEIGHT * outside + gap) * seen_by.seen).sum() / seen_by.seen.sum().clamp_min(1)


def prior(change: Corrections, smoothness: float) -> Float[Tensor, ""]:
    """Squared corrections, and squared differences between consecutive frames, in units of their scales."""
    pose, transl = change.pose / POSE_SCALE, change.transl / TRANSL_SCALE_M
    frames = max(len(pose), 1)
    still = (pose.square().sum() + transl.square().sum()) / frames
    jumps = (pose.diff(dim=0).square().sum() + transl.diff(dim=0).square().sum()) / frames
    camera = (change.camera / change.camera.new_tensor(CAMERA_SCALE)).square().sum()
    return (
        FRAME_PRIOR * (still + smoothness * jumps) + BETAS_PRIOR * change.betas.square().sum() + CAMERA_PRIOR * camera
    )


def solve(
    body: SparseBody,
    pose: Float[Tensor, "t 55 3"],
    transl: Float[Tensor, "t 3"],
    betas: Float[Tensor, " b"],
    seen_by: Silhouettes,
    start: Corrections,
    free: tuple[str, ...],
    limits: Limits,
    margin: float,
    prior_weight: float,
    smoothness: float,
    iterations: int,
) -> Corrections:
    """Minimise `E + prior` with Adam over the corrections named in `free` ("pose", "transl", "betas", "camera").

    Frames are consecutive rows. Corrections that are not free keep their value of `start`.
    """
    limit = {name: limits.of(name, getattr(start, name)) for name in free}
    raw = {
        name: torch.atanh((getattr(start, name) / limit[name]).clamp(-0.999, 0.999)).requires_grad_() for name in free
    }

    def current() -> Corrections:
        change = replace(start, **{name: limit[name] * torch.tanh(raw[name]) for name in free})
        if "camera" not in free or "transl" not in free:
            return change
        still = without_common_motion(change.camera, seen_by.T_cam_world)
        return replace(change, camera=torch.clamp(still, -limit["camera"], limit["camera"]))

    optimizer = torch.optim.Adam([{"params": [raw[name]], "lr": RATES[name]} for name in free])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: 0.1 ** max(0.0, (i / iterations - 0.3) / 0.7))
    nearest = torch.zeros(0)
    for i in range(iterations):
        change = current()
        pixels, m_per_px = project(moved_points(body, pose, transl, betas, change), seen_by, change.camera)
        if i % NEAREST_EVERY == 0:
            nearest = nearest_point(pixels, seen_by)
        error = silhouette_error(pixels, m_per_px, seen_by, nearest, margin)
        optimizer.zero_grad()
        (error + prior_weight * prior(change, smoothness)).backward()
        optimizer.step()
        schedule.step()
    return Corrections(**{name: value.detach() for name, value in vars(current()).items()})


def without_common_motion(camera: Float[Tensor, "c 6"], T_cam_world: Float[Tensor, "c 4 4"]) -> Float[Tensor, "c 6"]:
    """Camera corrections less their mean in the world: cameras and body moving together would change no picture, but
    leave every other camera behind. A single camera keeps its calibration."""
    R = T_cam_world[:, :3, :3]
    world = camera.unflatten(1, (2, 3)) @ R
    return ((world - world.mean(0)) @ R.transpose(1, 2)).flatten(1)


def moved_points(
    body: SparseBody,
    pose: Float[Tensor, "t 55 3"],
    transl: Float[Tensor, "t 3"],
    betas: Float[Tensor, " b"],
    change: Corrections,
) -> Float[Tensor, "t p 3"]:
    """Body points after the corrections, metres."""
    turned = torch.cat([pose[:, :FREE_JOINTS] + change.pose, pose[:, FREE_JOINTS:]], 1)
    return pose_points(body, turned, transl + change.transl, betas + change.betas)


@torch.no_grad()
def misfit(
    points: Float[Tensor, "t p 3"], seen_by: Silhouettes, camera: Float[Tensor, "c 6"], tolerance: float
) -> tuple[float, float]:
    """(share of body points further than `tolerance` metres, and a pixel, outside their mask; root mean square
    distance of the outlines from the body, metres), over the pictures with a mask."""
    pixels, m_per_px = project(points, seen_by, camera)
    outside = distance_outside(pixels, m_per_px, seen_by)
    beyond = (outside > m_per_px.clamp_min(tolerance)[..., None]).float().mean(-1)
    gap = outline_gap(pixels, m_per_px, seen_by, nearest_point(pixels, seen_by)).square().mean(-1)
    count = max(int(seen_by.seen.sum()), 1)
    share, squared = (float((value * seen_by.seen).sum()) / count for value in (beyond, gap))
    return share, math.sqrt(squared)
