"""The avatar file: precision of the round trip, committed files, and what damaged ones say."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from nerfstudio_mobavatar import integer_tables, trained_poses
from nerfstudio_mobavatar.web_export import arrays, bundle, evaluate, quantise
from nerfstudio_mobavatar.web_export.bundle import AvatarArrays, BundleError
from nerfstudio_mobavatar.web_export.precision import Precision, Quality
from nerfstudio_mobavatar.web_export.whiten import CorrectiveSteps, plain_networks, pose_samples, whiten
from tests.avatar_files import HEADER_START, checksum, with_header
from tests.goldens import make_bundle
from tests.synthetic_avatar import SyntheticAvatar, walking_pose


@pytest.fixture(scope="module")
def avatar() -> AvatarArrays:
    return SyntheticAvatar(num_gaussians=500, num_parts=9, num_nodes=40, num_kept=60).build()


@pytest.fixture(scope="module")
def data(avatar: AvatarArrays) -> bytes:
    return bundle.encode(avatar)


@pytest.fixture(scope="module")
def decoded(data: bytes) -> AvatarArrays:
    return bundle.decode(data)


def _rounded(avatar: AvatarArrays, quality: Quality) -> tuple[AvatarArrays, Precision]:
    precision = bundle.PRESETS[quality]
    return bundle.decode(bundle.encode(avatar, precision)), precision


QUALITIES = get_args(Quality)


@pytest.mark.parametrize("quality", QUALITIES)
def test_attributes_come_back_within_half_a_step(avatar: AvatarArrays, quality: Quality):
    found, p = _rounded(avatar, quality)
    box = np.ptp(avatar.position, axis=0) / 65535
    # and half precision rounds what was decoded: 2^-11 of the number
    assert (np.abs(found.position - avatar.position) <= 0.5 * np.maximum(box, p.position_m) + 2.5e-7).all()
    for name, step in (("log_scale", p.log_scale), ("color", p.color)):
        exact = getattr(avatar, name)
        assert (np.abs(getattr(found, name) - exact) <= 0.51 * step + np.abs(exact) * 2**-11 + 1e-7).all(), name
    assert np.abs(found.opacity - avatar.opacity).max() <= 0.51 / p.opacity_levels
    unit = avatar.rotation / np.linalg.norm(avatar.rotation, axis=1, keepdims=True)
    turn = 1 - np.abs((unit * found.rotation).sum(1)) / np.linalg.norm(found.rotation, axis=1)
    assert turn.max() <= 2 * p.rotation**2


@pytest.mark.parametrize("quality", QUALITIES)
def test_weights_come_back_within_a_step_and_sum_to_one(avatar: AvatarArrays, quality: Quality):
    found, p = _rounded(avatar, quality)
    for kind, size, levels in (("node", 40, p.node_weight_levels), ("skin", 55, p.skin_weight_levels)):
        index, weight = (getattr(found, f"{kind}_{x}") for x in ("index", "weight"))
        dense, exact = np.zeros((2, len(index), size))
        np.add.at(dense, (np.arange(len(index))[:, None], index), weight)
        rows = np.arange(len(index))[:, None]
        np.add.at(exact, (rows, getattr(avatar, f"{kind}_index")), getattr(avatar, f"{kind}_weight"))
        # what takes up the rest of a sum may be off by half a step of each of the others
        assert np.abs(dense - exact).max() <= 2.01 / levels, kind
        np.testing.assert_allclose(weight.sum(1), 1, atol=1e-6)


INTEGERS = ("part", "node_part", "rotation_index", "scale_index", "color_index")


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_come_back_exactly(avatar: AvatarArrays, decoded: AvatarArrays, name: str):
    np.testing.assert_array_equal(getattr(decoded, name), getattr(avatar, name))


def _correctives(a: AvatarArrays, x: np.ndarray) -> dict[str, np.ndarray]:
    """What a pose adds: in coordinates that do not depend on how bases and networks share the work."""
    e = evaluate.features(a, x)
    out = {"node": evaluate.node_displacements(a, e)}
    for name in ("scale", "color", "rotation"):
        index = getattr(a, f"{name}_index")
        out[name] = np.einsum("nak,nk->na", getattr(a, f"{name}_basis"), e[a.part[index], : a.basis_size])
    q = a.rotation[a.rotation_index]
    turned = q + out["rotation"]
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    out["rotation"] = turned[:, :, None] * turned[:, None]  # q and -q are the same rotation
    return out


@pytest.mark.parametrize(("quality", "limit"), [("high", 0.01), ("balanced", 0.2), ("small", 0.6)])
def test_correctives_come_back(avatar: AvatarArrays, quality: Quality, limit: float):
    """Root mean square over poses that are not those that errors were weighed over, as a share of the correctives' own;
    of quaternions as a share of their change. The synthetic bases are noise, in which nothing can be left out."""
    poses = np.random.default_rng(3).normal(0, 0.3, (5, 73))
    found, _ = _rounded(avatar, quality)
    still = np.zeros(73)
    for name in ("node", "scale", "color", "rotation"):
        exact, near = (np.stack([_correctives(a, x)[name] for x in poses]) for a in (avatar, found))
        change = exact - _correctives(avatar, still)[name] if name == "rotation" else exact
        assert np.sqrt(((near - exact) ** 2).mean() / (change**2).mean()) < limit, name


def test_whitening_alone_changes_nothing(avatar: AvatarArrays):
    samples = pose_samples(avatar, None)
    same = whiten(plain_networks(avatar), samples, CorrectiveSteps(0.01, 0.01, 0.01, 1e-4))
    x = np.random.default_rng(4).normal(0, 0.5, 73)
    for name, exact in _correctives(avatar, x).items():
        np.testing.assert_allclose(_correctives(same, x)[name], exact, atol=1e-5 * np.abs(exact).max(), err_msg=name)


def test_a_pose_that_never_changed_fits_the_file(avatar: AvatarArrays):
    """Its features have no variance to whiten, here none at all."""
    pose = walking_pose(0.4)
    x = evaluate.raw_inputs(avatar, pose)
    bias = avatar.mlp_biases[-1] - evaluate.features(avatar, x)
    still = dataclasses.replace(
        avatar, mlp_biases=(*avatar.mlp_biases[:-1], bias.astype(np.float32)), input_range=np.stack([x, x])
    )
    found = bundle.decode(bundle.encode(still, bundle.PRESETS["small"], x[None]))
    posed, exactly = (evaluate.evaluate(a, pose) for a in (found, still))
    np.testing.assert_allclose(posed.mean, exactly.mean, atol=3e-3)  # metres; as far as "small" rounds any avatar
    np.testing.assert_allclose(posed.color, exactly.color, atol=2e-2)


def test_inputs_that_never_change_go_into_the_bias(avatar: AvatarArrays):
    """The trained range holds them at one value, so nothing is lost and their weights take no room."""
    limits = np.stack([np.full(73, -0.4), np.full(73, 0.4)])
    limits[:, 5:40] = 0.125
    ranged = dataclasses.replace(avatar, input_range=limits)
    data = bundle.encode(ranged, bundle.PRESETS["balanced"])
    assert len(data) < 0.97 * len(bundle.encode(avatar, bundle.PRESETS["balanced"]))
    plain, x = plain_networks(ranged), np.full(73, 0.125)
    assert not plain.mlp_weights[0][:, :, 5:40].any()
    np.testing.assert_allclose(evaluate.features(plain, x), evaluate.features(ranged, x), atol=1e-4)


def test_networks_and_rig_come_back(avatar: AvatarArrays, decoded: AvatarArrays):
    for name in ("joint_rest", "inverse_bind", "joint_parent"):
        np.testing.assert_array_equal(getattr(decoded, name), getattr(avatar, name))
    assert decoded.meta == avatar.meta
    assert decoded.layer_sizes == avatar.layer_sizes == [73, 24, 24, 24, 32]
    assert (decoded.num_head_parts, decoded.num_pose_inputs) == (avatar.num_head_parts, 63)


@pytest.mark.parametrize("levels", [255, 85, 51])
@pytest.mark.parametrize("weights", [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0], [0.996, 0.002, 0.001, 0.001]])
def test_skin_weights_of_any_split_sum_to_one(weights: list[float], levels: int):
    shares = quantise.shares(np.array([weights], float), levels)
    assert shares.sum() == levels and shares.min() >= 0


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("reach", [1, 127, 128, 255, 256, 32767, 32768, 65535, 70000, 2**24])
def test_streams_come_back(reach: int, signed: bool):
    rng = np.random.default_rng(reach)
    values = rng.integers(-reach - 1 if signed else 0, reach, (37, 3), endpoint=True)
    values[0] = reach, (-reach - 1 if signed else 0), 0
    coding, planes, raw = integer_tables.encode(values, signed)
    shape = integer_tables.StreamShape(37, 3, signed)
    np.testing.assert_array_equal(integer_tables.decode(raw, shape, coding, planes), values)
    for other in integer_tables.CODINGS:
        again = integer_tables.as_bytes(values, other, planes)
        np.testing.assert_array_equal(integer_tables.decode(again, shape, other, planes), values, err_msg=other)


def test_readers_make_the_committed_arrays_of_the_committed_files():
    files = sorted(make_bundle.HERE.glob("*.mobavatar"))
    assert [f.name for f in files] == ["avatar_v1.mobavatar", *sorted(make_bundle.FILES)]
    assert make_bundle.text(files) == make_bundle.SUMS.read_text()


def test_version_1_is_read_and_becomes_version_2():
    old = bundle.load(make_bundle.HERE / "avatar_v1.mobavatar")
    exact = make_bundle.avatar()
    for name in ("rotation", "log_scale", "color", "rotation_basis", "scale_basis", "color_basis", "node_basis"):
        np.testing.assert_array_equal(getattr(old, name), getattr(exact, name).astype(np.float16).astype(np.float32))
    assert old.meta == exact.meta
    again = bundle.decode(bundle.encode(old))
    posed, exactly = (evaluate.evaluate(a, walking_pose(1.0)) for a in (again, old))
    np.testing.assert_allclose(posed.mean, exactly.mean, atol=1e-4)  # metres
    np.testing.assert_allclose(posed.color, exactly.color, atol=2e-3)


def test_rounding_without_the_file_is_the_same(avatar: AvatarArrays):
    precision = bundle.PRESETS["small"]
    with_file, without = bundle.decode(bundle.encode(avatar, precision)), bundle.rounded(avatar, precision)
    for field in dataclasses.fields(AvatarArrays):
        np.testing.assert_equal(getattr(without, field.name), getattr(with_file, field.name), err_msg=field.name)


def test_everything_is_aligned(data: bytes):
    header, start = bundle.read_header(data)
    assert start % bundle.ALIGN == 0
    assert all(entry["offset"] % bundle.ALIGN == 0 for entry in header["sections"])
    assert len(data) == start + header["payload_bytes"]


def test_the_same_avatar_gives_the_same_bytes(avatar: AvatarArrays, data: bytes):
    assert bundle.encode(avatar) == data


def test_an_unpruned_and_a_bare_avatar_fit():
    for kept in (0, 50):
        built = SyntheticAvatar(num_gaussians=50, num_parts=3, num_nodes=5, num_kept=kept).build()
        assert len(bundle.decode(bundle.encode(built)).color_basis) == kept


@pytest.mark.parametrize("keep", [0, 3, 12, 15, 16, 200, 3000, -1])
def test_truncated_files_say_so(data: bytes, keep: int):
    with pytest.raises(BundleError, match=r"truncated|not an avatar file"):
        bundle.decode(data[:keep])


def test_other_files_and_newer_versions_are_refused(data: bytes):
    with pytest.raises(BundleError, match=r"not an avatar file: it starts with b'\\x89PNG"):
        bundle.decode(b"\x89PNG\r\n\x1a\n" + data)
    with pytest.raises(BundleError, match=r"made by a newer version \(format 3"):
        bundle.decode(data[:8] + b"\x03\x00\x00\x00" + data[12:])


def test_damage_names_the_section(data: bytes):
    header, start = bundle.read_header(data)
    for entry in header["sections"]:
        damaged = bytearray(data)
        damaged[start + entry["offset"] + entry["stored_bytes"] // 2] ^= 1
        with pytest.raises(BundleError, match=f"'{entry['name']}' is damaged"):
            bundle.decode(bytes(damaged))


@pytest.mark.parametrize("reader", [bundle.decode, bundle.read_sections])
@pytest.mark.parametrize("sealed", [False, True])
def test_a_damaged_header_is_never_another_kind_of_error(data: bytes, reader: Callable[[bytes], object], sealed: bool):
    _, start = bundle.read_header(data)
    rng = np.random.default_rng(0)
    for place in rng.choice(np.arange(HEADER_START, start), 200, replace=False):
        damaged = bytearray(data)
        damaged[place] = rng.integers(32, 127)
        if sealed:
            damaged[16:20] = checksum(bytes(damaged[:16]), bytes(damaged[HEADER_START:start]))
        try:
            reader(bytes(damaged))
            assert sealed or damaged[place] == data[place]
        except BundleError as error:
            assert len(str(error)) > 20


def test_missing_sections_and_lying_sizes_are_refused(data: bytes):
    header, _ = bundle.read_header(data)
    sections = header["sections"]
    with pytest.raises(BundleError, match="sections missing: joint_rest"):
        bundle.decode(with_header(data, {"sections": sections[1:]}))
    with pytest.raises(BundleError, match="'node_index' expands to"):
        bundle.decode(with_header(data, {"num_gaussians": 499, "sections": _only(sections, "node_index")}))
    with pytest.raises(BundleError, match="'position' claims 24000000 bytes"):
        bundle.decode(with_header(data, {"num_gaussians": 4_000_000}))
    with pytest.raises(BundleError, match="a section comes twice"):
        bundle.decode(with_header(data, {"sections": [*sections, sections[0]]}))
    with pytest.raises(BundleError, match="lies inside another"):
        inside = dict(sections[1], offset=sections[0]["offset"] + 1)
        bundle.decode(with_header(data, {"sections": [sections[0], inside, *sections[2:]]}))


def _only(sections: list[dict], name: str) -> list[dict]:
    return [s for s in sections if s["name"] == name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": {}}, "steps.rotation is None"),
        ({"shares": {"opacity": 52}}, "shares.opacity is 52, no divisor of 65535"),
        ({"kept": [60, 60]}, "kept must be 3 counts"),
        ({"num_gaussians": True}, "num_gaussians is True"),
        ({"num_gaussians": 1 << 30}, "num_gaussians is 1073741824"),
        ({"layer_sizes": [73]}, "layer_sizes must be"),
        ({"position_low": [0, 0, 1e999]}, "not JSON"),
        ({"meta": None}, "meta must be an object"),
    ],
)
def test_headers_that_say_nonsense_are_refused(data: bytes, change: dict, message: str):
    with pytest.raises(BundleError, match=message):
        bundle.decode(with_header(data, change))


def with_number(avatar: AvatarArrays, name: str, value: int) -> bytes:
    """A whole file, one number of which is not what a writer would write."""
    header, values = bundle._quantised(avatar, bundle.PRESETS["balanced"], None)
    values[name][-1 if name.endswith(("index", "parent")) else 0, 0] = value
    return bundle._packed(header, values)


WRONG_NUMBERS = [
    ("position", 65536, "'position' holds 65536, expected 0..65535"),
    ("rotation", 4, "fifth number of a quaternion"),
    ("color", 1 << 21, "beyond half precision"),
    ("opacity", 86, "'opacity' holds 86, expected 0..85"),
    ("skin_sets", 55, "'skin_sets' holds 55"),
    ("skin_set", 4000, "'skin_set' holds 4000"),
    ("skin_weight", 256, "sum to more than one"),
    ("part", 9, "'part' holds 9, expected 0..8"),
    ("node_index", 40, "'node_index' holds 40, expected 0..39"),
    ("node_weight", 52, "sum to more than one"),
    ("color_index", 0, "'color_index' is not ascending"),
    ("node_basis", 1 << 21, "beyond half precision"),
    ("node_part", 9, "'node_part' holds 9"),
    ("mlp_scales", 0x7C00, "networks hold numbers that are not finite"),
    ("mlp_biases", 0x7E00, "networks hold numbers that are not finite"),
    ("mlp_weights_0", 1 << 30, "beyond half precision"),
    ("joint_rest", 0x7F800000, "skeleton has numbers that are not finite"),
    ("joint_parent", 54, "parent does not come before"),
]
"""Stream, number, and what readers say of a file that has it."""


@pytest.mark.parametrize(("name", "value", "message"), WRONG_NUMBERS)
def test_whole_files_with_wrong_numbers_are_refused(avatar: AvatarArrays, name: str, value: int, message: str):
    with pytest.raises(BundleError, match=message):
        bundle.decode(with_number(avatar, name, value))


def test_load_names_the_file(tmp_path: Path, data: bytes):
    path = tmp_path / "half.mobavatar"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(BundleError, match=r"half\.mobavatar: truncated"):
        bundle.load(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("part", 9, r"part must lie in 0\.\.8"),
        ("node_index", 40, r"node_index must lie in 0\.\.39"),
        ("skin_index", 55, r"skin_index must lie in 0\.\.54"),
        ("color_index", 500, r"color_index must lie in 0\.\.499"),
        ("position", np.nan, "position has numbers that are not finite"),
        ("node_basis", np.inf, "node_basis has numbers that are not finite"),
    ],
)
def test_avatars_that_do_not_fit_are_refused(avatar: AvatarArrays, name: str, value: float, message: str):
    array = getattr(avatar, name).copy()
    array.flat[-1] = value
    with pytest.raises(BundleError, match=message):
        bundle.encode(dataclasses.replace(avatar, **{name: array}))


def test_what_training_saw_comes_back(avatar: AvatarArrays):
    inputs = np.random.default_rng(3).normal(0, 0.3, (40, avatar.layer_sizes[0])).astype(np.float32)
    regions = tuple(trained_poses.trained_regions(inputs, avatar.num_pose_inputs, prototypes=3))
    seen = dataclasses.replace(
        avatar, input_range=trained_poses.input_range(inputs), trained_regions=regions, pixels_per_metre=512.5
    )
    found = bundle.decode(bundle.encode(seen))
    assert found.input_range is not None and found.input_range.dtype == np.float32
    np.testing.assert_allclose(found.input_range, trained_poses.input_range(inputs), atol=1e-7)
    assert [(r.name, r.joints) for r in found.trained_regions] == [(r.name, r.joints) for r in regions]
    assert found.pixels_per_metre == 512.5
    bare = bundle.read_header(bundle.encode(avatar))[0]
    assert not {"input_range", "trained_regions", "pixels_per_metre"} & bare.keys()


def test_numbers_are_float32_and_indices_are_integers(decoded: AvatarArrays):
    for field in dataclasses.fields(AvatarArrays):
        value = getattr(decoded, field.name)
        arrays = value if isinstance(value, (tuple, list)) else (value,)
        for array in arrays:
            if isinstance(array, np.ndarray):
                assert array.dtype in (np.float32, np.int32, np.int64), f"{field.name} is {array.dtype}"


def test_rounding_is_weighed_by_the_poses_that_matter(avatar: AvatarArrays):
    inputs = np.random.default_rng(4).normal(0, 0.5, (64, avatar.layer_sizes[0])).astype(np.float32)
    small = bundle.PRESETS["small"]
    assert bundle.encode(avatar, small, inputs) != bundle.encode(avatar, small)


def test_an_avatar_is_tuned_between_preparing_and_rounding(avatar: AvatarArrays):
    """`tune` gets what is about to be rounded and the poses that matter, and what it returns is what is written."""
    small, asked = bundle.PRESETS["small"], []
    inputs = np.random.default_rng(4).normal(0, 0.5, (64, avatar.layer_sizes[0])).astype(np.float32)

    def tune(prepared: AvatarArrays, precision: Precision, samples: np.ndarray) -> AvatarArrays:
        asked.append((precision, samples))
        return dataclasses.replace(prepared, color=prepared.color + np.float32(0.25))

    tuned, plain = bundle.decode(bundle.encode(avatar, small, inputs, tune)), bundle.rounded(avatar, small, inputs)
    assert len(asked) == 1 and asked[0][0] is small
    np.testing.assert_array_equal(asked[0][1], pose_samples(avatar, inputs))
    assert abs(float(np.mean(tuned.color - plain.color)) - 0.25) < 0.02


def test_the_table_of_sections_is_that_of_the_file(data: bytes):
    header, _ = bundle.read_header(data)
    table = bundle.section_table(header)
    assert [row["name"] for row in table] == [entry["name"] for entry in header["sections"]]
    assert sum(row["bytes"] for row in table) == sum(entry["stored_bytes"] for entry in header["sections"])
    rows = {row["name"]: row for row in table}
    assert rows["color_index"]["shape"][0] == 60 and rows["color_index"]["dtype"].startswith("uint")
    assert rows["node_basis"]["dtype"].startswith("int")
    assert all(row.keys() == {"name", "dtype", "shape", "bytes"} for row in table)
    planes = {entry["name"]: entry["planes"] for entry in header["sections"]}
    assert all(int(row["dtype"].rsplit("int")[-1]) == 8 * planes[row["name"]] for row in table)


def test_the_table_of_sections_of_version_1():
    header, _ = bundle.read_header((make_bundle.HERE / "avatar_v1.mobavatar").read_bytes())
    table = bundle.section_table(header)
    assert table and all(row.keys() == {"name", "dtype", "shape", "bytes"} for row in table)
    assert [row["bytes"] for row in table] == [entry["stored_bytes"] for entry in header["sections"]]


def test_the_smallest_avatar_and_the_largest_networks():
    whole = SyntheticAvatar(num_gaussians=17, num_parts=1, num_nodes=4, num_kept=0).build()

    def first(count: int) -> AvatarArrays:
        arrays = {f.name: getattr(whole, f.name) for f in dataclasses.fields(whole)}
        cut = {n: v[:count] for n, v in arrays.items() if isinstance(v, np.ndarray) and v.ndim and len(v) == 17}
        return dataclasses.replace(whole, **cut)

    one = first(1)
    assert len(bundle.decode(bundle.encode(one)).position) == 1
    with pytest.raises(BundleError, match="one Gaussian at least"):
        bundle.encode(first(0))
    crowd = dataclasses.replace(one, node_part=np.zeros(65537, np.int64))
    with pytest.raises(BundleError, match="at most 65536 parts and nodes"):
        bundle.encode(crowd)
    wrong = dataclasses.replace(one, node_part=np.full_like(one.node_part, 1))
    with pytest.raises(BundleError, match=r"node_part must lie in 0\.\.0"):
        bundle.encode(wrong)


def test_the_list_of_arrays_names_them_all_with_their_shapes(decoded: AvatarArrays):
    counts = arrays.sizes(decoded)
    for name, shape in arrays.SHAPES.items():
        found = getattr(decoded, name).shape
        assert found == tuple(x if isinstance(x, int) else counts[x] for x in shape), name
    listed = {name for name, value in vars(decoded).items() if isinstance(value, np.ndarray)} - {"input_range"}
    assert listed == arrays.SHAPES.keys()
    whole = {name for name in listed if getattr(decoded, name).dtype.kind in "iu"}
    assert whole == arrays.POINTS_AT.keys() | {"joint_parent"}
