"""The committed sample avatar is complete, small, readable and shown by the current page."""

from pathlib import Path

import numpy as np
import pytest

from nerfstudio_mobavatar.motion.pose_json import INDEX as MOTION_INDEX
from nerfstudio_mobavatar.web_export import bundle, pose_sequence
from nerfstudio_mobavatar.web_export.evaluate import evaluate
from nerfstudio_mobavatar.web_export.motions import MOTION_FILE
from nerfstudio_mobavatar.web_export.page_folder import AVATAR_FILE, POSTER_FILE, README_FILE

ROOT = Path(__file__).resolve().parent.parent
SAMPLE, DIST = ROOT / "docs" / "sample", ROOT / "web_export" / "viewer" / "dist"
MAX_BYTES = 6 * 10**6
"""What a phone has to load over a mobile network before it can show anything."""


@pytest.fixture(scope="module")
def avatar() -> bundle.AvatarArrays:
    return bundle.load(SAMPLE / AVATAR_FILE)


def test_the_folder_is_complete_and_small():
    names = {p.name for p in SAMPLE.iterdir()}
    assert names == {
        AVATAR_FILE,
        MOTION_FILE,
        MOTION_INDEX,
        POSTER_FILE,
        README_FILE,
        *(p.name for p in DIST.iterdir()),
    }
    assert sum(p.stat().st_size for p in SAMPLE.iterdir()) <= MAX_BYTES


def test_the_page_is_the_current_one():
    stale = [p.name for p in DIST.iterdir() if p.read_bytes() != (SAMPLE / p.name).read_bytes()]
    assert not stale, f"{stale} in docs/sample differ from web_export/viewer/dist: copy them there"


def test_the_avatar_has_paper_scale(avatar):
    assert len(avatar.position) == 200_000
    assert 0 < len(avatar.color_index) < len(avatar.position)  # pruned


def test_the_motion_can_be_read_and_keeps_the_person_in_view(avatar):
    """The page aims its camera at `center`; a motion of another capture, or in other units, would leave the sphere."""
    poses = pose_sequence.read(SAMPLE / MOTION_FILE)
    assert len(poses) > 1
    center, radius = np.array(avatar.meta["center"]), avatar.meta["radius"]
    for pose in (poses[0], poses[len(poses) // 2], poses[-1]):
        posed = evaluate(avatar, pose)
        assert np.isfinite(posed.mean).all() and np.isfinite(posed.covariance).all()
        assert np.linalg.norm(np.median(posed.mean, 0) - center) < radius


def test_the_avatar_can_be_shown_early_and_small(avatar):
    """What stands still comes first in the file, and small pictures draw few Gaussians."""
    header, _ = bundle.read_header((SAMPLE / AVATAR_FILE).read_bytes())
    first = sorted(header["sections"], key=lambda entry: entry["offset"])[:11]
    neutral = "joint_rest inverse_bind joint_parent position rotation log_scale color opacity"
    assert {entry["name"] for entry in first} == {*neutral.split(), "skin_sets", "skin_set", "skin_weight"}
    assert [level.count for level in avatar.levels] == [6250, 12500, 25000, 50000, 100000]
    assert avatar.levels[0].pixels_per_metre > 30  # two metres are 60 pixels then
