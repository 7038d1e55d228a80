"""The skinned glTF, posed by a few lines of numpy from what pygltflib reads: the same joints and points as ours."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.transform import Rotation

from nerfstudio_mobavatar.body_model import load_body
from nerfstudio_mobavatar.motion.joint_names import NAMES
from nerfstudio_mobavatar.skinning import strongest_joints
from nerfstudio_mobavatar.web_export.bundle import AvatarArrays
from nerfstudio_mobavatar.web_export.evaluate import Pose, joint_transforms
from nerfstudio_mobavatar.web_export.exchange import skinned_glb, splats
from nerfstudio_mobavatar.web_export.exchange.body_mesh import BodyMesh, open_body_mesh
from nerfstudio_mobavatar.web_export.exchange.errors import ExchangeError
from nerfstudio_mobavatar.web_export.exchange.skinned_glb import Clip
from nerfstudio_mobavatar.web_export.from_avatar import avatar_arrays
from tests.exchange_readers import accessor, load_glb, needs_tools, problems, validate
from tests.rig import tiny_avatar
from tests.synthetic_avatar import SyntheticAvatar, walking_pose

FPS = 25.0
R_FILE_WORLD = splats.upright(np.array([0.0, 0.0, 1.0]), "y-up")
METRES = 1e-4


def turning(count: int) -> list[Pose]:
    """Walks while turning around more than once, so that quaternions change their half sphere."""
    poses = []
    for t in np.linspace(0, 1, count):
        pose = walking_pose(6 * t)
        angles = pose.pose.copy()
        angles[0] = [0.1, 0.2 * t, 0]  # a root rotation in the pose, as other tools' files may have
        Rh = Rotation.from_euler("y", 500 * t, degrees=True).as_matrix().astype(np.float32)
        poses.append(Pose(angles, Rh, pose.Th + np.float32(t), pose.expression))
    return poses


@pytest.fixture(scope="module")
def avatar() -> AvatarArrays:
    return SyntheticAvatar(num_gaussians=500, num_parts=8, num_nodes=40, num_kept=50).build()


@pytest.fixture(scope="module")
def person() -> tuple[AvatarArrays, np.ndarray]:
    """An avatar of the open body in a shape of its own, and its coefficients."""
    betas = np.random.default_rng(2).normal(0, 1, 10)
    body = load_body("open")
    joints = body.rest(torch.from_numpy(betas).float())[1].numpy()
    return replace(avatar_arrays(tiny_avatar(), {"body": "open"}), joint_rest=joints), betas


class Model:
    """A skinned glTF: nodes, skin, animations, evaluated as the glTF 2.0 specification says."""

    def __init__(self, path: Path) -> None:
        self.gltf = load_glb(path)
        skin = self.gltf.skins[0]
        self.joints, self.inverse_bind = skin.joints, accessor(self.gltf, skin.inverseBindMatrices)
        self.attributes = {
            key: accessor(self.gltf, i)
            for key, i in vars(self.gltf.meshes[0].primitives[0].attributes).items()
            if i is not None
        }

    def local(self, clip: str, time: float) -> list[np.ndarray]:
        """4x4 of every node. Quaternions are mixed as they are, as engines do: neighbours have to be on one side."""
        animation = next(a for a in self.gltf.animations if a.name == clip)
        moving: dict[tuple[int, str], np.ndarray] = {}
        for channel in animation.channels:
            sampler = animation.samplers[channel.sampler]
            assert (sampler.interpolation or "LINEAR") == "LINEAR"
            times, values = accessor(self.gltf, sampler.input), accessor(self.gltf, sampler.output)
            i = min(int(np.searchsorted(times, time, "right")) - 1, len(times) - 2)
            share = (time - times[i]) / (times[i + 1] - times[i])
            moving[channel.target.node, channel.target.path] = values[i] * (1 - share) + values[i + 1] * share
        out = []
        for n, node in enumerate(self.gltf.nodes):
            T = np.eye(4)
            T[:3, :3] = Rotation.from_quat(moving.get((n, "rotation"), node.rotation or [0, 0, 0, 1])).as_matrix()
            T[:3, 3] = moving.get((n, "translation"), node.translation or [0, 0, 0])
            out.append(T)
        return out

    def joint_matrices(self, clip: str, time: float) -> np.ndarray:
        """[joints, 4, 4] global transform x inverse bind matrix."""
        local, world = self.local(clip, time), {}
        parent = {child: n for n, node in enumerate(self.gltf.nodes) for child in node.children or []}

        def transform(n: int) -> np.ndarray:
            if n not in world:
                world[n] = transform(parent[n]) @ local[n] if n in parent else local[n]
            return world[n]

        return np.stack([transform(n) for n in self.joints]) @ self.inverse_bind

    def points(self, clip: str, time: float) -> np.ndarray:
        """[N, 3] skinned positions."""
        matrices = self.joint_matrices(clip, time)
        blend = np.einsum("nk,nkab->nab", self.attributes["WEIGHTS_0"], matrices[self.attributes["JOINTS_0"]])
        position = self.attributes["POSITION"]
        return np.einsum("nab,nb->na", blend[:, :3, :3], position) + blend[:, :3, 3]


def our_points(a: AvatarArrays, pose: Pose) -> np.ndarray:
    """[N, 3] skinned Gaussians without correctives, in the file's axes."""
    blend = np.einsum("nk,nkab->nab", a.skin_weight, joint_transforms(a, pose)[a.skin_index])
    return (np.einsum("nab,nb->na", blend[:, :, :3], a.position) + blend[:, :, 3]) @ R_FILE_WORLD.T


@pytest.fixture(scope="module")
def written(avatar: AvatarArrays, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("skinned") / "a.glb"
    clips = [Clip("turn", turning(9), FPS), Clip("stand", [walking_pose(0.3)] * 2, FPS)]
    skinned_glb.write(path, avatar, clips, R_FILE_WORLD, None, "for tests")
    return path


def test_every_frame_has_our_joints_and_points(written: Path, avatar: AvatarArrays) -> None:
    model = Model(written)
    assert [model.gltf.nodes[n].name for n in model.joints] == list(NAMES)
    bone = np.array([[0, 0, 0, 1.0]])
    for clip, poses in (("turn", turning(9)), ("stand", [walking_pose(0.3)] * 2)):
        for i, pose in enumerate(poses):
            ours = np.concatenate([joint_transforms(avatar, pose), np.tile(bone, (55, 1, 1))], 1)
            theirs = R_FILE_WORLD.T @ model.joint_matrices(clip, i / FPS)[:, :3]
            np.testing.assert_allclose(theirs, ours[:, :3], rtol=0, atol=METRES)
            np.testing.assert_allclose(model.points(clip, i / FPS), our_points(avatar, pose), rtol=0, atol=METRES)


def test_between_frames_joints_take_the_short_way(written: Path) -> None:
    """500 degrees in 8 steps: halfway the turn is 31 degrees on, not 149 degrees back. One step goes through 180."""
    model = Model(written)
    R = [model.joint_matrices("turn", t / 2 / FPS)[0, :3, :3] for t in range(17)]
    angles = [np.rad2deg(Rotation.from_matrix(after @ before.T).magnitude()) for before, after in zip(R, R[1:])]
    np.testing.assert_allclose(angles, 31.2, atol=1.5)


def test_a_joint_that_stands_has_no_channel_but_stands_where_its_motion_wants_it(written: Path) -> None:
    """The nodes stand in the first frame of the first clip; the second clip has to move them to where it stands."""
    animations = {a.name: {(c.target.node, c.target.path) for c in a.channels} for a in Model(written).gltf.animations}
    fingers = {(j, "rotation") for j in range(25, 55)}
    assert not animations["turn"] & fingers and not animations["stand"] & fingers
    assert (4, "rotation") in animations["turn"] & animations["stand"]  # a knee


@needs_tools
def test_khronos_validator_finds_nothing(written: Path, person, tmp_path: Path) -> None:
    assert not problems(validate(written))
    a, _ = person
    skinned_glb.write(
        tmp_path / "m.glb", a, [Clip("turn", turning(3), FPS)], np.eye(3), open_body_mesh(a, tmp_path), ""
    )
    report = validate(tmp_path / "m.glb")
    assert not problems(report)
    assert report["info"]["animationCount"] == 1 and report["info"]["maxInfluences"] == 4


def test_the_open_bodys_mesh_moves_as_the_body_does(person: tuple[AvatarArrays, np.ndarray], tmp_path: Path) -> None:
    """Twin: the body model with this shape, its four strongest weights, and without pose directions (glTF has no
    place for them)."""
    a, betas = person
    mesh = open_body_mesh(a, tmp_path)
    poses = turning(3)
    skinned_glb.write(tmp_path / "m.glb", a, [Clip("turn", poses, FPS)], np.eye(3), mesh, "")
    body = load_body("open")
    index, weight = strongest_joints(body.skin_weights.numpy())
    four = np.zeros_like(body.skin_weights.numpy())
    np.put_along_axis(four, index, weight, 1)
    plain = replace(body, skin_weights=torch.from_numpy(four), pose_dirs=torch.zeros_like(body.pose_dirs))
    model = Model(tmp_path / "m.glb")
    assert len(model.attributes["POSITION"]) == body.num_vertices
    for i, pose in enumerate(poses):
        turned = (Rotation.from_matrix(pose.Rh) * Rotation.from_rotvec(pose.pose[0])).as_rotvec()
        angles = torch.from_numpy(np.concatenate([turned[None], pose.pose[1:]])).float()
        transl = torch.from_numpy(pose.Rh @ a.joint_rest[0] + pose.Th - a.joint_rest[0]).float()
        shape = torch.from_numpy(betas).float()
        expected = plain.vertices(angles[None], transl[None], shape, torch.zeros(1, body.num_expressions))[0].numpy()
        np.testing.assert_allclose(model.points("turn", i / FPS), expected, rtol=0, atol=METRES)
    loaded: Any = trimesh.load(tmp_path / "m.glb", force="mesh", process=False)
    assert len(loaded.faces) == len(body.faces) and loaded.is_winding_consistent
    assert 0.03 < loaded.volume < 0.15  # cubic metres of a person; negative if triangles faced inwards
    fresh = trimesh.Trimesh(loaded.vertices, loaded.faces, process=False).vertex_normals
    assert ((fresh * model.attributes["NORMAL"]).sum(1) > 0.9).mean() > 0.99  # weighted by angle there, by area here


def test_only_the_open_body_leaves_and_only_where_its_joints_are_this_persons(person) -> None:
    a, _ = person
    source = Path("page")
    assert isinstance(open_body_mesh(a, source), BodyMesh)
    with pytest.raises(ExchangeError, match=r"page: --mesh writes the open body only, this avatar's body is 'SMPLX"):
        open_body_mesh(replace(a, meta={"body": "SMPLX_NEUTRAL.npz"}), source)
    with pytest.raises(ExchangeError, match="body is 'unknown'"):
        open_body_mesh(replace(a, meta={}), source)
    moved = a.joint_rest.copy()
    moved[20] += [0, 0.05, 0]
    with pytest.raises(ExchangeError, match=r"the joints miss it by \d+\.\d mm"):
        open_body_mesh(replace(a, joint_rest=moved), source)
