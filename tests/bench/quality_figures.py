"""Row files of the quality benchmark -> its named figures."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.quality_rows import ModelSpec, Schedule

BASE = {"frames": 1200, "lighting": "dome", "folds": "plain", "side": 1024}
STEPS = 4500
Rows = list[dict[str, Any]]


def load(folder: Path) -> Rows:
    """All rows, each with the name of its file."""
    rows = [json.loads(path.read_text()) | {"name": path.stem} for path in sorted(folder.glob("*.json"))]
    if not rows:
        raise SystemExit(f"{folder}: expected row files, found none; run `python -m tests.bench.quality run headline`")
    return rows


def schedule_of(row: dict[str, Any]) -> dict[str, Any]:
    """With the defaults where the row is older than the schedule."""
    return asdict(Schedule()) | row["row"].get("schedule", {})


def matches(row: dict[str, Any], steps: int = STEPS, pruning: str | None = None, **wanted: Any) -> bool:
    """`wanted`: fields of the capture (the fixed point's where not given) and of the model."""
    found = asdict(ModelSpec()) | row["row"]["capture"] | row["row"]["model"] | schedule_of(row)
    plain = asdict(ModelSpec()) | asdict(Schedule())
    for size in ("gaussians", "nodes", "curve_every"):
        plain[size] = found[size]
    same = all(found[k] == v for k, v in (BASE | plain | wanted).items())
    return same and row["row"]["steps"] == steps and pruning in (None, row["row"]["pruning"])


def by_seed(rows: Rows, value: str, **wanted: Any) -> dict[int, float]:
    return {r["row"]["seed"]: r[value] for r in rows if matches(r, **wanted)}


def difference(rows: Rows, value: str, a: dict[str, Any], b: dict[str, Any]) -> tuple[float, float, int] | None:
    """`a` less `b`, paired by seed: mean, half the range, number of seeds."""
    first, second = by_seed(rows, value, **a), by_seed(rows, value, **b)
    pairs = [first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())]
    return (float(np.mean(pairs)), float(np.ptp(pairs)) / 2, len(pairs)) if pairs else None


NONE: dict[str, Any] = {"pruning": "none"}
LOCAL: dict[str, Any] = {"input_reach": 1, "sparsity": False, "mlp_rate": 1e-3, "decay": "cosine", "pose_rate": 2.0}
"""The best setting of local features; `GLOBAL`: of one global feature of 64."""
GLOBAL: dict[str, Any] = {"features": "global64", "sparsity": False, "mlp_rate": 2e-4}
SAME_TRUNK: dict[str, Any] = {"pruning": "top-0"}
"""Unpruned, from the trunk that its pruned rows have too."""
PRUNED: dict[str, Any] = LOCAL | {"pruning": "bytes-90", "tune_rate": 4.0}
"""The best pruning of `LOCAL`."""


def figures(rows: Rows) -> dict[str, Any]:
    """The named figures; a difference comes with its spread and its number of seeds."""
    view, near, far = (f"{which}_psnr_crop" for which in ("view", "near", "far"))
    wide, bare = NONE | {"features": "global64"}, NONE | {"features": "none"}
    best, rival, all_inputs = NONE | LOCAL, NONE | GLOBAL, NONE | LOCAL | {"input_reach": 0}
    kept = LOCAL | SAME_TRUNK
    rich, key = {"frames": 480, "folds": "rich"}, {"frames": 480, "lighting": "key"}
    asked: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
        "local_over_global64_db": (view, best, rival),
        "local_over_global64_near_db": (near, best, rival),
        "local_over_global64_far_db": (far, best, rival),
        "local_all_inputs_over_global64_db": (view, all_inputs, rival),
        "local_all_inputs_over_global64_far_db": (far, all_inputs, rival),
        "local_over_global64_paper_terms_db": (view, NONE, wide),
        "local_over_global16_paper_terms_db": (view, NONE, NONE | {"features": "global16"}),
        "local_over_global64_480_frames_db": (view, NONE | {"frames": 480}, wide | {"frames": 480}),
        "local_over_global64_480_frames_rich_folds_db": (view, NONE | rich, wide | rich),
        "local_over_global64_480_frames_key_light_db": (view, NONE | key, wide | key),
        "correctives_over_none_db": (view, best, bare),
        "correctives_over_none_paper_terms_db": (view, NONE, bare),
        "pruned90_minus_unpruned_db": (view, PRUNED, kept),
        "pruned90_minus_unpruned_key_light_db": (view, PRUNED | key, kept | key),
        "pruned90_top_of_each_minus_unpruned_paper_terms_db": (view, {"pruning": "top-90"}, NONE),
        "pruned90_by_image_minus_unpruned_paper_terms_db": (view, {"pruning": "bytes-90"}, NONE),
        "pruned90_top_of_each_minus_unpruned_paper_terms_key_light_db": (view, {"pruning": "top-90"} | key, NONE | key),
        "pruned90_by_image_minus_unpruned_paper_terms_key_light_db": (view, {"pruning": "bytes-90"} | key, NONE | key),
        "novel_pose_pruned_minus_unpruned_db": (near, PRUNED, kept),
        "novel_pose_far_pruned_minus_unpruned_db": (far, PRUNED, kept),
        "novel_pose_pruned_minus_unpruned_key_light_db": (near, PRUNED | key, kept | key),
        "far_pose_gain_db": (far, best, all_inputs),
        "far_pose_gain_view_change_db": (view, best, all_inputs),
        "far_pose_gain_near_change_db": (near, best, all_inputs),
        "far_pose_gain_over_paper_terms_db": (far, best, NONE),
        "more_parts_512_db": (view, best | {"parts": 512}, best),
        "more_parts_512_far_db": (far, best | {"parts": 512}, best),
        "mask_term_view_change_db": (view, best | {"mask_weight": 0.1}, best),
        "mask_term_far_leak_change": ("far_leak", best | {"mask_weight": 0.1}, best),
        "mask_term_far_holes_change": ("far_holes", best | {"mask_weight": 0.1}, best),
    }
    result: dict[str, Any] = {}
    for name, (value, a, b) in asked.items():
        found = difference(rows, value, a, b)
        if found is not None:
            stem, unit = (name.removesuffix("_db"), "_db") if name.endswith("_db") else (name, "")
            result |= {name: found[0], f"{stem}_spread{unit}": found[1], f"{stem}_seeds": found[2]}
    clamped = [r["far_clamped_psnr_crop"] - r[far] for r in rows if matches(r, **NONE)]
    if clamped:
        result["far_pose_gain_of_clamping_inputs_paper_terms_db"] = float(np.mean(clamped))
    measured = [r for r in rows if matches(r, **best) and "view_coverage" in r]
    for which in ("view", "near", "far") if measured else ():
        for name in ("coverage", "holes", "leak", "floaters"):
            result[f"{which}_{name}"] = float(np.mean([r[f"{which}_{name}"] for r in measured]))
    quick = NONE | {k: v for k, v in LOCAL.items() if k != "input_reach"}
    result |= time_to_reference(rows, NONE, quick)
    near_inputs = time_to_reference(rows, NONE, NONE | LOCAL)
    if "time_share_to_reference_minus_0p1_db" in near_inputs:
        share = near_inputs["time_share_to_reference_minus_0p1_db"]
        result["time_share_near_inputs"] = share
    return result


TARGET_DB = 0.1
"""Below the reference."""


def time_to_reference(rows: Rows, reference: dict[str, Any], quick: dict[str, Any]) -> dict[str, Any]:
    """What share of the reference's steps, equal in cost, other schedules take to its views less 0.1 dB.

    `quick`: a setting that was run whole at one or more lengths; between two of them the logarithm of the steps is
    interpolated, and where the shortest is good enough already, its length is what it is at most. Errors: none; without
    the rows, nothing.
    """
    value = "view_psnr_crop"
    whole = [r for r in rows if matches(r, steps=r["row"]["steps"], **reference) and r["row"]["seed"] == 0]
    runs = [r for r in rows if matches(r, steps=r["row"]["steps"], **quick) and r["row"]["seed"] == 0]
    if not whole or not runs:
        return {}
    longest = max(whole, key=lambda r: r["row"]["steps"])
    target = longest[value] - TARGET_DB
    curve = [*longest.get("curve", []), [longest["row"]["steps"], longest["train_s"], longest[value]]]
    own = next((seconds for _, seconds, db in curve if db >= target), longest["train_s"])
    runs.sort(key=lambda r: r["row"]["steps"])
    steps, found = (np.array([x(r) for r in runs], float) for x in (lambda r: r["row"]["steps"], lambda r: r[value]))
    result: dict[str, Any] = {
        "reference_steps": longest["row"]["steps"],
        "reference_train_s": longest["train_s"],
        "reference_view_db": longest[value],
        "reference_curve_steps_s_db": curve,
        "reference_own_curve_share_to_minus_0p1_db": own / longest["train_s"],
        "reference_device": longest["device"],
        "fast_runs_steps_s_db": [[r["row"]["steps"], r["train_s"], r[value]] for r in runs],
        "extrapolated_280k_steps_h": 280_000 * longest["step_ms"] / 3_600_000,
    }
    if found.max() < target:
        result["fast_best_below_reference_db"] = longest[value] - float(found.max())
        return result
    at = float(np.exp(np.interp(target, found, np.log(steps))))
    # of the steps, which cost the same: the runs are from several days and hosts
    share = at / longest["row"]["steps"]
    return result | {
        "time_share_to_reference_minus_0p1_db": share,
        "steps_to_reference_minus_0p1_db": at,
        "extrapolated_share_of_280k_steps_min": 60 * share * result["extrapolated_280k_steps_h"],
    }
