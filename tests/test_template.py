"""Templates of one's own: what is refused and how, skin weights that do not tear, poses, and the checkpoint."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from nerfstudio.utils.eval_utils import eval_setup
from scipy.spatial import KDTree

from nerfstudio_mobavatar.body_model import Body, load_body
from nerfstudio_mobavatar.model import MobavatarModelConfig
from nerfstudio_mobavatar.own_template import OwnTemplate, read_template_mesh
from nerfstudio_mobavatar.skin_transfer import LEAST_CONFIDENCE, match_body, outward_normals, transfer_weights
from nerfstudio_mobavatar.skinning import strongest_joints
from nerfstudio_mobavatar.template import Template, big_pose, few_joints, make_template
from nerfstudio_mobavatar.template_mesh import TemplateError, TemplateMesh, read_triangles, weld
from nerfstudio_mobavatar.trainer import MobavatarTrainer, MobavatarTrainerConfig
from tests.clothes import between_the_legs, skirt_mesh, skirt_template, stretch, walking
from tests.rig import open_template
from tests.training_runs import model_of, run, tiny_config

REST = torch.zeros(55, 3)


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


@pytest.fixture(scope="module")
def skirt() -> Template:
    return skirt_template()


def as_mesh(vertices: np.ndarray, faces: np.ndarray, pose: torch.Tensor | None = None) -> TemplateMesh:
    return TemplateMesh("own.ply", vertices, faces, big_pose() if pose is None else pose, torch.zeros(3))


def edges_of(faces: np.ndarray) -> np.ndarray:
    return np.unique(np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1), axis=0)


# weights


def test_weights_of_the_body_itself_come_back(body: Body) -> None:
    """Up to the smoothing length, which is far below a limb."""
    plain = open_template()[0]
    found = transfer_weights(plain.vertices, plain.faces, plain.vertices, plain.faces, plain.skin_weights)
    error = np.abs(found - plain.skin_weights).sum(1)
    assert np.median(error) < 0.03 and np.percentile(error, 95) < 0.3, np.percentile(error, [50, 95, 100])


def test_weights_are_shares_and_smooth(skirt: Template) -> None:
    w = skirt.skin_weights
    assert w.min() >= 0
    np.testing.assert_allclose(w.sum(1), 1, atol=1e-6)
    assert ((w > 0).sum(1) <= 4).all()
    edges = edges_of(skirt.faces)
    edges = edges[between_the_legs(skirt)[edges].all(1)]
    length = np.linalg.norm(np.subtract(*skirt.vertices[edges.T]), axis=1)
    jump = np.abs(np.subtract(*w[edges.T])).sum(1)
    assert (jump[length > 1e-3] / length[length > 1e-3]).max() < 60, "weights change by more than 0.6 in a centimetre"


def test_a_skirt_does_not_tear_between_the_legs(skirt: Template) -> None:
    """With the weights of the nearest body vertex it does, which shows that the measure sees it."""
    plain, chosen = open_template()[0], between_the_legs(skirt)
    torn = plain.skin_weights[KDTree(plain.vertices).query(skirt.vertices)[1]]
    poses = walking(6)
    nearest, diffused = (stretch(skirt, chosen, w, poses) for w in (torn, skirt.skin_weights))
    assert np.percentile(nearest, 99) > 1.9 and nearest.max() > 3
    assert np.percentile(diffused, 99) < 1.45 and diffused.max() < 1.9


def test_four_joints_fade_before_they_are_dropped() -> None:
    t = np.linspace(0, 1, 201)[:, None]
    w = np.concatenate([0.3 + 0 * t, 0.2 + 0 * t, 0.2 + 0 * t, 0.3 * t, 0.3 * (1 - t)], 1)
    few = few_joints(w)
    assert ((few > 0).sum(1) <= 4).all() and np.abs(np.diff(few, axis=0)).max() < 0.02
    index, top = strongest_joints(w)
    cut = np.zeros_like(w)
    np.put_along_axis(cut, index, top, 1)
    assert np.abs(np.diff(cut, axis=0)).max() > 0.1


def test_arms_do_not_bleed_into_the_trunk(body: Body) -> None:
    """A loose coat: 3 cm off the body everywhere; below the armpit the trunk's side follows the trunk."""
    plain = open_template()[0]
    coat = trimesh.Trimesh(plain.vertices, plain.faces, process=False)
    vertices = np.asarray(plain.vertices + 0.03 * coat.vertex_normals, np.float32)
    template = make_template(body, torch.zeros(10), as_mesh(vertices, plain.faces))
    arms = [16, 17, 18, 19, 20, 21, *range(25, 55)]
    trunk = plain.skin_weights[:, arms].sum(1) < 0.01
    far_from_arms = KDTree(plain.vertices[~trunk]).query(plain.vertices)[0] > 0.04
    bled = template.skin_weights[trunk & far_from_arms][:, arms].sum(1)
    assert bled.max() < 0.1, bled.max()


def test_any_topology(body: Body) -> None:
    """Flipped triangles, a doubled outer layer that is close to nothing, an edge with three triangles."""
    vertices, faces = skirt_mesh()
    used, faces = np.unique(faces[(np.abs(vertices[faces][:, :, 1] + 0.5) < 0.2).all(1)], return_inverse=True)
    vertices, faces = vertices[used], faces.reshape(-1, 3)  # thighs and skirt
    rng = np.random.default_rng(0)
    mixed = np.where(rng.random(len(faces))[:, None] < 0.3, faces[:, ::-1], faces)
    plain = open_template()[0]
    arguments = (plain.vertices, plain.faces, plain.skin_weights)
    expected, found = transfer_weights(vertices, faces, *arguments), transfer_weights(vertices, mixed, *arguments)
    assert np.abs(expected - found).sum(1).mean() < 0.02
    normals = outward_normals(vertices, faces, *arguments[:2])
    layered = np.concatenate([vertices, vertices + 0.006 * normals]).astype(np.float32)
    fin = [[faces[0, 0], faces[0, 1], len(vertices)]]
    both = transfer_weights(layered, np.concatenate([faces, faces + len(vertices), fin]), *arguments)
    assert both.min() >= 0 and np.allclose(both.sum(1), 1)
    inner, outer = np.split(both, 2)
    assert np.percentile(np.abs(inner - outer).sum(1), 95) < 0.3, "two layers of cloth drift apart"


def test_confidence_needs_distance_and_direction() -> None:
    plain = open_template()[0]
    normals = outward_normals(plain.vertices, plain.faces, plain.vertices, plain.faces)

    def confidence(points: np.ndarray, n: np.ndarray) -> np.ndarray:
        return match_body(points, n, plain.vertices, plain.faces, plain.skin_weights).confidence()

    assert np.median(confidence(plain.vertices, normals)) > 0.95
    assert confidence(plain.vertices, -normals).mean() < 0.02
    assert np.median(confidence(plain.vertices + 0.15 * normals, normals)) == LEAST_CONFIDENCE


# files


def test_files_and_formats(tmp_path: Path) -> None:
    plain = open_template()[0]
    mesh = trimesh.Trimesh(plain.vertices, plain.faces, process=False)
    sizes = set()
    for suffix in (".obj", ".ply", ".glb", ".stl", ".off"):
        mesh.export(tmp_path / f"m{suffix}")
        vertices, faces = read_triangles(tmp_path / f"m{suffix}")
        sizes.add((len(vertices), len(faces)))
        np.testing.assert_allclose(vertices.min(0), plain.vertices.min(0), atol=1e-5)
    assert len(sizes) == 1, "seams were not welded"


def test_a_texture_seam_is_no_crack() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [9, 9, 9]], float)
    welded, faces = weld(vertices, np.array([[0, 1, 2], [3, 4, 5], [0, 0, 1]]))
    assert len(welded) == 4 and len(faces) == 2 and len(np.unique(faces)) == 4


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda v: v * 100, "look like centimetres: scale it by 0.01"),
        (lambda v: v * 1000, "look like millimetres: scale it by 0.001"),
        (lambda v: v / 0.0254, "look like inches: scale it by 0.0254"),
        (lambda v: v * 7e4, "which is no unit that is known here"),
        (lambda v: np.stack([v[:, 0], -v[:, 2], v[:, 1]], 1), r"the body's y is the file's z; write \(x z -y\)"),
        (lambda v: 100 * np.stack([v[:, 0], -v[:, 2], v[:, 1]], 1), "centimetres.*; its axes look turned"),
        (lambda v: v + np.array([0, 1.24, 0]), r"it stands elsewhere: move it by \(-?0.0\d, -1.2\d, -?0.0\d\) m"),
        (lambda v: np.where(v[:, 1:2] > -0.2, v, v * [1, 0.02, 1]), "Is it this person|No unit"),
    ],
)
def test_a_mesh_that_does_not_fit_is_explained(body: Body, change, says: str) -> None:
    vertices, faces = skirt_mesh()
    with pytest.raises(TemplateError, match=says):
        make_template(body, torch.zeros(10), as_mesh(change(vertices).astype(np.float32), faces))


def test_a_mesh_in_another_pose_than_said_is_refused(body: Body) -> None:
    with pytest.raises(TemplateError, match=r"fits the pose 'rest' better.*--pipeline.model.template-pose rest"):
        make_template(body, torch.zeros(10), as_mesh(*skirt_mesh(REST)))
    with pytest.raises(TemplateError, match="fits the pose 'canonical' better"):
        make_template(body, torch.zeros(10), as_mesh(*skirt_mesh(), REST))


def test_clothing_alone_is_not_the_person(body: Body) -> None:
    vertices, faces = skirt_mesh()
    part = faces[(vertices[faces][:, :, 1] < -0.2).all(1)]
    used, part = np.unique(part, return_inverse=True)
    with pytest.raises(TemplateError, match=r"covers .*% of it.*a part of the clothing alone"):
        make_template(body, torch.zeros(10), as_mesh(vertices[used], part.reshape(-1, 3)))


def test_broken_files_are_named(tmp_path: Path) -> None:
    plain = open_template()[0]
    with pytest.raises(TemplateError, match=r"absent.obj: no such template mesh; expected a file ending in .obj"):
        read_triangles(tmp_path / "absent.obj")
    (tmp_path / "m.fbx").write_bytes(b"x")
    with pytest.raises(TemplateError, match=r"found '\.fbx'"):
        read_triangles(tmp_path / "m.fbx")
    (tmp_path / "m.ply").write_bytes(b"not a mesh at all")
    with pytest.raises(TemplateError, match="cannot be read as a mesh"):
        read_triangles(tmp_path / "m.ply")
    trimesh.PointCloud(plain.vertices).export(tmp_path / "scan.ply")
    with pytest.raises(TemplateError, match="points without triangles"):
        read_triangles(tmp_path / "scan.ply")
    trimesh.creation.box().export(tmp_path / "box.stl")
    with pytest.raises(TemplateError, match=r"8 vertices; expected 200 to 500,000: give the whole person"):
        read_triangles(tmp_path / "box.stl")
    bad = plain.vertices.copy()
    bad[7] = np.nan
    trimesh.Trimesh(bad, plain.faces, process=False).export(tmp_path / "nan.ply")
    with pytest.raises(TemplateError, match="1 of 13524 vertices are not finite"):
        read_triangles(tmp_path / "nan.ply")


# poses


def test_a_mesh_in_a_frames_pose_is_unposed(body: Body) -> None:
    """The body's own mesh in a walking pose comes back to the canonical body, up to its pose-dependent bulges."""
    pose, transl = walking()[3], torch.tensor([0.5, 0.9, -2.0])
    posed = body.vertices(pose[None], transl[None], torch.zeros(10), torch.zeros(1, 10))[0].numpy()
    mesh = TemplateMesh("frame.ply", posed, body.faces.numpy(), pose, transl)
    error = np.linalg.norm(make_template(body, torch.zeros(10), mesh).vertices - open_template()[0].vertices, axis=1)
    assert np.median(error) < 0.004 and np.percentile(error, 95) < 0.03, np.percentile(error, [50, 95, 100])


def test_the_rest_pose_and_the_canonical_pose_make_the_same_template(body: Body, skirt: Template) -> None:
    other = make_template(body, torch.zeros(10), as_mesh(*skirt_mesh(REST), REST))
    assert len(other.vertices) == len(skirt.vertices)
    distance = KDTree(skirt.vertices).query(other.vertices)[0]
    assert np.median(distance) < 0.01, np.median(distance)


# training


def settings_of(config: MobavatarTrainerConfig) -> MobavatarModelConfig:
    assert isinstance(config.pipeline.model, MobavatarModelConfig)
    return config.pipeline.model


@pytest.fixture(scope="module")
def trained(mini_capture: Path, tmp_path_factory: pytest.TempPathFactory) -> MobavatarTrainer:
    folder = tmp_path_factory.mktemp("own")
    betas = torch.from_numpy(np.load(mini_capture / "smpl_params.npz")["betas"][0])
    own = make_template(load_body(), betas)
    mesh = trimesh.Trimesh(own.vertices, own.faces, process=False)
    mesh.vertices += 0.01 * mesh.vertex_normals
    mesh.export(folder / "own.ply")
    config = tiny_config(mini_capture, folder / "out")
    settings_of(config).template_mesh = folder / "own.ply"
    trainer = run(config)
    (folder / "own.ply").unlink()
    return trainer


def test_training_on_a_template_keeps_it_in_the_checkpoint(trained: MobavatarTrainer) -> None:
    model = model_of(trained)
    assert model.avatar.is_pruned and len(model.template) == 13524
    state = torch.load(sorted(trained.checkpoint_dir.glob("*.ckpt"))[-1], weights_only=True)["pipeline"]
    assert torch.equal(state["_model.template.vertices"], model.template.get_buffer("vertices"))
    on_template = KDTree(model.template.get_buffer("vertices").numpy())
    points = model.avatar.get_buffer("base_position").numpy()
    assert on_template.query(points)[0].max() < 0.03
    body_distance = KDTree(open_template()[0].vertices).query(points)[0]
    assert np.median(body_distance) > 0.006


def test_a_run_resumes_without_the_file(trained: MobavatarTrainer, tmp_path: Path) -> None:
    named = settings_of(trained.config).template_mesh
    assert named is not None and not named.exists()
    config = copy.deepcopy(trained.config)
    config.output_dir, config.load_dir, config.load_step = tmp_path, trained.checkpoint_dir, 3
    settings_of(config).template_mesh = None  # named and absent: what eval_setup loads, below
    expected, found = model_of(trained).state_dict(), model_of(run(config)).state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_tools_load_it_without_the_file(trained: MobavatarTrainer) -> None:
    _, pipeline, _, _ = eval_setup(trained.base_dir / "config.yml", test_mode="test")
    template = pipeline.model.template
    assert isinstance(template, OwnTemplate) and len(template) == 13524


def test_without_file_and_checkpoint_training_does_not_start(mini_capture: Path, tmp_path: Path) -> None:
    config = tiny_config(mini_capture, tmp_path)
    settings_of(config).template_mesh = tmp_path / "absent.ply"
    with pytest.raises(TemplateError, match=r"absent.ply: no such template mesh, and no checkpoint"):
        run(config)


def test_a_frame_that_the_capture_does_not_have_is_named(trained: MobavatarTrainer, tmp_path: Path) -> None:
    model, mesh = model_of(trained), trimesh.Trimesh(*skirt_mesh(), process=False)
    mesh.export(tmp_path / "m.ply")
    fit = model.get_buffer("fit_pose"), model.get_buffer("fit_transl")
    with pytest.raises(TemplateError, match=r"template-pose 77: expected canonical, rest, or .*frames \(0..5\)"):
        read_template_mesh(tmp_path / "m.ply", 77, model.capture, *fit)
    assert torch.equal(read_template_mesh(tmp_path / "m.ply", 2, model.capture, *fit).pose, fit[0][2])


def test_checkpoints_from_before_templates_load(trained: MobavatarTrainer) -> None:
    model = model_of(trained)
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("template.")}
    model.load_state_dict(state)
    assert len(model.template) == 0
