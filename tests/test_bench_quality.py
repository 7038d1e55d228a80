"""The quality benchmark's figures: which rows are compared, on whose pictures, and the time to a reference."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nerfstudio.plugins.types import MethodSpecification

from nerfstudio_mobavatar.blendshapes import ATTRIBUTES
from nerfstudio_mobavatar.configs import mobavatar, mobavatar_fast
from nerfstudio_mobavatar.demo.in_memory import CutPicture
from nerfstudio_mobavatar.demo.motion import procedural_motion
from nerfstudio_mobavatar.demo.scene import dome_cameras
from nerfstudio_mobavatar.losses import Box, composite
from nerfstudio_mobavatar.pruning import PruningConfig, bytes_each
from tests.bench import quality_capture
from tests.bench.common import RESULTS
from tests.bench.quality_capture import Team, draw_capture, pack, turned
from tests.bench.quality_figures import difference, figures, measured
from tests.bench.quality_merge import label, real_figures
from tests.bench.quality_plans import by_part, closing, longer_paired, paper, scheduled, shipped, tuned_global
from tests.bench.quality_rows import (
    CaptureSpec,
    ModelSpec,
    Row,
    Schedule,
    cameras_of,
    frames_of,
    frames_of_test,
    key,
)
from tests.bench.quality_train import COSINE_END, Training, halt, halved, resume


def result(row: Row, db: float, **more: Any) -> dict[str, Any]:
    return {"row": asdict(row), "name": key(row), "command": "", "device": "card", "view_psnr_crop": db} | more


def test_pairs_of_one_seed_are_compared_on_the_tests_pictures_where_both_have_them():
    rows = [result(replace(shipped(Row()), seed=s), 34.0 + s, test_view_psnr_crop=33.0 + s) for s in (0, 1)]
    rows += [result(replace(shipped(Row()), seed=2, pruning="top-0"), 40.0)]
    rows += [result(replace(tuned_global(Row(), 2e-4), seed=s), 33.5 + 2 * s) for s in (0, 1, 2)]
    rows[3]["test_view_psnr_crop"] = 32.0
    found = figures(rows)
    assert found["local_over_global64_db"] == 1.0 and found["local_over_global64_seeds"] == 1
    assert found["local_over_global64_split"] == "test"
    assert found["local_over_global64_validation_db"] == pytest.approx((0.5 - 0.5 + 2.5) / 3)
    assert found["local_over_global64_validation_spread_db"] == 1.5
    assert not any(name.startswith("pruned90") for name in found)
    sides: tuple[dict[str, Any], dict[str, Any]] = ({"sparsity": False}, {"features": "global64"})
    assert difference(rows, "view_psnr_crop", *sides) is None and measured(rows, "x_db", "view_psnr_crop", *sides) == {}


def test_what_the_default_loses_is_told_apart_into_the_cut_and_the_correctives_that_go():
    chosen, whole, six, raised, *_ = closing(Row())[0][0]
    found = figures([result(row, db) for row, db in ((chosen, 34.0), (whole, 34.1), (six, 34.02), (raised, 34.4))])
    assert found["features_cut_minus_unpruned_same_rates_db"] == pytest.approx(-0.3)
    assert found["pruned90_even_features_minus_features_cut_db"] == pytest.approx(-0.1)
    assert found["pruned90_6_features_minus_4_db"] == pytest.approx(0.02)
    assert "pruned90_even_features_minus_unpruned_db" not in found, "those pairs are against plain rates"
    group = longer_paired(Row())[0][0]
    found = figures([result(row, db) for row, db in zip(group, (34.05, 34.0, 34.1, 34.4), strict=True)])
    assert found["pruned90_minus_unpruned_12000_steps_db"] == pytest.approx(-0.05)
    assert found["pruned90_minus_unpruned_same_rates_12000_steps_db"] == pytest.approx(-0.35)
    assert found["pruned90_even_features_minus_unpruned_12000_steps_db"] == pytest.approx(-0.1)
    assert found["features_by_part_over_even_12000_steps_db"] == pytest.approx(0.05)
    assert label(result(raised, 0)).startswith("local, as shipped, from 50% of the steps on, 2 x the rates, unpruned")


def test_pruned_runs_of_a_real_capture_are_compared_with_the_unpruned_one_of_their_seed():
    def run(variant: str, db: float, seed: int = 0) -> dict[str, Any]:
        values = {f"{tag}/psnr_crop": db for tag in ("novel_pose", "novel_view")}
        return {"capture": "real", "variant": variant, "seed": seed, "results": values}

    runs = [run("paper", 24.0), run("shipped", 25.0), run("unpruned", 24.9), run("unpruned", 30.0, 1)]
    found = real_figures([*runs, run("all-features", 25.0)])
    assert found["real_shipped_minus_unpruned_held_out_frames_db"] == pytest.approx(0.1)
    assert found["real_shipped_held_out_camera_db"] == 1.0 and found["real_shipped_held_out_camera_seeds"] == 1
    assert not any(name.startswith(("real_paper", "real_all_features_minus", "real_unpruned_minus")) for name in found)


def test_time_to_the_reference_is_in_seconds_of_runs_that_were_alone():
    def run(row: Row, steps: int, db: float, seconds: float, command: str = "run convergence") -> dict[str, Any]:
        row = replace(row, steps=steps)
        return result(row, db, train_s=seconds, step_ms=1000 * seconds / steps, curve=[], command=command)

    slow = scheduled(paper(Row()), curve_every=1000)
    rows = [run(slow, 16000, 35.1, 160.0) | {"curve": [[8000, 80.0, 34.5]]}]
    rows += [
        run(shipped(Row()), 2000, 34.0, 90.0) | {"process_started": "before"},
        run(shipped(Row()), 8000, 36.0, 80.0),
    ]
    rows += [run(shipped(Row()), 1000, 37.0, 1.0, "run headline")]
    found = figures(rows)
    assert found["reference_steps"] == 16000 and found["reference_db_of_the_last_doubling"] == pytest.approx(0.6)
    assert found["steps_to_reference_minus_0p1_db"] == pytest.approx(4000)  # half way in the logarithm
    assert found["time_share_to_reference_minus_0p1_db"] == pytest.approx(40 / 160)
    assert found["time_share_of_a_whole_run_that_got_there"] == pytest.approx(80 / 160)
    assert found["fast_db_of_a_doubling"] == pytest.approx(1.0)
    rows[0]["view_psnr_crop"] = 36.5
    found = figures(rows)
    assert "time_share_to_reference_minus_0p1_db" not in found
    assert found["fast_best_below_reference_db"] == pytest.approx(0.5)


def test_nothing_of_the_test_was_looked_at_before():
    spec = CaptureSpec()
    before, test = frames_of(spec), frames_of_test(spec)
    assert set(test["test_view"]) <= set(before["train"]) - set(before["view"])
    assert not set(test["test_near"]) & (set(before["train"]) | set(before["near"]))


def test_the_tests_cameras_stand_beside_held_out_ones_and_look_at_the_person():
    cameras = dome_cameras(procedural_motion(4, 30, 0), np.zeros(10, np.float32), 12, 64, 64, 0)
    held = cameras_of(CaptureSpec())[1][0]
    moved = turned(cameras, held, 12.0)
    eyes, eye = np.stack([place(c.T_cam_world) for c in cameras]), place(moved.T_cam_world)
    assert np.linalg.norm(eyes - eye, axis=1).argmin() == held and eye[1] == pytest.approx(eyes[held][1])
    a, b = (v[::2] - eyes.mean(0)[::2] for v in (eyes[held], eye))
    assert np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))) == pytest.approx(12)
    before, after = (axis(c.T_cam_world)[::2] @ -v for c, v in ((cameras[held], a), (moved, b)))
    assert after == pytest.approx(before) and after > 0
    assert moved.T_cam_world[:3, :3] @ moved.T_cam_world[:3, :3].T == pytest.approx(np.eye(3))


def place(T_cam_world: np.ndarray) -> np.ndarray:
    return -T_cam_world[:3, :3].T @ T_cam_world[:3, 3]


def axis(T_cam_world: np.ndarray) -> np.ndarray:
    """Where the camera looks."""
    return T_cam_world[2, :3]


def test_rows_are_found_by_the_names_that_they_were_stored_under():
    """New fields of models and schedules must not rename what has been trained."""
    for path in sorted((RESULTS / "quality").glob("*.json")):
        row = json.loads(path.read_text())["row"]
        capture, model = CaptureSpec(**row["capture"]), ModelSpec(**row["model"])
        schedule = Schedule(**row.get("schedule", {}))
        assert key(Row(capture, model, row["steps"], row["pruning"], row["seed"], schedule)) == path.stem


@pytest.mark.parametrize("preset", [mobavatar, mobavatar_fast])
def test_what_is_shipped_is_what_was_measured(preset: MethodSpecification):
    model: Any = preset.config.pipeline.model
    measured = by_part(shipped(Row()))
    assert model.pruning.keep_features == measured.schedule.keep_features and model.pruning.score == "image"
    assert model.pruning.features_by_part == measured.schedule.by_part
    assert model.prune_fraction == measured.schedule.prune_at
    for group in preset.config.optimizers.values():
        assert group["scheduler"].after_pruning == measured.schedule.tune_rate
        assert group["scheduler"].shape == measured.schedule.decay and group["scheduler"].final_factor == COSINE_END
    each = sum(bytes_each(name, 4) for name in ATTRIBUTES)
    assert PruningConfig().room(16) == pytest.approx(0.36 * 200_000 * each, rel=0.01)


def test_pictures_that_another_process_drew_are_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spec, team = CaptureSpec(frames=2, far_frames=1, cameras=1, side=16), Team(tmp_path, 1, 2)
    drawn = [[CutPicture(Box(1, 3, 2, 5 + i), torch.full((2, 3 + i, 4), 7 + i, dtype=torch.uint8))] for i in range(3)]
    pack(drawn[::2], team.path(spec, 0))

    def draw(recipe: object, rows: range) -> list[list[CutPicture]]:
        assert list(rows) == [1]
        return drawn[1::2]

    monkeypatch.setattr(quality_capture, "draw_cut", draw)
    for _ in range(2):
        found = draw_capture(spec, "cpu", team).pictures
        for row, expected in zip(found, drawn):
            assert row[0].box == expected[0].box and torch.equal(row[0].rgba, expected[0].rgba)
        monkeypatch.setattr(quality_capture, "draw_cut", None)  # all of it is there now


def test_a_halted_trunk_goes_on_where_it_was(tmp_path: Path):
    def fresh() -> Training:
        weights: Any = torch.nn.Linear(3, 1)
        return Training(weights, torch.optim.Adam(weights.parameters(), lr=0.1), (torch.zeros(0), torch.zeros(0)))

    def weight(state: Training, last: int = 0) -> torch.Tensor:
        """After training up to that step."""
        module: Any = state.avatar
        while state.step < last:
            state.optimizer.zero_grad()
            module(torch.tensor([1.0, 2.0, state.step])).square().sum().backward()
            state.optimizer.step()
            state.step += 1
        return module.weight

    first, second, file = fresh(), fresh(), tmp_path / "x.trunk"
    weight(first, 3)
    halt(first, file)
    resume(second, file, last=2)  # a branch that leaves before it wants a trunk of its own
    assert second.step == 0 and not torch.equal(weight(second), weight(first))
    resume(second, file, last=3)
    torch.testing.assert_close(weight(second, 5), weight(first, 5), rtol=0, atol=0)
    assert second.step == 5 and list(tmp_path.iterdir()) == [file]


def test_half_the_resolution_shows_the_same_over_any_background():
    rng = torch.Generator().manual_seed(0)
    image, matte = (torch.randint(0, 256, (1, 6, 8, n), generator=rng, dtype=torch.uint8) for n in (3, 1))
    matte[:, :2, :2] = 0
    small = halved(image, matte)
    for background in (torch.zeros(3), torch.tensor([0.2, 0.9, 1.0])):
        whole = composite(image, matte, background)
        means = whole.reshape(1, 3, 2, 4, 2, 3).mean((2, 4))
        torch.testing.assert_close(composite(*small, background), means, atol=0.005, rtol=0)
