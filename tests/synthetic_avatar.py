"""A person-shaped avatar out of random numbers, for tests and benchmarks that need a file but no training.

A 55-joint stick figure of capsules, 1.7 m tall, y up, facing +z, with realistic magnitudes: surface-aligned flat
Gaussians, head parts first, 3-nearest nodes, kept subsets of the correctives, 73-24-24-24-2K networks.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from nerfstudio_mobavatar.web_export.bundle import AvatarArrays
from nerfstudio_mobavatar.web_export.evaluate import Pose

PARENTS = np.array(
    [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15]
    + [j for wrist, first in ((20, 25), (21, 40)) for f in range(5) for j in (wrist, first + 3 * f, first + 3 * f + 1)]
)
HEAD_JOINTS = (12, 15, 22, 23, 24)
BODY_JOINTS = np.array(
    [
        [0, 0.95, 0], [0.07, 0.87, 0], [-0.07, 0.87, 0], [0, 1.06, 0], [0.1, 0.49, 0], [-0.1, 0.49, 0], [0, 1.18, 0],
        [0.11, 0.08, -0.02], [-0.11, 0.08, -0.02], [0, 1.24, 0], [0.13, 0.03, 0.1], [-0.13, 0.03, 0.1], [0, 1.42, 0],
        [0.06, 1.36, 0], [-0.06, 1.36, 0], [0, 1.5, 0.01], [0.17, 1.38, 0], [-0.17, 1.38, 0], [0.43, 1.37, -0.02],
        [-0.43, 1.37, -0.02], [0.68, 1.37, -0.02], [-0.68, 1.37, -0.02], [0, 1.49, 0.03], [0.03, 1.57, 0.08],
        [-0.03, 1.57, 0.08],
    ]
)  # fmt: skip


@dataclass(frozen=True)
class SyntheticAvatar:
    """Sizes of the avatar; the same sizes and seed always give the same avatar."""

    num_gaussians: int = 2000
    num_parts: int = 32
    num_nodes: int = 200
    num_kept: int = 300
    """Gaussians that keep a corrective, for each of rotation, scale and colour."""
    basis_size: int = 16
    hidden: tuple[int, ...] = (24, 24, 24)
    num_expressions: int = 10
    seed: int = 0

    def build(self) -> AvatarArrays:
        """The arrays, in Morton order of the canonical position."""
        rng = np.random.default_rng(self.seed)
        joints = rest_joints()
        rest, normal, bone = _sample_capsules(rng, joints, self.num_gaussians)
        skin_index, skin_weight = _skin(rest, joints, bone)
        inverse_bind, to_canonical = _bind(joints)
        blend = np.einsum("nj,njab->nab", skin_weight, to_canonical[skin_index])
        position = np.einsum("nab,nb->na", blend[:, :, :3], rest) + blend[:, :, 3]
        normal = np.einsum("nab,nb->na", blend[:, :, :3], normal)
        order = np.argsort(_morton(position), kind="stable")
        position, normal, bone, rest = position[order], normal[order], bone[order], rest[order]
        spacing = np.sqrt(1.6 / self.num_gaussians)  # a body has about 1.6 square metres of skin
        log_scale = np.log(spacing * np.array([0.75, 0.75, 0.12])) + rng.normal(0, 0.2, (self.num_gaussians, 3))
        part, node_index, node_weight, node_part, num_head = self._parts_and_nodes(rng, position, bone)
        kept = [np.sort(rng.choice(self.num_gaussians, self.num_kept, replace=False)) for _ in range(3)]
        return AvatarArrays(
            position=position,
            rotation=_facing(normal) * rng.uniform(0.7, 1.3, (self.num_gaussians, 1)),
            log_scale=log_scale,
            color=_paint(rng, rest, bone),
            opacity=rng.uniform(0.5, 1.0, self.num_gaussians),
            part=part,
            node_index=node_index,
            node_weight=node_weight,
            skin_index=skin_index[order],
            skin_weight=skin_weight[order],
            rotation_index=kept[0],
            scale_index=kept[1],
            color_index=kept[2],
            rotation_basis=rng.normal(0, 0.03, (self.num_kept, 4, self.basis_size)),
            scale_basis=rng.normal(0, 0.05, (self.num_kept, 3, self.basis_size)),
            color_basis=rng.normal(0, 0.05, (self.num_kept, 3, self.basis_size)),
            node_part=node_part,
            node_basis=rng.normal(0, 0.003, (self.num_nodes, 3, self.basis_size)),
            **self._networks(rng),
            num_head_parts=num_head,
            num_pose_inputs=63,
            joint_rest=joints.astype(np.float32),
            inverse_bind=inverse_bind.astype(np.float32),
            joint_parent=PARENTS.astype(np.int32),
            meta={"generator": "synthetic", "up": [0, 1, 0], "fps": 30, "body": "sticks", "body_license": "none",
                  "training_frames": [0, 1], "center": [0, 0.9, 0], "radius": 1.1},
        )  # fmt: skip

    def _parts_and_nodes(self, rng: np.random.Generator, position: np.ndarray, bone: np.ndarray) -> tuple:
        is_head = np.isin(bone, HEAD_JOINTS)
        centers = rng.choice(self.num_gaussians, self.num_parts, replace=False)
        centers = centers[np.argsort(~is_head[centers], kind="stable")]
        _, part = cKDTree(position[centers]).query(position)
        nodes = rng.choice(self.num_gaussians, self.num_nodes, replace=False)
        distance, index = cKDTree(position[nodes]).query(position, k=3)
        weight = 1 / np.maximum(distance, 1e-4)
        return part, index, weight / weight.sum(1, keepdims=True), part[nodes], int(is_head[centers].sum())

    def _networks(self, rng: np.random.Generator) -> dict[str, tuple[np.ndarray, ...]]:
        sizes = [63 + self.num_expressions, *self.hidden, 2 * self.basis_size]
        pairs = list(zip(sizes[:-1], sizes[1:]))
        return {
            "mlp_weights": tuple(rng.normal(0, np.sqrt(2 / i), (self.num_parts, o, i)) for i, o in pairs),
            "mlp_biases": tuple(rng.normal(0, 0.1, (self.num_parts, o)) for _, o in pairs),
        }


def rest_joints() -> np.ndarray:
    """[55, 3] metres; fingers stretched along x."""
    joints = np.zeros((55, 3))
    joints[:25] = BODY_JOINTS
    for side, (wrist, first) in ((1, (20, 25)), (-1, (21, 40))):
        for finger, z in enumerate((0.03, 0.01, -0.03, -0.01, 0.045)):
            for k in range(3):
                joints[first + 3 * finger + k] = joints[wrist] + [side * (0.07 + 0.028 * k), 0, z]
    return joints


def walking_pose(phase: float, num_expressions: int = 10) -> Pose:
    """A step of a walk at `phase` (radians), turned by 20 degrees and moved a little, with a smile."""
    pose = np.zeros((55, 3), np.float32)
    swing = np.sin(phase)
    pose[1, 0], pose[2, 0] = -0.5 * swing, 0.5 * swing
    pose[4, 0], pose[5, 0] = 0.4 + 0.3 * swing, 0.4 - 0.3 * swing
    pose[16], pose[17] = [0.3 * swing, 0, -1.0], [-0.3 * swing, 0, 1.0]
    pose[18, 1], pose[19, 1] = -0.5, 0.5
    pose[12, 1] = 0.3
    c, s = np.cos(0.35), np.sin(0.35)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)
    expression = np.linspace(-1, 1, num_expressions).astype(np.float32)
    return Pose(pose, turn, np.array([0.05, 0.02, -0.1], np.float32), expression)


def rest_pose(num_expressions: int = 10) -> Pose:
    """All angles zero at the origin."""
    zero = np.zeros((55, 3), np.float32)
    return Pose(zero, np.eye(3, dtype=np.float32), np.zeros(3, np.float32), np.zeros(num_expressions, np.float32))


def camera(width: int, height: int, distance: float = 2.6, azimuth: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    """(T_cam_world [4, 4], K [3, 3]) of an OpenCV camera that looks at the person's middle, whole body in view."""
    target = np.array([0, 0.85, 0])
    eye = target + distance * np.array([np.sin(azimuth), 0.1, np.cos(azimuth)])
    z = (target - eye) / np.linalg.norm(target - eye)
    x = np.cross(z, [0, 1, 0])
    x /= np.linalg.norm(x)
    R = np.stack([x, np.cross(z, x), z])
    T = np.eye(4, dtype=np.float32)
    T[:3, :3], T[:3, 3] = R, -R @ eye
    focal = 1.25 * min(width, height)
    return T, np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float32)


def _bind(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(inverse of the canonical pose's transforms, rest -> canonical), both [55, 3, 4]. Hips at +-25 degrees."""
    to_canonical = np.tile(np.eye(4), (55, 1, 1))
    for hip, angle in ((1, np.deg2rad(25)), (2, -np.deg2rad(25))):
        R = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        leg = [j for j in range(55) if hip in _ancestors(j)]
        to_canonical[leg, :3, :3], to_canonical[leg, :3, 3] = R, joints[hip] - R @ joints[hip]
    shift = np.tile(np.eye(4), (55, 1, 1))
    shift[:, :3, 3] = -joints
    return (shift @ np.linalg.inv(to_canonical))[:, :3], to_canonical[:, :3]


def _ancestors(joint: int) -> list[int]:
    """The joint itself and all above it."""
    chain = [joint]
    while PARENTS[chain[-1]] >= 0:
        chain.append(int(PARENTS[chain[-1]]))
    return chain


def _radius(bone: np.ndarray) -> np.ndarray:
    table = np.full(55, 0.009)
    table[[0, 3, 6, 9]] = 0.13
    table[[1, 2, 4, 5]] = 0.075
    table[[7, 8, 16, 17, 18, 19]] = 0.045
    table[[12, 13, 14, 20, 21, 10, 11]] = 0.05
    table[[15, 22, 23, 24]] = 0.1
    return table[bone]


def _sample_capsules(rng: np.random.Generator, joints: np.ndarray, n: int) -> tuple:
    """Rest-pose surface points, their outward normals and the joint that moves each of them."""
    child = np.array([j for j in range(55) if PARENTS[j] >= 0 and j not in (22, 23, 24)])
    head_top = joints[15] + [0, 0.1, 0.02]
    start = np.concatenate([joints[PARENTS[child]], joints[15:16]])
    end = np.concatenate([joints[child], head_top[None]])
    owner = np.concatenate([PARENTS[child], [15]])
    radius = _radius(owner)
    area = radius * (np.linalg.norm(end - start, axis=1) + 2 * radius)
    pick = rng.choice(len(owner), n, p=area / area.sum())
    cap = (radius / np.linalg.norm(end - start, axis=1))[pick, None]  # round ends get their share of the surface
    t = (rng.uniform(size=(n, 1)) * (1 + 2 * cap) - cap).clip(0, 1)
    direction = rng.normal(size=(n, 3))
    axis = (end - start)[pick] / np.linalg.norm((end - start)[pick], axis=1, keepdims=True)
    inner = (t[:, 0] > 0) & (t[:, 0] < 1)
    direction -= inner[:, None] * (direction * axis).sum(1, keepdims=True) * axis
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    points = start[pick] + t * (end - start)[pick] + radius[pick, None] * direction
    return points, direction, owner[pick]


def _skin(points: np.ndarray, joints: np.ndarray, bone: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Four joints each: the own bone for the most part, three near ones for the rest."""
    distance, index = cKDTree(joints).query(points, k=4)
    weight = np.exp(-((distance / 0.08) ** 2)) * 0.5 + 1e-3
    own = np.where((index == bone[:, None]).any(1), (index == bone[:, None]).argmax(1), 3)
    rows = np.arange(len(points))
    index[rows, own] = bone
    weight[rows, own] += 1
    return index, weight / weight.sum(1, keepdims=True)


def _facing(normal: np.ndarray) -> np.ndarray:
    """Quaternions that turn the z axis (the flat one) to the normal."""
    n = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    q = np.stack([1 + n[:, 2], -n[:, 1], n[:, 0], np.zeros(len(n))], 1)
    q[n[:, 2] < -0.9999] = [0, 1, 0, 0]
    return q / np.linalg.norm(q, axis=1, keepdims=True)


def _paint(rng: np.random.Generator, rest: np.ndarray, bone: np.ndarray) -> np.ndarray:
    """Skin, a striped shirt and dark trousers, as `rgb - 0.5`, with some noise."""
    rgb = np.tile([0.8, 0.6, 0.5], (len(rest), 1))
    shirt = np.isin(bone, [0, 3, 6, 9, 13, 14, 16, 17])
    rgb[shirt] = np.where((np.sin(rest[shirt, 1:2] * 90) > 0), [0.75, 0.15, 0.1], [0.9, 0.9, 0.85])
    rgb[np.isin(bone, [1, 2, 4, 5])] = [0.12, 0.16, 0.35]
    rgb[np.isin(bone, HEAD_JOINTS) & ((rest[:, 1] > 1.6) | (rest[:, 2] < -0.03))] = [0.2, 0.12, 0.06]
    return rgb + rng.normal(0, 0.04, rgb.shape) - 0.5


def _morton(position: np.ndarray) -> np.ndarray:
    span = position.max(0) - position.min(0)
    cell = ((position - position.min(0)) / span * 1023).astype(np.uint64)
    code = np.zeros(len(position), np.uint64)
    for bit in range(10):
        for axis in range(3):
            code |= ((cell[:, axis] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(3 * bit + axis)
    return code
