"""Presets, size limits and the table of what every section costs."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from nerfstudio_mobavatar.web_export import bundle, quality
from nerfstudio_mobavatar.web_export.bundle import AvatarArrays, BundleError
from nerfstudio_mobavatar.web_export.evaluate import features, node_displacements
from nerfstudio_mobavatar.web_export.poster import drawing
from nerfstudio_mobavatar.web_export.precision import between, ladder, name_of
from nerfstudio_mobavatar.web_export.quality import Precisely
from tests.synthetic_avatar import SyntheticAvatar, walking_pose

POSES = [walking_pose(x) for x in (0.0, 0.7, 1.4, 2.1)]


@pytest.fixture(scope="module")
def avatar() -> AvatarArrays:
    built = SyntheticAvatar(num_gaussians=1000, num_parts=9, num_nodes=50, num_kept=100).build()
    return bundle.decode(bundle.encode(built))


def test_every_rung_of_the_ladder_is_smaller_than_the_one_before(avatar: AvatarArrays):
    inputs = quality.network_inputs(avatar, POSES)
    sizes = [len(bundle.encode(avatar, precision, inputs)) for _, precision in ladder()]
    assert all(after < before for before, after in pairwise(sizes)), sizes


def test_the_finest_precision_that_fits_is_taken(avatar: AvatarArrays):
    whole = {name: len(Precisely(name).encode(avatar, POSES).data) for name in ("high", "balanced", "small")}
    assert Precisely("high", whole["balanced"]).encode(avatar, POSES).name == "balanced"
    assert Precisely("balanced", whole["high"]).encode(avatar, POSES).name == "balanced"  # not finer than asked for
    between = Precisely("high", whole["small"] + 1).encode(avatar, POSES)
    assert between.name == "small" and len(between.data) == whole["small"]
    limit = (whole["small"] + 5 * whole["balanced"]) // 6
    close = Precisely("high", limit).encode(avatar, POSES)
    assert 0.94 * limit < len(close.data) <= limit and "finer than" in close.name
    assert name_of(*_steps_of(Precisely("small").encode(avatar, POSES).data)) == "small"
    assert name_of(*_steps_of(close.data)) is None
    with pytest.raises(BundleError, match=r"the coarsest precision takes [\d,]+ bytes, more than the 5,000 asked for"):
        Precisely("balanced", 5000).encode(avatar, POSES)


def _steps_of(data: bytes) -> tuple[dict, dict]:
    header, _ = bundle.read_header(data)
    return header["steps"], header["shares"]


def test_between_ends_at_both_ends_and_gets_coarser_on_the_way():
    for (_, fine), (_, coarse) in pairwise(ladder()):
        start, end = between(fine, coarse, 0.0), between(fine, coarse, 1.0)
        assert replace(start, position_m=0.0) == replace(fine, position_m=0.0) and end == coarse
        middle = between(fine, coarse, 0.5)
        assert fine.color <= middle.color <= coarse.color and fine.mlp_bits >= middle.mlp_bits >= coarse.mlp_bits


def test_the_table_names_all_bytes_and_what_they_cost_in_the_picture(avatar: AvatarArrays):
    made = Precisely("small").encode(avatar, POSES)
    meta = avatar.meta | {"front": [0, 0, 1]}
    rows = quality.table(avatar, made, POSES, drawing(POSES[:1], meta, 128, torch.device("cpu"))).splitlines()
    cells = {row[:28].strip(): row[28:].split() for row in rows}
    sizes = {name: int(found[0].replace(",", "")) for name, found in cells.items()}
    assert sizes.pop("whole file (small)") == len(made.data) == sum(sizes.values())
    decibels = {name: float(found[1]) for name, found in cells.items() if len(found) == 3}
    assert set(quality.GROUPS) - {"skeleton"} == decibels.keys() - {"whole file (small)"}
    assert 20 < decibels["whole file (small)"] <= min(decibels.values()) + 0.5
    assert [r.split()[:-1] for r in quality.size_table(made.data).splitlines()] == [n.split() for n in sizes]


def test_poses_decide_what_is_kept(avatar: AvatarArrays):
    """Errors are weighed over the poses given: the same bytes serve them better than they serve poses at random."""
    precision = bundle.PRESETS["small"]
    inputs = quality.network_inputs(avatar, POSES)
    assert inputs is not None and inputs.shape == (4, 73)

    def error(found: AvatarArrays) -> float:
        exact, near = ([node_displacements(a, features(a, x)) for x in inputs] for a in (avatar, found))
        return float(np.square(np.stack(exact) - np.stack(near)).mean())

    assert error(bundle.rounded(avatar, precision, inputs)) < error(bundle.rounded(avatar, precision))
