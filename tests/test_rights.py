"""What leaves: an avatar holds what its person's picture needs and nothing else of the body; licences travel."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree

from nerfstudio_mobavatar.body_model import load_body
from nerfstudio_mobavatar.web_export import bundle
from nerfstudio_mobavatar.web_export.bundle import AvatarArrays
from nerfstudio_mobavatar.web_export.exchange import runtime_npz, skinned_glb
from nerfstudio_mobavatar.web_export.exchange.skinned_glb import Clip
from nerfstudio_mobavatar.web_export.exchange.source import rest_pose
from nerfstudio_mobavatar.web_export.from_avatar import avatar_arrays
from nerfstudio_mobavatar.web_export.rights import MAX_CHARACTERS, LicenseError, read_license
from tests.exchange_readers import accessor, load_glb
from tests.rig import open_template, tiny_avatar

FIELDS = {
    "position", "rotation", "log_scale", "color", "opacity", "part", "node_index", "node_weight", "skin_index",
    "skin_weight", "rotation_index", "scale_index", "color_index", "rotation_basis", "scale_basis", "color_basis",
    "node_part", "node_basis", "mlp_weights", "mlp_biases", "num_head_parts", "num_pose_inputs", "joint_rest",
    "inverse_bind", "joint_parent", "input_range", "trained_regions", "levels", "pixels_per_metre", "meta",
}  # fmt: skip
"""Whoever adds a field says here that it is no part of a body model: of the body an avatar holds the person's 55 joints
(`joint_rest`, `inverse_bind`), the joints' tree, and four skin weights per Gaussian. `trained_regions` are
statistics of the capture's poses."""


@pytest.fixture(scope="module")
def avatar() -> AvatarArrays:
    """Untrained: every Gaussian lies on the body's surface, the worst case."""
    avatar = tiny_avatar()
    with torch.no_grad():
        avatar.node_offset.zero_()
        avatar.free_offset.zero_()
    return avatar_arrays(avatar, {"body": "SMPLX_NEUTRAL.npz", "body_license": "licensed"})


def arrays_in(folder: Path, a: AvatarArrays) -> dict[str, np.ndarray]:
    """Every array of every file that an avatar of a licensed body can be written to, by file and name."""
    found: dict[str, np.ndarray] = {}
    for name, value in vars(bundle.decode(bundle.encode(a))).items():
        for i, array in enumerate(value if isinstance(value, tuple) else (value,)):
            if isinstance(array, np.ndarray):
                found[f".mobavatar {name} {i}"] = array
    runtime_npz.write(folder / "a.npz", a)
    with np.load(folder / "a.npz") as archive:
        found |= {f".npz {name}": archive[name] for name in archive.files}
    skinned_glb.write(folder / "a.glb", a, [Clip("rest", [rest_pose()] * 2, 30.0)], np.eye(3), None, "")
    gltf = load_glb(folder / "a.glb")
    return found | {f".glb accessor {i}": accessor(gltf, i) for i in range(len(gltf.accessors))}


def test_the_fields_of_an_avatar_are_those_that_were_looked_at() -> None:
    assert set(AvatarArrays.__dataclass_fields__) == FIELDS


def test_no_file_holds_vertices_faces_or_directions_of_the_body(avatar: AvatarArrays, tmp_path: Path) -> None:
    body, template = load_body("open"), open_template()[0]
    vertices = [body.v_template.numpy(), template.vertices]
    trees = [KDTree(v) for v in vertices]
    rows = {
        "shape directions": body.shape_dirs.numpy().reshape(-1),
        "expression directions": body.expression_dirs.numpy().reshape(-1),
        "pose directions": body.pose_dirs.numpy()[:4].reshape(-1),
        "joint regressor": body.J_regressor.numpy().reshape(-1),
    }
    for name, array in arrays_in(tmp_path, avatar).items():
        sizes = {body.num_vertices, 3 * body.num_vertices, len(body.faces), 3 * len(body.faces)}
        assert not sizes & set(array.shape), f"{name} has as many rows as the body has vertices or faces"
        assert array.size < body.num_vertices * 3, f"{name} is large enough for a template"
        if array.ndim == 2 and array.shape[1] == 3 and array.dtype.kind == "f" and len(array) > 55:
            for tree in trees:
                near = tree.query(array)[0] < 2e-5  # finer than 16 bits over 2 m: only a copied vertex is that close
                assert near.mean() < 0.02, f"{name}: {near.sum()} of {len(array)} points are vertices of the body"
    content = bundle.encode(avatar)
    for name, numbers in rows.items():
        used = numbers[np.abs(numbers) > 1e-6][:64].astype(np.float32)
        assert used.tobytes() not in content and used.astype(np.float16).tobytes() not in content, name


def test_the_inspection_would_see_a_template(avatar: AvatarArrays, tmp_path: Path) -> None:
    """The test above, broken on purpose: Gaussians put on vertices are found."""
    template = open_template()[0]
    on_vertices = replace(avatar, position=template.vertices[: len(avatar.position)])
    with pytest.raises(AssertionError, match="are vertices of the body"):
        test_no_file_holds_vertices_faces_or_directions_of_the_body(on_vertices, tmp_path)


def test_a_licence_is_text_or_a_file(tmp_path: Path) -> None:
    assert read_license("CC BY 4.0, Ada Lovelace") == "CC BY 4.0, Ada Lovelace" and read_license("") == ""
    assert read_license("https://example.org/licence.txt") == "https://example.org/licence.txt"
    (tmp_path / "terms.txt").write_text("Only for the play.\nNot for adverts: ©\n", encoding="utf-8")
    assert read_license(str(tmp_path / "terms.txt")) == "Only for the play.\nNot for adverts: ©"


def test_licences_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LicenseError, match="no such file"):
        read_license(str(tmp_path / "absent.txt"))
    with pytest.raises(LicenseError, match="no such file"):
        read_license("LICENCE.md")
    (tmp_path / "picture.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(LicenseError, match="not a text file"):
        read_license(str(tmp_path / "picture.txt"))
    with pytest.raises(LicenseError, match="more than 20,000"):
        read_license("long " * (MAX_CHARACTERS // 4))


def test_a_licence_survives_the_formats_that_can_carry_it(avatar: AvatarArrays, tmp_path: Path) -> None:
    own = replace(avatar, meta=avatar.meta | {"license": "Only for the play ©"})
    assert bundle.decode(bundle.encode(own)).meta["license"] == "Only for the play ©"
    runtime_npz.write(tmp_path / "a.npz", own)
    assert runtime_npz.read(tmp_path / "a.npz")[0].meta == json.loads(json.dumps(own.meta))
    skinned_glb.write(tmp_path / "a.glb", own, [Clip("rest", [rest_pose()] * 2, 30.0)], np.eye(3), None, "mine ©")
    text = (tmp_path / "a.glb").read_bytes()
    assert json.loads(text[20 : 20 + int.from_bytes(text[12:16], "little")])["asset"]["copyright"] == "mine ©"
