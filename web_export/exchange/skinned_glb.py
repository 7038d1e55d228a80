"""The avatar as a skinned glTF for game engines: 55 joints, skin weights, motions as node animations; y up.

What is skinned is either the avatar's own Gaussians in the canonical pose (points that carry `KHR_gaussian_splatting`
too; without their pose correctives, which glTF has no place for) or the open body's mesh in the person's shape. Other
bodies' meshes are never written: they are not ours to pass on, and an avatar file does not hold them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.motion.joint_names import NAMES

from ..bundle import AvatarArrays
from ..evaluate import Pose
from . import splats_glb
from .body_mesh import BodyMesh
from .glb import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, TRIANGLES, GlbBuilder
from .splats import MIN_SCALE, Splats

STILL = 1e-6
"""A joint whose quaternion stays that close to the node's own through a whole motion gets no channel."""


@dataclass(frozen=True)
class Clip:
    """One motion."""

    name: str
    poses: Sequence[Pose]
    fps: float


@dataclass(frozen=True)
class Skeleton:
    """Local transforms of the 55 joints over T frames, in the file's axes."""

    translation: np.ndarray
    """[T, 3] of joint 0; the others stay at `offset`."""
    offset: np.ndarray
    """[55, 3] rest position relative to the parent's, metres."""
    rotation: np.ndarray
    """[T, 55, 4] quaternions xyzw, neighbours in time on the same half sphere."""


def write(
    path: Path, a: AvatarArrays, clips: Sequence[Clip], R_file_world: np.ndarray, mesh: BodyMesh | None, rights: str
) -> None:
    """Write the file. The nodes stand in the first frame of the first clip.

    Args:
        R_file_world: [3, 3] turns the world upright (`splats.upright`).
        mesh: what to skin instead of the Gaussians.
        rights: becomes glTF's `asset.copyright`.
    """
    glb = GlbBuilder()
    moves = [skeleton(a, clip.poses, R_file_world) for clip in clips]
    bind = np.tile(np.eye(4), (55, 1, 1))
    if mesh is None:
        bind[:, :3] = a.inverse_bind
        primitive = splats_glb.primitive(glb, canonical_splats(a))
        skin = (a.skin_index, a.skin_weight)
    else:
        bind[:, :3, 3] = -a.joint_rest
        primitive = _triangles(glb, mesh)
        skin = (mesh.skin_index, mesh.skin_weight)
    primitive["attributes"] |= _skin_attributes(glb, *skin)
    children = [[j for j in range(55) if a.joint_parent[j] == i] for i in range(55)]
    joints = [
        {
            "name": NAMES[j],
            "translation": (moves[0].translation[0] if j == 0 else moves[0].offset[j]).tolist(),
            "rotation": moves[0].rotation[0, j].tolist(),
            **({"children": children[j]} if children[j] else {}),
        }
        for j in range(55)
    ]
    document: dict[str, Any] = {
        "scene": 0,
        "scenes": [{"nodes": [0, 55]}],
        "nodes": [*joints, {"name": "avatar", "mesh": 0, "skin": 0}],
        "meshes": [{"name": "splats" if mesh is None else "body", "primitives": [primitive]}],
        "skins": [{"joints": list(range(55)), "skeleton": 0, "inverseBindMatrices": glb.accessor(bind, "<f4")}],
        "animations": [_animation(glb, clip, move, moves[0].rotation[0]) for clip, move in zip(clips, moves)],
    }
    if mesh is None:
        document["extensionsUsed"] = [splats_glb.EXTENSION]
    else:
        document["materials"] = [{"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.8}}]
        primitive["material"] = 0
    glb.write(path, document | ({"asset": {"copyright": rights}} if rights else {}))


def skeleton(a: AvatarArrays, poses: Sequence[Pose], R_file_world: np.ndarray) -> Skeleton:
    """`x = Rh (skin about joint 0) + Th` as transforms of nodes: the root's become joint 0's own."""
    angles = np.stack([pose.pose for pose in poses]).astype(np.float64)
    Rh = R_file_world @ np.stack([pose.Rh for pose in poses]).astype(np.float64)
    Th = np.stack([pose.Th for pose in poses]).astype(np.float64) @ R_file_world.T
    rest = a.joint_rest.astype(np.float64)
    rotation = Rotation.from_rotvec(angles.reshape(-1, 3)).as_quat().reshape(len(poses), 55, 4)
    rotation[:, 0] = (Rotation.from_matrix(Rh) * Rotation.from_rotvec(angles[:, 0])).as_quat()
    for t in range(1, len(rotation)):
        rotation[t] *= np.where((rotation[t] * rotation[t - 1]).sum(-1, keepdims=True) < 0, -1, 1)
    offset = rest - np.where(a.joint_parent[:, None] < 0, 0, rest[a.joint_parent])
    return Skeleton(Rh @ rest[0] + Th, offset, rotation)


def canonical_splats(a: AvatarArrays) -> Splats:
    """The Gaussians as they are before any pose, correctives left out."""
    rotation = a.rotation / np.linalg.norm(a.rotation, axis=1, keepdims=True)
    scale = np.maximum(np.exp(a.log_scale), MIN_SCALE)
    return Splats(a.position, rotation, scale, np.maximum(a.color + 0.5, 0), np.clip(a.opacity, 0, 1))


def _triangles(glb: GlbBuilder, mesh: BodyMesh) -> dict[str, Any]:
    attributes = {
        "POSITION": glb.accessor(mesh.vertices, "<f4", ARRAY_BUFFER, bounds=True),
        "NORMAL": glb.accessor(mesh.normals, "<f4", ARRAY_BUFFER),
    }
    indices = glb.accessor(mesh.faces.ravel(), "<u4", ELEMENT_ARRAY_BUFFER)
    return {"attributes": attributes, "indices": indices, "mode": TRIANGLES}


def _skin_attributes(glb: GlbBuilder, index: np.ndarray, weight: np.ndarray) -> dict[str, int]:
    """glTF wants joint 0 where the weight is 0, and sums of exactly 1."""
    weight = (weight / weight.sum(1, keepdims=True)).astype(np.float32)
    return {
        "JOINTS_0": glb.accessor(np.where(weight > 0, index, 0), "|u1", ARRAY_BUFFER),
        "WEIGHTS_0": glb.accessor(weight, "<f4", ARRAY_BUFFER),
    }


def _animation(glb: GlbBuilder, clip: Clip, move: Skeleton, still: np.ndarray) -> dict[str, Any]:
    """`still`: [55, 4] where the nodes stand by themselves."""
    times = glb.accessor(np.arange(len(clip.poses)) / clip.fps, "<f4", bounds=True)
    tracks = [(0, "translation", move.translation)]
    tracks += [
        (j, "rotation", move.rotation[:, j]) for j in range(55) if np.abs(move.rotation[:, j] - still[j]).max() > STILL
    ]
    samplers = [{"input": times, "output": glb.accessor(values, "<f4")} for _, _, values in tracks]
    channels = [{"sampler": i, "target": {"node": node, "path": kind}} for i, (node, kind, _) in enumerate(tracks)]
    return {"name": clip.name, "samplers": samplers, "channels": channels}
