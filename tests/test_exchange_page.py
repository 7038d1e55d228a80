"""`mobavatar convert IN FOLDER`: a page from a file of the published runtime, which Chromium opens and draws."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser

from nerfstudio_mobavatar import durable
from nerfstudio_mobavatar.gaussians import PosedGaussians
from nerfstudio_mobavatar.render import rasterize
from nerfstudio_mobavatar.web_export import bundle, levels, pose_sequence
from nerfstudio_mobavatar.web_export.evaluate import Pose, evaluate
from nerfstudio_mobavatar.web_export.exchange import page as page_module
from nerfstudio_mobavatar.web_export.exchange import runtime_npz
from nerfstudio_mobavatar.web_export.poster import stand
from tests import published_runtime, renderers
from tests.browser import NO_CHROMIUM, avatar_page, chromium, serve
from tests.synthetic_avatar import SyntheticAvatar, camera, walking_pose
from tests.test_exchange_commands import mobavatar
from tests.test_export import OURS

SIZE = 256
Z_UP = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)
"""From a world whose y axis points up to one whose z axis does."""
PHASES = (0.7, 1.4, 2.1)


@pytest.fixture(autouse=True)
def _small_poster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "HEIGHT", 96)  # the torch rasteriser is slow


def in_z_up(pose: Pose) -> Pose:
    return replace(pose, Rh=Z_UP @ pose.Rh, Th=Z_UP @ pose.Th)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody else's avatar and motion: nothing of ours in the file, a network input of 80, z up."""
    folder = tmp_path_factory.mktemp("foreign")
    a = SyntheticAvatar(num_gaussians=700, num_parts=12, num_nodes=60, num_kept=120).build()
    runtime_npz.write(folder / "person.npz", replace(a, num_head_parts=5), 74)
    s = published_runtime.load(folder / "person.npz")
    del s["mobavatar_meta"]
    first = s["layers.0.weight"]
    s["layers.0.weight"] = np.concatenate([first, np.full((*first.shape[:2], 6), 9, np.float16)], 2)
    np.savez(folder / "person.npz", **s)
    pose_sequence.write(folder / "a walk.pose.json", [in_z_up(walking_pose(x)) for x in PHASES], range(3))
    return folder


@pytest.mark.skipif(chromium() is None, reason=NO_CHROMIUM)
def test_a_page_from_somebody_elses_avatar_is_drawn_as_its_own_layout_says(
    foreign: Path, tmp_path: Path, monkeypatch, capsys, chrome: Browser
) -> None:
    """Chromium against the layout's independent reader and the torch rasteriser; `high` rounds as little as halves."""
    site = tmp_path / "site"
    motion = foreign / "a walk.pose.json"
    flags = ("--motion", motion, "--quality", "high", "--fps", "12")
    assert mobavatar(monkeypatch, "convert", foreign / "person.npz", site, *flags) is None
    said = capsys.readouterr().out
    assert "network input 80 wide" in said and f"mobavatar view {site}" in said and "unknown body" in said
    assert {p.name for p in site.iterdir()} == OURS and [p.name for p in tmp_path.iterdir()] == ["site"]
    index = json.loads((site / "motions.json").read_text())
    assert index == [{"name": "a-walk", "file": "motion.pose.bin", "frames": 3, "fps": 12.0}]
    assert bundle.load(site / "avatar.mobavatar").meta["up"] == [0, 0, 1]
    row = json.loads(motion.read_text())[1]
    found = published_runtime.evaluate(published_runtime.load(foreign / "person.npz"), row)
    T, K = camera(SIZE, SIZE)
    T[:3, :3] = T[:3, :3] @ Z_UP.T
    tensors = [torch.tensor(np.asarray(found[key], np.float32)) for key in ("mean", "covariance", "color", "opacity")]
    view = torch.tensor(T)[None], torch.tensor(K)[None]
    with torch.no_grad():
        drawn = rasterize(PosedGaussians(*tensors), *view, SIZE, SIZE, torch.zeros(3), "torch")
    expected = (drawn.rgb[0].clamp(0, 1) * 255).round().byte().numpy()
    index_page = site / "index.html"  # software drawing misses every target: the governor would lower the size
    index_page.write_text(index_page.read_text().replace("<mobile-avatar", '<mobile-avatar target-fps="1"'))
    with serve(site) as url, avatar_page(chrome, url, SIZE, SIZE) as page:
        page.wait_ready()
        assert {"numGaussians": 700, "frames": 3, "fps": 12}.items() <= page.info().items()
        page.hold(1)
        page.look(T, K, SIZE, SIZE)
        picture = page.read_pixels(SIZE, SIZE)[..., :3]
        assert not page.errors
    crop = renderers.person_crop(expected)
    assert renderers.psnr(picture[crop], expected[crop]) >= 40


def test_without_a_motion_the_person_stands_in_a_t_pose(foreign: Path, tmp_path: Path, monkeypatch) -> None:
    assert mobavatar(monkeypatch, "convert", foreign / "person.npz", tmp_path / "site") is None
    assert json.loads((tmp_path / "site" / "motions.json").read_text())[0]["name"] == "T-pose"
    (pose,) = pose_sequence.read(tmp_path / "site" / "motion.pose.bin")
    assert not pose.pose.any()
    found = bundle.load(tmp_path / "site" / "avatar.mobavatar")
    assert found.meta["up"] == [0, 1, 0] and not found.levels and found.meta["body"] == "unknown"
    np.testing.assert_allclose(found.meta["front"], [0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(found.meta["center"], stand(found, pose, [0.0, 1.0, 0.0])["center"], atol=1e-3)
    assert "unknown" in (tmp_path / "site" / "README.txt").read_text()


def test_an_exported_folder_gets_levels_smaller_files_and_keeps_its_motions(
    foreign: Path, tmp_path: Path, monkeypatch
) -> None:
    """As folders of earlier versions may be brought up to date: nothing is lost on the way but what rounding takes."""
    walk, old, new = foreign / "a walk.pose.json", tmp_path / "old", tmp_path / "new"
    given = ("--motion", walk, walk, "--quality", "high")
    assert mobavatar(monkeypatch, "convert", foreign / "person.npz", old, *given) is None
    monkeypatch.setattr(levels, "MIN_COUNT", 100)
    monkeypatch.setattr(levels, "ENLARGE", (0.55, 1.0))  # to be fast
    flags = ("--pixels-per-metre", 50, "--quality", "small")
    assert mobavatar(monkeypatch, "convert", old, new, *flags) is None
    before, after = (json.loads((folder / "motions.json").read_text()) for folder in (old, new))
    assert before == after and [entry["name"] for entry in before] == ["a-walk", "a-walk-2"]
    a, b = (bundle.load(folder / "avatar.mobavatar") for folder in (old, new))
    assert [level.count for level in b.levels] == [175, 350] and b.pixels_per_metre == 50 and a.meta == b.meta
    order, _ = levels.tournament(a.position, a.opacity * np.exp(np.sort(a.log_scale, 1)[:, 1:].sum(1)))
    means = [evaluate(x, in_z_up(walking_pose(2.1))).mean for x in (a, b)]
    np.testing.assert_allclose(means[0][order], means[1], atol=4e-3)  # `small`: 0.3 mm, and half a step of each node
    assert (new / "avatar.mobavatar").stat().st_size < 0.6 * (old / "avatar.mobavatar").stat().st_size


def test_a_folder_is_replaced_only_on_request_and_whole(foreign: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "site.v2").mkdir()
    (tmp_path / "site.v2" / "mine").write_text("mine")
    cases = {
        (): "site.v2 is not empty; nothing was written",
        ("--overwrite", "--pixels-per-metre", "0"): "expected a positive number",
        ("--overwrite", "--frame", "1"): "--frame is for splats",
        ("--overwrite", "--motion", tmp_path / "absent.pose.bin"): "found none",
    }
    for flags, message in cases.items():
        found = mobavatar(monkeypatch, "convert", foreign / "person.npz", tmp_path / "site.v2", *flags)
        assert found is not None and message in found
    with monkeypatch.context() as patched:
        patched.setattr(durable, "_move", lambda *_: (_ for _ in ()).throw(OSError("the disk is full")))
        assert mobavatar(monkeypatch, "convert", foreign / "person.npz", tmp_path / "site.v2", "--overwrite")
    assert [p.name for p in (tmp_path / "site.v2").iterdir()] == ["mine"]
    assert mobavatar(monkeypatch, "convert", foreign / "person.npz", tmp_path / "site.v2", "--overwrite") is None
    assert {p.name for p in (tmp_path / "site.v2").iterdir()} == OURS | {"mine"}
