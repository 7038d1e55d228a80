"""Bodies: the open body against the smplx package, kinematics, and files that must not be trusted."""

import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from nerfstudio_mobavatar.body_file import MARKER_KEY, BodyFileError, read_body_file
from nerfstudio_mobavatar.body_model import (
    Body,
    expand_hands,
    forward_kinematics,
    load_body,
    relative_to_rest,
    root_from_rh_th,
)
from nerfstudio_mobavatar.transforms import axis_angle_to_rotmat

ASSETS = Path(__file__).parent.parent / "nerfstudio_mobavatar" / "assets"


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


@pytest.fixture(scope="module")
def toy_arrays() -> dict[str, np.ndarray]:
    """A body with 20 vertices in SMPL-X format, random numbers, 12 shape-and-expression columns."""
    rng = np.random.default_rng(0)
    v = 20
    weights = rng.random((v, 55)) ** 8
    regressor = rng.random((55, v))
    return {
        "v_template": rng.normal(size=(v, 3)),
        "f": rng.integers(0, v, (30, 3)).astype(np.uint32),
        "weights": weights / weights.sum(1, keepdims=True),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "shapedirs": rng.normal(size=(v, 3, 20)) * 0.1,
        "posedirs": rng.normal(size=(v, 3, 486)) * 0.01,
        "kintree_table": np.array([[2**32 - 1, *_PARENTS[1:]], range(55)], np.uint32),
        "hands_componentsl": np.linalg.qr(rng.normal(size=(45, 45)))[0],
        "hands_componentsr": np.linalg.qr(rng.normal(size=(45, 45)))[0],
        "hands_meanl": rng.normal(size=45) * 0.1,
        "hands_meanr": rng.normal(size=45) * 0.1,
        "lmk_faces_idx": np.zeros(51, np.int64),
        "lmk_bary_coords": np.full((51, 3), 1 / 3),
    }


_PARENTS = (
    *(-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15),
    *(p for wrist, at in ((20, 25), (21, 40)) for k in range(0, 15, 3) for p in (wrist, at + k, at + k + 1)),
)


def _random_parameters(seed: int, frames: int = 3, expressions: int = 10):
    g = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g)

    return 0.4 * rand(frames, 55, 3), rand(frames, 3), 2 * rand(10), 2 * rand(frames, expressions)


def _smplx_vertices(path: Path, pose, transl, betas, expression, **options) -> torch.Tensor:
    import smplx

    module = smplx.SMPLX(str(path), use_pca=False, flat_hand_mean=True, **options)
    if module.v_template.shape[0] < 10_000:  # smplx picks key points by vertex number, which toy bodies do not have  # pyright: ignore
        module.vertex_joint_selector.forward = lambda vertices, joints: joints
    flat, n = pose.flatten(1), len(pose)
    return module(
        betas=betas.expand(n, -1), expression=expression, transl=transl, global_orient=flat[:, :3],
        body_pose=flat[:, 3:66], jaw_pose=flat[:, 66:69], leye_pose=flat[:, 69:72], reye_pose=flat[:, 72:75],
        left_hand_pose=flat[:, 75:120], right_hand_pose=flat[:, 120:165],
    ).vertices.detach()  # fmt: skip


def test_open_body_agrees_with_smplx_on_the_same_file(body: Body):
    for seed in range(2):
        parameters = _random_parameters(seed)
        slow = _smplx_vertices(ASSETS / "open_body.npz", *parameters)
        # 1e-5 m: float32 sums over 55 joints and 506 directions of metre-sized numbers
        assert (body.vertices(*parameters) - slow).abs().max() < 1e-5


def test_the_open_body_is_read_once(body: Body):
    again = load_body(num_betas=body.num_betas)  # from the file
    assert load_body() is body and again is not body
    assert all(torch.equal(v, getattr(again, k)) for k, v in vars(body).items() if isinstance(v, torch.Tensor))


def test_users_file_goes_through_smplx_and_agrees_with_the_open_path(body: Body, tmp_path: Path):
    """Without the marker the same numbers are a user's file; both evaluators must agree."""
    with np.load(ASSETS / "open_body.npz") as z:
        arrays = {key: z[key] for key in z.files if key != MARKER_KEY}
    np.savez(tmp_path / "SMPLX_NEUTRAL.npz", **arrays)
    user = load_body(tmp_path)
    assert user.smplx_module is not None and user.name == "SMPLX_NEUTRAL.npz"
    parameters = _random_parameters(5, frames=2)
    assert (user.vertices(*parameters) - body.vertices(*parameters)).abs().max() < 1e-5  # as above
    fewer = (parameters[0], parameters[1], parameters[2][:4], parameters[3][:, :3])
    assert (user.vertices(*fewer) - body.vertices(*fewer)).abs().max() < 1e-5


def test_any_number_of_shape_and_expression_columns(toy_arrays, tmp_path: Path):
    rng = np.random.default_rng(1)
    wide = {**toy_arrays, "shapedirs": rng.normal(size=(20, 3, 400)) * 0.01}
    np.savez(tmp_path / "full.npz", **wide)
    full = load_body(tmp_path / "full.npz")
    assert (full.num_betas, full.num_expressions, full.num_vertices) == (300, 100, 20)
    pose, transl, _, _ = _random_parameters(2)
    betas, expression = torch.randn(300), torch.randn(3, 50)
    slow = _smplx_vertices(
        tmp_path / "full.npz", pose, transl, betas, expression, num_betas=300, num_expression_coeffs=50
    )
    assert (full.vertices(pose, transl, betas, expression) - slow).abs().max() < 1e-5  # float32
    cut = load_body(tmp_path / "full.npz", num_betas=16, num_expressions=50)
    assert (cut.num_betas, cut.num_expressions) == (16, 50)
    with pytest.raises(ValueError, match=r"betas: 300 numbers, but the body 'full\.npz' has 16"):
        cut.rest(betas)
    np.savez(tmp_path / "small.npz", **{**toy_arrays, "shapedirs": toy_arrays["shapedirs"][..., :16]})
    small = load_body(tmp_path / "small.npz")
    assert (small.num_betas, small.num_expressions) == (10, 6)  # smplx: expression from column 10
    with pytest.raises(BodyFileError, match=r"num_betas=11, but the file has 1\.\.10"):
        load_body(tmp_path / "small.npz", num_betas=11)


def test_rest_is_the_unposed_body(body: Body):
    betas = torch.randn(10, generator=torch.Generator().manual_seed(1))
    vertices, joints = body.rest(betas)
    zero = torch.zeros(1, 55, 3)
    posed = body.vertices(zero, torch.zeros(1, 3), betas, torch.zeros(1, 10))[0]
    assert torch.allclose(posed, vertices, atol=1e-6)  # float32 of metres
    assert torch.allclose(body.J_regressor @ vertices, joints)
    assert torch.allclose(body.skin_weights.sum(1), torch.ones(body.num_vertices), atol=1e-5)  # 55 float32 terms


def test_rotation_after_skinning_equals_root_pose_with_moved_translation(body: Body):
    """EasyMocap's Rh, Th: `transl = Th + Rh J0 - J0`; copying Th as it is would be centimetres off."""
    pose, Th, betas, expression = _random_parameters(3, frames=1)
    Rh = axis_angle_to_rotmat(pose[:, 0])
    zero_root = pose.clone()
    zero_root[:, 0] = 0
    expected = body.vertices(zero_root, torch.zeros(1, 3), betas, expression)[0] @ Rh[0].T + Th
    _, joints = body.rest(betas)
    transl = root_from_rh_th(Rh, Th, joints[0])
    # 1e-4 m: rest joints ignore the expression, skinning does not; the root moves by less than that
    assert (body.vertices(pose, transl, betas, expression)[0] - expected).abs().max() < 1e-4
    assert (body.vertices(pose, Th, betas, expression)[0] - expected).abs().max() > 0.02


def test_identity_pose_only_translates(body: Body):
    _, joints = body.rest(torch.zeros(10))
    transl = torch.tensor([[0.3, -1.0, 2.0]])
    T = forward_kinematics(torch.eye(3).expand(1, 55, 3, 3), joints, body.parents, transl)
    assert torch.equal(T[0, :, :3, :3], torch.eye(3).expand(55, 3, 3))
    assert torch.allclose(T[0, :, :3, 3], joints + transl, atol=1e-6)  # sums along the chain
    A = relative_to_rest(T, joints)
    assert torch.allclose(A[0, :, :3, 3], transl.expand(55, 3), atol=1e-6)  # as above


def test_kinematics_agree_with_a_naive_loop(body: Body):
    pose, transl, betas, _ = _random_parameters(4)
    _, joints = body.rest(betas)
    R = axis_angle_to_rotmat(pose)
    fast = forward_kinematics(R, joints, body.parents, transl)
    for frame in range(3):
        T: list[torch.Tensor] = []
        for j, parent in enumerate(body.parents):
            local = torch.eye(4)
            local[:3, :3] = R[frame, j]
            local[:3, 3] = joints[j] + transl[frame] if j == 0 else joints[j] - joints[parent]
            T.append(local if j == 0 else T[parent] @ local)
        assert torch.allclose(fast[frame], torch.stack(T), atol=1e-5)  # another order of float32 products


def test_kinematics_gradient():
    g = torch.Generator().manual_seed(0)
    pose = torch.randn(2, 4, 3, generator=g, dtype=torch.float64, requires_grad=True)
    joints = torch.randn(4, 3, generator=g, dtype=torch.float64, requires_grad=True)
    transl = torch.randn(2, 3, generator=g, dtype=torch.float64, requires_grad=True)

    def run(p, j, t):
        return relative_to_rest(forward_kinematics(axis_angle_to_rotmat(p), j, (-1, 0, 0, 1), t), j)

    assert torch.autograd.gradcheck(run, (pose, joints, transl))


def test_hands(toy_arrays, tmp_path: Path):
    np.savez(tmp_path / "toy.npz", **toy_arrays)
    toy = load_body(tmp_path / "toy.npz")
    left, right = torch.randn(2, 6), torch.randn(2, 6)
    hands = expand_hands(left, right, toy, flat_hand_mean=False, pca=True).reshape(2, 2, 45)
    expected = left @ torch.from_numpy(toy_arrays["hands_componentsl"][:6]).float() + toy.hand_mean[:15].flatten()
    assert torch.allclose(hands[:, 0], expected, atol=1e-6)  # float32
    flat = expand_hands(left, right, toy, flat_hand_mean=True, pca=True).reshape(2, 2, 45)
    assert torch.allclose(hands[:, 1] - flat[:, 1], toy.hand_mean[15:].flatten(), atol=1e-6)  # float32
    angles = torch.randn(2, 45)
    assert torch.equal(expand_hands(angles, angles, toy, flat_hand_mean=True, pca=False)[:, :15].flatten(1), angles)
    with pytest.raises(ValueError, match="6 numbers left and 6 right, expected 45 axis-angle"):
        expand_hands(left, right, toy, flat_hand_mean=True, pca=False)


def test_open_body_never_imports_smplx():
    code = (
        "import sys; sys.modules['smplx'] = None\n"  # any import of it now raises
        "import torch\n"
        "from nerfstudio_mobavatar.body_model import load_body\n"
        "b = load_body('open')\n"
        "v = b.vertices(torch.zeros(1, 55, 3), torch.zeros(1, 3), torch.zeros(10), torch.zeros(1, 10))\n"
        "print(b.name, b.license_note, v.shape[1])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("open ") and "CC0" in run.stdout and run.stdout.strip().endswith("13524")


class _Bomb:
    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_malicious_pickle_is_refused_without_running(tmp_path: Path, protocol: int):
    trace = tmp_path / "was-run"
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"v_template": _Bomb(trace)}, protocol=protocol))
    with pytest.raises(BodyFileError, match=r"evil\.pkl: found '.*', refused because"):
        load_body(tmp_path / "evil.pkl")
    assert not trace.exists()


@pytest.mark.parametrize(
    "text",
    [b"cos\nsystem\n(S'true'\ntR.", b"cbuiltins\neval\n(S'1'\ntR.", b"cnumpy\nload\n(S'x'\ntR.",
     b"c_codecs\nencode\n(S'a'\nS'rot13'\ntR.", b"cnumpy.core.multiarray\nfromfile\n(S'x'\ntR."],
)  # fmt: skip
def test_dangerous_names_are_refused(tmp_path: Path, text: bytes):
    (tmp_path / "evil.pkl").write_bytes(text)
    with pytest.raises(BodyFileError, match="refused"):
        load_body(tmp_path / "evil.pkl")


def test_npz_with_pickled_objects_is_read_only_where_it_is_plain(toy_arrays, tmp_path: Path):
    """Official files carry dictionaries beside the arrays: never unpickled. A needed key that is one: refused."""
    trace = tmp_path / "was-run"
    extra = np.empty(1, object)
    extra[0] = _Bomb(trace)
    np.savez(tmp_path / "official.npz", **toy_arrays, joint2num=extra)
    assert load_body(tmp_path / "official.npz").num_vertices == 20
    np.savez(tmp_path / "evil.npz", **{**toy_arrays, "v_template": extra})
    with pytest.raises(BodyFileError, match=r"evil\.npz: not a readable \.npz of plain numeric arrays"):
        load_body(tmp_path / "evil.npz")
    assert not trace.exists()


def _chumpy_like_pickle(arrays: dict[str, np.ndarray]) -> bytes:
    """What the first SMPL releases hold: chumpy objects around arrays, a sparse regressor; neither class importable
    under these names when it is read back."""
    module = type(sys)("chumpy.ch")
    ch = type("Ch", (), {"__module__": "chumpy.ch"})
    module.Ch = ch  # type: ignore[attr-defined]
    content: dict[str, object] = dict(arrays)
    for key in ("v_template", "shapedirs"):
        wrapped = ch()
        wrapped.__dict__ = {"x": arrays[key], "_dirty_vars": {"x"}}  # pyright: ignore
        content[key] = wrapped
    content["J_regressor"] = sparse.csc_matrix(arrays["J_regressor"])
    content["bs_type"] = "lrotmin"
    sys.modules["chumpy"], sys.modules["chumpy.ch"] = type(sys)("chumpy"), module
    try:
        stream = io.BytesIO()
        pickle.dump(content, stream, protocol=2)
        return stream.getvalue()
    finally:
        del sys.modules["chumpy"], sys.modules["chumpy.ch"]


def test_chumpy_pickle_is_read_without_chumpy(toy_arrays, tmp_path: Path):
    (tmp_path / "SMPLX_FEMALE.pkl").write_bytes(_chumpy_like_pickle(toy_arrays))
    np.savez(tmp_path / "SMPLX_FEMALE_plain.npz", **toy_arrays)
    read, plain = read_body_file(tmp_path / "SMPLX_FEMALE.pkl"), read_body_file(tmp_path / "SMPLX_FEMALE_plain.npz")
    for key, value in plain.arrays.items():
        assert np.array_equal(read.arrays[key], value), key
    parameters = _random_parameters(1)
    female = load_body(tmp_path, gender="female")
    plain_body = load_body(tmp_path / "SMPLX_FEMALE_plain.npz")
    assert torch.equal(female.vertices(*parameters), plain_body.vertices(*parameters))
    assert "chumpy" not in sys.modules


def test_wrong_files_are_named_with_a_remedy(toy_arrays, tmp_path: Path):
    def save(name: str, **changes) -> Path:
        content = {k: v for k, v in {**toy_arrays, **changes}.items() if v is not None}
        np.savez(tmp_path / name, **content)
        return tmp_path / name

    cases = {
        save("smpl.npz", kintree_table=np.zeros((2, 24), np.uint32)): "24 joints, this is an SMPL file; expected 55",
        save("smplh.npz", kintree_table=np.zeros((2, 52), np.uint32)): "52 joints, this is an SMPL-H file",
        save("lacks.npz", posedirs=None, f=None): r"lacks f, posedirs \(found: J_regressor",
        save("shape.npz", weights=np.zeros((20, 54))): r"'weights' has shape \(20, 54\), expected \(20, 55\)",
        save("nan.npz", v_template=np.full((20, 3), np.nan)): "'v_template' holds NaN",
        save("index.npz", f=np.full((5, 3), 20, np.uint32)): "'f' names vertex 20 of 20",
        save("tree.npz", kintree_table=np.tile(np.arange(55, dtype=np.uint32), (2, 1))): "parents before children",
        save("narrow.npz", shapedirs=np.zeros((20, 3, 10))): "'shapedirs' has 10 columns",
    }
    np.savez(tmp_path / "random.npz", a=np.zeros(3))
    cases[tmp_path / "random.npz"] = "not an SMPL-X body, lacks v_template"
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 truncated")
    cases[tmp_path / "broken.npz"] = "not a readable .npz"
    (tmp_path / "broken.pkl").write_bytes(b"\x80\x02}q")
    cases[tmp_path / "broken.pkl"] = "not a readable pickle"
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1]))
    cases[tmp_path / "list.pkl"] = "expected a pickled dictionary of arrays, found list"
    (tmp_path / "body.obj").write_text("v 0 0 0")
    cases[tmp_path / "body.obj"] = r"ending in \.npz or \.pkl, found '\.obj'"
    for path, message in cases.items():
        with pytest.raises(BodyFileError, match=message) as caught:
            load_body(path)
        assert str(path) in str(caught.value)


def test_missing_files_and_genders(tmp_path: Path):
    with pytest.raises(BodyFileError, match=r"does not exist: expected an SMPL-X model file .* SMPLX_MALE\.npz"):
        load_body(tmp_path / "absent", gender="male")
    with pytest.raises(BodyFileError, match="is a folder without such a file"):
        load_body(tmp_path)
    with pytest.raises(BodyFileError, match="expected one of neutral, male, female"):
        load_body(tmp_path, gender="other")
    with pytest.raises(BodyFileError, match="one file for everyone"):
        load_body("open", gender="female")


def test_open_body_by_path_is_recognised(tmp_path: Path):
    assert load_body(ASSETS / "open_body.npz").smplx_module is None
