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
    """`wanted`: fields of the capture (the fixed point's where not given) and of the model. `pruning`: one or several,
    separated by spaces."""
    found = asdict(ModelSpec()) | row["row"]["capture"] | row["row"]["model"] | schedule_of(row)
    plain = asdict(ModelSpec()) | asdict(Schedule())
    for size in ("gaussians", "nodes", "curve_every"):
        plain[size] = found[size]
    same = all(found[k] == v for k, v in (BASE | plain | wanted).items())
    return same and row["row"]["steps"] == steps and (pruning is None or row["row"]["pruning"] in pruning.split())


def by_seed(rows: Rows, value: str, **wanted: Any) -> dict[int, float]:
    return {r["row"]["seed"]: r[value] for r in rows if value in r and matches(r, **wanted)}


def difference(rows: Rows, value: str, a: dict[str, Any], b: dict[str, Any]) -> tuple[float, float, int] | None:
    """`a` less `b`, paired by seed: mean, half the range, number of seeds."""
    first, second = by_seed(rows, value, **a), by_seed(rows, value, **b)
    pairs = [first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())]
    return (float(np.mean(pairs)), float(np.ptp(pairs)) / 2, len(pairs)) if pairs else None


NONE: dict[str, Any] = {"pruning": "none"}
WHOLE: dict[str, Any] = {"pruning": "none top-0"}
"""Unpruned, "top-0" from a trunk that pruned rows share."""
SHIPPED: dict[str, Any] = {"sparsity": False, "mlp_rate": 1e-3, "decay": "cosine", "pose_rate": 2.0}
"""Rates, terms and decay of `mobavatar-fast`; validation chose them."""
LOCAL: dict[str, Any] = SHIPPED | {"input_reach": 1}
"""With inputs within one bone; `GLOBAL`: one feature of 64 at the rates that validation chose for it."""
GLOBAL: dict[str, Any] = {"features": "global64", "sparsity": False, "mlp_rate": 2e-4}
SAME_TRUNK: dict[str, Any] = {"pruning": "top-0"}
PRUNED: dict[str, Any] = SHIPPED | {"pruning": "bytes-90", "tune_rate": 4.0}
"""The bytes of 20,000 correctives of each attribute, divided by image error."""
NARROW: dict[str, Any] = PRUNED | {"pruning": "bytes-81", "basis_size": 8}
"""As many bytes in correctives of half as many features."""
FEW: dict[str, Any] = SHIPPED | {"pruning": "bytes-64", "keep_features": 4, "prune_at": 0.5, "tune_rate": 2.0}
"""As many bytes in correctives of the four most important features, pruned after half of the steps."""
BY_PART: dict[str, Any] = FEW | {"by_part": True}
"""The default: parts keep as many as they are worth, four on average."""
RAISED: dict[str, Any] = SHIPPED | SAME_TRUNK | {"prune_at": 0.5, "tune_rate": 2.0}
"""Unpruned, with the rates that both have after their pruning."""
ALL_OF_FEW: dict[str, Any] = FEW | {"pruning": "bytes-0"}
"""Features cut, and all correctives kept."""
SIX: dict[str, Any] = FEW | {"pruning": "bytes-74.85", "keep_features": 6}
BY_PART_3: dict[str, Any] = BY_PART | {"pruning": "bytes-53.6", "keep_features": 3}
BY_PART_6: dict[str, Any] = SIX | {"by_part": True}
FEW_LATE: dict[str, Any] = SHIPPED | {"pruning": "bytes-64", "keep_features": 4, "tune_rate": 4.0}
TOP: dict[str, Any] = SHIPPED | {"pruning": "top-90"}
"""The paper's choice."""
PLACES = {"": "view", "_near": "near", "_far": "far"}


def pairs() -> dict[str, tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name of a figure: the value compared, one setting, and the one it is compared with. "{}" in a name stands for
    nothing (views), "_near" and "_far"."""
    view, far = (f"{which}_psnr_crop" for which in ("view", "far"))
    wide, bare = NONE | {"features": "global64"}, NONE | {"features": "none"}
    best, rival, shipped = NONE | LOCAL, NONE | GLOBAL, WHOLE | SHIPPED
    kept, near_kept = SHIPPED | SAME_TRUNK, LOCAL | SAME_TRUNK
    near_pruned = LOCAL | {"pruning": "bytes-90", "tune_rate": 4.0}
    long, longest, wide_halted = {"steps": 12_000}, {"steps": 36_000}, WHOLE | GLOBAL | {"prune_at": 0.5}
    rich, key = {"frames": 480, "folds": "rich"}, {"frames": 480, "lighting": "key"}
    everywhere = {
        "local{}_over_global64_db": (shipped, rival),
        "local_near_inputs{}_over_global64_db": (best, rival),
        "local{}_over_global64_8000_steps_db": (shipped | {"steps": 8000}, rival | {"steps": 8000}),
        "local{}_over_global64_12000_steps_db": (shipped | long, rival | long | {"decay": "cosine"}),
        "local{}_over_global64_exponential_12000_steps_db": (shipped | long, rival | long),
        "local{}_over_global64_36000_steps_db": (shipped | longest, wide_halted | longest),
        "pruned90{}_minus_unpruned_db": (BY_PART, kept),
        "pruned90{}_minus_unpruned_12000_steps_db": (BY_PART | long, kept | long),
        "pruned90{}_minus_unpruned_36000_steps_db": (BY_PART | longest, kept | longest),
        "pruned90{}_minus_unpruned_same_rates_db": (BY_PART, RAISED),
        "pruned90{}_minus_unpruned_same_rates_12000_steps_db": (BY_PART | long, RAISED | long),
        "raised_rates{}_unpruned_12000_steps_db": (RAISED | long, kept | long),
        "features_by_part{}_over_even_db": (BY_PART, FEW),
        "features_by_part{}_over_even_12000_steps_db": (BY_PART | long, FEW | long),
        "features_by_part{}_over_even_key_light_db": (BY_PART | key, FEW | key),
        "features_by_part_3{}_over_4_db": (BY_PART_3, BY_PART),
        "features_by_part_6{}_over_4_db": (BY_PART_6, BY_PART),
        "pruned90_even_features{}_minus_unpruned_db": (FEW, kept),
        "pruned90_even_features{}_minus_unpruned_12000_steps_db": (FEW | long, kept | long),
        "pruned90_even_features{}_minus_unpruned_key_light_db": (FEW | key, kept | key),
        "features_cut{}_minus_unpruned_same_rates_db": (ALL_OF_FEW, RAISED),
        "pruned90_even_features{}_minus_features_cut_db": (FEW, ALL_OF_FEW),
        "pruned90_6_features{}_minus_4_db": (SIX, FEW),
        "pruned90_late{}_minus_unpruned_db": (FEW_LATE, kept),
        "pruned90_16_features{}_minus_unpruned_db": (PRUNED, kept),
        "pruned90_8_features{}_minus_unpruned_db": (NARROW, kept),
        "pruned90_top_of_each{}_minus_unpruned_db": (TOP, kept),
        "pruned90{}_minus_unpruned_key_light_db": (BY_PART | key, kept | key),
        "pruned90_near_inputs{}_minus_unpruned_db": (near_pruned, near_kept),
        "more_parts_512{}_db": (shipped | {"parts": 512}, shipped),
        "more_features_32{}_db": (shipped | {"basis_size": 32}, shipped),
        "input_reach_2{}_db": (shipped | {"input_reach": 2}, shipped),
        "late_l1_terms_pruned{}_db": (PRUNED | {"sparsity": True, "sparsity_from": 0.45}, PRUNED),
    }
    asked = {
        name.format(tail): (f"{place}_psnr_crop", *sides)
        for name, sides in everywhere.items()
        for tail, place in PLACES.items()
    }
    return asked | {
        "local_over_global64_paper_terms_db": (view, NONE, wide),
        "local_over_global16_paper_terms_db": (view, NONE, NONE | {"features": "global16"}),
        "local_over_global64_480_frames_db": (view, NONE | {"frames": 480}, wide | {"frames": 480}),
        "local_over_global64_480_frames_rich_folds_db": (view, NONE | rich, wide | rich),
        "local_over_global64_480_frames_key_light_db": (view, NONE | key, wide | key),
        "correctives_over_none_db": (view, shipped, bare),
        "correctives_over_none_paper_terms_db": (view, NONE, bare),
        "pruned90_top_of_each_minus_unpruned_paper_terms_db": (view, {"pruning": "top-90"}, NONE),
        "pruned90_by_image_minus_unpruned_paper_terms_db": (view, {"pruning": "bytes-90"}, NONE),
        "pruned90_top_of_each_minus_unpruned_paper_terms_key_light_db": (view, {"pruning": "top-90"} | key, NONE | key),
        "pruned90_by_image_minus_unpruned_paper_terms_key_light_db": (view, {"pruning": "bytes-90"} | key, NONE | key),
        "far_pose_gain_db": (far, best, shipped),
        "far_pose_gain_view_change_db": (view, best, shipped),
        "far_pose_gain_near_change_db": ("near_psnr_crop", best, shipped),
        "far_pose_gain_over_paper_terms_db": (far, best, NONE),
    }


def measured(rows: Rows, name: str, value: str, a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """The figure, its spread and its number of seeds, on the test's pictures where rows have them; then also on those
    that settings were chosen by."""
    stem, found = name.removesuffix("_db"), difference(rows, f"test_{value}", a, b)
    chosen_by = difference(rows, value, a, b)
    if chosen_by is None:
        return {}
    result: dict[str, Any] = {}
    for tail, it in (("", found or chosen_by), ("_validation", chosen_by if found else None)):
        if it is not None:
            result |= {f"{stem}{tail}_db": it[0], f"{stem}{tail}_spread_db": it[1], f"{stem}{tail}_seeds": it[2]}
    return result | {f"{stem}_split": "test" if found else "validation"}


def figures(rows: Rows) -> dict[str, Any]:
    """The named figures; a difference comes with its spread and its number of seeds."""
    result: dict[str, Any] = {}
    for name, asked in pairs().items():
        result |= measured(rows, name, *asked)
    for tail, old in (("", "near"), ("_far", "far")):
        short = f"pruned90_{old}_minus_unpruned"
        for end in ("_db", "_spread_db", "_seeds", "_split"):
            if short + end in result:
                result[f"novel_pose{tail}_pruned_minus_unpruned{end}"] = result[short + end]
    clamped = [r["far_clamped_psnr_crop"] - r["far_psnr_crop"] for r in rows if matches(r, **NONE)]
    if clamped:
        result["far_pose_gain_of_clamping_inputs_paper_terms_db"] = float(np.mean(clamped))
    covered = [r for r in rows if matches(r, **NONE | LOCAL) and "view_coverage" in r]
    for which in ("view", "near", "far") if covered else ():
        for name in ("coverage", "holes", "leak", "floaters"):
            result[f"{which}_{name}"] = float(np.mean([r[f"{which}_{name}"] for r in covered]))
    kinds: tuple[tuple[str, dict[str, Any]], ...] = (
        ("top_of_each", TOP),
        ("by_image_16_features", PRUNED),
        ("by_image_8_features", NARROW),
        ("by_image", BY_PART),
        ("by_image_12000_steps", BY_PART | {"steps": 12_000}),
        ("by_image_even_features", FEW),
        ("by_image_even_features_12000_steps", FEW | {"steps": 12_000}),
        ("by_image_6_features", SIX),
        ("by_image_all_correctives", ALL_OF_FEW),
        ("by_image_late", FEW_LATE),
    )
    for name, setting in kinds:
        sizes = [r["file_bytes"] for r in rows if matches(r, **setting) and "file_bytes" in r]
        if sizes:
            result[f"file_{name}_mb"] = float(np.mean(sizes)) / 1e6
    return result | time_to_reference(rows)


TARGET_DB = 0.1
"""Below the reference."""


def time_to_reference(rows: Rows) -> dict[str, Any]:
    """What share of the seconds of the paper's schedule the shipped one takes to its views less 0.1 dB.

    Plan "convergence": alone on a card, without compiling. How many steps: from whole runs of the shipped schedule,
    between two of which the logarithm of the steps is interpolated, and where the shortest is good enough already, its
    length at most. Seconds of a step: from the runs that were made by the reference's process. Errors: none;
    without the rows, nothing.
    """
    value = "view_psnr_crop"
    alone = [r for r in rows if " convergence" in r["command"] and r["row"]["seed"] == 0]
    whole = [r for r in alone if matches(r, steps=r["row"]["steps"], **NONE)]
    runs = [r for r in alone if matches(r, steps=r["row"]["steps"], **NONE | SHIPPED)]
    longest = max(whole, key=lambda r: r["row"]["steps"], default=None)
    beside = [r for r in runs if longest and r.get("process_started") == longest.get("process_started")]
    if longest is None or not beside:
        return {}
    target = longest[value] - TARGET_DB
    curve = [*longest.get("curve", []), [longest["row"]["steps"], longest["train_s"], longest[value]]]
    own = next((seconds for _, seconds, db in curve if db >= target), longest["train_s"])
    runs.sort(key=lambda r: r["row"]["steps"])
    steps, found = (np.array([x(r) for r in runs], float) for x in (lambda r: r["row"]["steps"], lambda r: r[value]))
    hours = 280_000 * longest["step_ms"] / 3_600_000
    result: dict[str, Any] = {
        "reference_steps": longest["row"]["steps"],
        "reference_train_s": longest["train_s"],
        "reference_view_db": longest[value],
        "reference_curve_steps_s_db": curve,
        "reference_own_curve_share_to_minus_0p1_db": own / longest["train_s"],
        "reference_device": longest["device"],
        "reference_db_of_the_last_doubling": gain_of_doubling(curve),
        "fast_runs_steps_db": [[r["row"]["steps"], r[value]] for r in runs],
        "fast_runs_beside_the_reference_steps_s_db": [[r["row"]["steps"], r["train_s"], r[value]] for r in beside],
        "fast_db_of_a_doubling": float((found[-1] - found[0]) / np.log2(steps[-1] / steps[0]))
        if len(runs) > 1
        else 0.0,
        "extrapolated_280k_steps_h": hours,
    }
    if found.max() < target:
        return result | {"fast_best_below_reference_db": longest[value] - float(found.max())}
    step_s = sum(r["train_s"] for r in beside) / sum(r["row"]["steps"] for r in beside)
    at = float(np.exp(np.interp(target, found, np.log(steps))))
    reached = [r["train_s"] for r in beside if r[value] >= target]
    if reached:
        result["time_share_of_a_whole_run_that_got_there"] = min(reached) / longest["train_s"]
    return result | {
        "time_share_to_reference_minus_0p1_db": at * step_s / longest["train_s"],
        "steps_to_reference_minus_0p1_db": at,
        "seconds_to_reference_minus_0p1_db": at * step_s,
        "extrapolated_share_of_280k_steps_min": 60 * hours * at * step_s / longest["train_s"],
    }


def gain_of_doubling(curve: list[list[float]]) -> float:
    """Decibels from half of the run to its end (its decay included)."""
    steps, found = (np.array([point[i] for point in curve], float) for i in (0, 2))
    return float(found[-1] - np.interp(steps[-1] / 2, steps, found))
