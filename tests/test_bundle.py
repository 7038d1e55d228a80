"""The avatar file: precision of the round trip, exact sums, layout, and what damaged files say."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nerfstudio_mobavatar.web_export import bundle
from nerfstudio_mobavatar.web_export.bundle import AvatarArrays, BundleError
from tests.synthetic_avatar import SyntheticAvatar


@pytest.fixture(scope="module")
def avatar() -> AvatarArrays:
    return SyntheticAvatar(num_gaussians=500, num_parts=9, num_nodes=40, num_kept=60).build()


@pytest.fixture(scope="module")
def data(avatar: AvatarArrays) -> bytes:
    return bundle.encode(avatar)


@pytest.fixture(scope="module")
def decoded(data: bytes) -> AvatarArrays:
    return bundle.decode(data)


HALVES = ("rotation", "log_scale", "color", "rotation_basis", "scale_basis", "color_basis", "node_basis")


@pytest.mark.parametrize("name", HALVES)
def test_halves_come_back_as_numpy_rounds_them(avatar: AvatarArrays, decoded: AvatarArrays, name: str):
    np.testing.assert_array_equal(getattr(decoded, name), getattr(avatar, name).astype(np.float16).astype(np.float32))


def test_positions_come_back_within_half_a_step(avatar: AvatarArrays, decoded: AvatarArrays):
    step = np.ptp(avatar.position, axis=0) / 65535
    # a half step of the fixed point, plus float32 rounding of numbers up to 2
    assert (np.abs(decoded.position - avatar.position) <= 0.5 * step + 2.5e-7).all()


@pytest.mark.parametrize(
    ("name", "step"), [("opacity", 1 / 65535), ("node_weight", 1 / 65535), ("skin_weight", 1 / 255)]
)
def test_weights_come_back_within_a_step(avatar: AvatarArrays, decoded: AvatarArrays, name: str, step: float):
    # the entry that takes up the rest of a sum may be off by one step and a bit
    assert np.abs(getattr(decoded, name) - getattr(avatar, name)).max() <= 2 * step


INTEGERS = ("part", "node_index", "node_part", "skin_index", "rotation_index", "scale_index", "color_index")


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_come_back_exactly(avatar: AvatarArrays, decoded: AvatarArrays, name: str):
    np.testing.assert_array_equal(getattr(decoded, name), getattr(avatar, name))


def test_networks_and_rig_come_back(avatar: AvatarArrays, decoded: AvatarArrays):
    for ours, theirs in zip(decoded.mlp_weights + decoded.mlp_biases, avatar.mlp_weights + avatar.mlp_biases):
        np.testing.assert_array_equal(ours, theirs.astype(np.float16).astype(np.float32))
    for name in ("joint_rest", "inverse_bind", "joint_parent"):
        np.testing.assert_array_equal(getattr(decoded, name), getattr(avatar, name))
    assert decoded.meta == avatar.meta
    assert decoded.layer_sizes == avatar.layer_sizes == [73, 24, 24, 24, 32]
    assert (decoded.num_head_parts, decoded.num_pose_inputs) == (avatar.num_head_parts, 63)


def test_weights_sum_to_one_exactly(data: bytes, decoded: AvatarArrays):
    _, sections = bundle.read_sections(data)
    skin = np.ascontiguousarray(sections["gaussians"][:, 11:12]).view(np.uint8)
    assert (skin.sum(1, dtype=np.int64) == 255).all()
    # three float32 numbers of which the last is one minus the others
    np.testing.assert_allclose(decoded.node_weight.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("weights", [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0], [0.996, 0.002, 0.001, 0.001]])
def test_skin_weights_of_any_split_sum_to_255(weights: list[float]):
    assert bundle._unorm8_sum(np.array([weights], float)).sum() == 255


@pytest.mark.parametrize("stride", [1, 2, 4, 48])
def test_unshuffle_inverts_shuffle(stride: int):
    raw = np.random.default_rng(0).bytes(stride * 37)
    stored = bundle._shuffle(raw, stride)
    assert stored[:37] == raw[::stride]
    assert bundle._unshuffle(stored, stride) == raw


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
    with pytest.raises(BundleError, match=r"made by a newer version \(format 2"):
        bundle.decode(data[:8] + b"\x02\x00\x00\x00" + data[12:])


def test_damage_names_the_section(data: bytes):
    header, start = bundle.read_header(data)
    for entry in header["sections"]:
        damaged = bytearray(data)
        damaged[start + entry["offset"] + entry["stored_bytes"] // 2] ^= 1
        with pytest.raises(BundleError, match=f"'{entry['name']}' is damaged"):
            bundle.decode(bytes(damaged))


@pytest.mark.parametrize("reader", [bundle.decode, bundle.read_sections])
def test_a_damaged_header_is_never_another_kind_of_error(data: bytes, reader: Callable[[bytes], object]):
    _, start = bundle.read_header(data)
    rng = np.random.default_rng(0)
    for place in rng.choice(np.arange(bundle.PREAMBLE_BYTES, start), 300, replace=False):
        damaged = bytearray(data)
        damaged[place] = rng.integers(32, 127)
        try:
            reader(bytes(damaged))
        except BundleError as error:
            assert len(str(error)) > 20


def _with_header(data: bytes, change: dict) -> bytes:
    header, start = bundle.read_header(data)
    text = json.dumps(header | change).encode()
    text += b" " * (-(bundle.PREAMBLE_BYTES + len(text)) % bundle.ALIGN)
    return data[:12] + np.array([len(text)], "<u4").tobytes() + text + data[start:]


def test_missing_sections_and_lying_sizes_are_refused(data: bytes):
    sections = bundle.read_header(data)[0]["sections"]
    with pytest.raises(BundleError, match="sections missing: gaussians"):
        bundle.decode(_with_header(data, {"sections": sections[1:]}))
    short = dict(sections[0], raw_bytes=sections[0]["raw_bytes"] - 48)
    with pytest.raises(BundleError, match="'gaussians' expands to"):
        bundle.decode(_with_header(data, {"sections": [short, *sections[1:]]}))
    huge = dict(sections[0], raw_bytes=1 << 40)
    with pytest.raises(BundleError, match="'gaussians' claims"):
        bundle.decode(_with_header(data, {"sections": [huge, *sections[1:]]}))


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
