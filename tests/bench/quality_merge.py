"""Row files of the quality benchmark -> results/quality.json, docs/quality.md and its picture strips."""

import json
import shutil
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.common import RESULTS, write
from tests.bench.quality_rows import ModelSpec, Schedule

DOCS = Path(__file__).resolve().parents[2] / "docs"
BASE = {"frames": 1200, "lighting": "dome", "folds": "plain", "side": 1024}
STEPS = 4500
Rows = list[dict[str, Any]]
HEAD = """# Quality, measured

Synthetic pictures only: the person of `mobavatar demo-data`, drawn on the GPU and kept in memory
(`python -m tests.bench.quality run headline grid more tuned`, then `... merge`; {device}). Decibels are PSNR on the
person's crop over white, on the two of twelve cameras that were held out: **view** in trained poses, **near** in poses
between trained ones, **far** in another motion with all angles a quarter larger. SSIM is of the crop; it also stands in
for LPIPS, whose network's weights were not at hand, as the perceptual term of training ("ssim", weight 0.1). Every line
has the same number of steps for its variant, four pictures each, pruning after 5/7 of them. Means over the seeds; +-
is half the range. The first table is the point that was fixed before anything was measured: 1,200 frames (1,020
trained), twelve cameras, 1,024 px, 200,000 Gaussians, {steps} steps. A run of the paper has 280,000.
"""


def load(folder: Path) -> Rows:
    """All rows, each with the name of its file."""
    rows = [json.loads(path.read_text()) | {"name": path.stem} for path in sorted(folder.glob("*.json"))]
    if not rows:
        raise SystemExit(f"{folder}: expected row files, found none; run `python -m tests.bench.quality run headline`")
    return rows


def label(row: dict[str, Any]) -> str:
    """What a person calls the row."""
    model, pruning = row["row"]["model"], row["row"]["pruning"]
    names = {"local": "local, 256 parts x 16", "none": "no correctives"}
    names |= {f"global{k}": f"one global feature of {k}" for k in (16, 64)}
    parts = [names[model["features"]]]
    if model["input_reach"]:
        parts.append(f"inputs within {model['input_reach']} bone")
    if not model["sparsity"]:
        parts.append("no L1 terms")
    if model["input_noise"]:
        parts.append(f"noise of {model['input_noise']} rad on the pose")
    if model["mlp_rate"]:
        parts.append(f"network rate {model['mlp_rate']:g}")
    parts += [f"{model[name]} {text}" for name, text in LATER_MODEL.items() if model.get(name)]
    parts += scheduled(row)
    kind, _, percent = pruning.removesuffix("+nofold").partition("-")
    ways = {"top": "{}% pruned", "bytes": "bytes of {}% pruned, divided by image error"}
    ways["spread"] = ways["bytes"] + " and spread"
    if kind in ways:
        parts.append(ways[kind].format(percent))
    if pruning.endswith("+nofold"):
        parts.append("mean not folded in")
    return ", ".join(parts)


LATER_MODEL = {"parts": "parts", "basis_size": "features per part", "mask_weight": "as weight of the mask term"}


def schedule_of(row: dict[str, Any]) -> dict[str, Any]:
    """With the defaults where the row is older than the schedule."""
    return asdict(Schedule()) | row["row"].get("schedule", {})


def scheduled(row: dict[str, Any]) -> list[str]:
    """How its schedule differs from the product's, in words."""
    found, plain = schedule_of(row), asdict(Schedule())
    words = {
        "pose_rate": "{:g} x the rates of what answers to the pose",
        "static_rate": "{:g} x the other rates",
        "decay": "{} decay",
        "cameras": "{} pictures a step",
        "prune_at": "pruned after {:.0%}",
        "rounds": "in {} rounds",
        "tune_rate": "{:g} x the rates after pruning",
        "sparsity_from": "L1 terms from {:.0%} on",
    }
    return [text.format(found[name]) for name, text in words.items() if found[name] != plain[name]]


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


def figures(rows: Rows) -> dict[str, Any]:
    """The named figures; a difference comes with its spread and its number of seeds."""
    view, near, far = (f"{which}_psnr_crop" for which in ("view", "near", "far"))
    none: dict[str, Any] = {"pruning": "none"}
    wide, bare = none | {"features": "global64"}, none | {"features": "none"}
    reach = none | {"input_reach": 1}
    tuned: dict[str, Any] = {"input_reach": 1, "sparsity": False, "mlp_rate": 1e-3}
    rich, key = {"frames": 480, "folds": "rich"}, {"frames": 480, "lighting": "key"}
    asked: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
        "local_over_global64_db": (view, none, wide),
        "local_over_global16_db": (view, none, none | {"features": "global16"}),
        "local_over_global64_480_frames_db": (view, none | {"frames": 480}, wide | {"frames": 480}),
        "local_over_global64_480_frames_rich_folds_db": (view, none | rich, wide | rich),
        "local_over_global64_480_frames_key_light_db": (view, none | key, wide | key),
        "local_over_global64_half_the_steps_db": (view, none | {"steps": STEPS // 2}, wide | {"steps": STEPS // 2}),
        "local_over_global64_twice_the_steps_db": (view, none | {"steps": 2 * STEPS}, wide | {"steps": 2 * STEPS}),
        "local_reach1_over_global64_db": (view, reach, wide),
        "local_reach1_over_global64_far_db": (far, reach, wide),
        "local_tuned_over_global64_without_l1_db": (view, none | tuned, wide | {"sparsity": False}),
        "local_tuned_over_global64_without_l1_far_db": (far, none | tuned, wide | {"sparsity": False}),
        "budget_pruned_minus_unpruned_tuned_db": (view, tuned | {"pruning": "bytes-90"}, none | tuned),
        "local_tuned_over_global64_db": (view, none | tuned, wide),
        "local_tuned_over_global64_near_db": (near, none | tuned, wide),
        "local_tuned_over_global64_far_db": (far, none | tuned, wide),
        "local_tuned_over_plain_local_far_db": (far, none | tuned, none),
        "correctives_over_none_db": (view, none, bare),
        "pruned90_minus_unpruned_db": (view, {"pruning": "top-90"}, none),
        "budget_pruned_minus_unpruned_db": (view, {"pruning": "bytes-90"}, none),
        "budget_pruned_minus_unpruned_key_light_db": (view, {"pruning": "bytes-90"} | key, none | key),
        "pruned90_minus_unpruned_key_light_db": (view, {"pruning": "top-90"} | key, none | key),
        "novel_pose_pruned_minus_unpruned_db": (near, {"pruning": "bytes-90"}, none),
        "novel_pose_far_pruned_minus_unpruned_db": (far, {"pruning": "bytes-90"}, none),
        "far_pose_gain_db": (far, reach, none),
        "far_pose_gain_view_change_db": (view, reach, none),
        "far_pose_gain_near_change_db": (near, reach, none),
    }
    result: dict[str, Any] = {}
    for name, (value, a, b) in asked.items():
        found = difference(rows, value, a, b)
        if found is not None:
            stem = name.removesuffix("_db")
            result |= {name: found[0], f"{stem}_spread_db": found[1], f"{stem}_seeds": found[2]}
    clamped = [r["far_clamped_psnr_crop"] - r[far] for r in rows if matches(r, **none)]
    result["far_pose_gain_of_clamping_inputs_db"] = float(np.mean(clamped))
    return result | time_to_reference(rows, view)


def time_to_reference(rows: Rows, value: str) -> dict[str, Any]:
    """Schedules of several lengths, each run whole: what share of the longest one's time its figure less 0.1 dB takes,
    linear in the logarithm of the steps between the measured lengths."""
    whole = [r for r in rows if matches(r, steps=r["row"]["steps"], pruning="none") and r["row"]["seed"] == 0]
    runs = sorted((r["row"]["steps"], r[value], r["train_s"]) for r in whole)
    steps, quality, seconds = (np.array(x, float) for x in zip(*runs))
    target = quality[-1] - 0.1
    at = float(np.exp(np.interp(target, quality, np.log(steps))))
    per_step = seconds[-1] / steps[-1]
    return {
        "time_share_to_reference_minus_0p1_db": at / float(steps[-1]),
        "reference_steps": int(steps[-1]),
        "reference_train_s": float(seconds[-1]),
        "extrapolated_280k_steps_h": 280_000 * per_step / 3600,
    }


def cells(rows: Rows) -> str:
    """One line of the table: view, near, far, SSIM, bytes of the bases, seeds."""

    def mean(value: str, digits: int = 2) -> str:
        found = [r[value] for r in rows]
        spread = f" +- {np.ptp(found) / 2:.2f}" if len(found) > 1 and digits == 2 else ""
        return f"{np.mean(found):.{digits}f}{spread}"

    kept = rows[0].get("kept_bytes", 0) / 1e6
    decibels = " | ".join(mean(f"{which}_psnr_crop") for which in ("view", "near", "far", "far_clamped"))
    return f"{decibels} | {mean('view_ssim_crop', 4)} | {kept:.1f} | {len(rows)} |"


def tables(rows: Rows, strips: str) -> str:
    """All rows, a table for each capture and number of steps; the fixed point first."""
    groups: dict[str, dict[str, Rows]] = defaultdict(lambda: defaultdict(list))
    order = sorted(rows, key=lambda r: (r["row"]["capture"] != rows_base(rows), r["row"]["steps"] != STEPS))
    for row in order:
        c, steps = row["row"]["capture"], row["row"]["steps"]
        title = f"{c['frames']} frames, {c['lighting']} light, {c['folds']} folds, {c['side']} px, {steps} steps"
        groups[title][label(row)].append(row)
    lines = []
    for title, variants in groups.items():
        lines += [
            "",
            f"## {title}",
            "",
            "| variant | view | near | far | far, inputs clamped | SSIM | MB of bases | seeds |",
        ]
        lines += ["|---|---|---|---|---|---|---|---|"]
        best = sorted(variants.items(), key=lambda item: -np.mean([r["view_psnr_crop"] for r in item[1]]))
        lines += [f"| {name} | {cells(found)}" for name, found in best]
    return "\n".join(lines) + "\n" + strips


def rows_base(rows: Rows) -> dict[str, Any]:
    """The capture of the fixed point."""
    return next(r["row"]["capture"] for r in rows if matches(r, pruning="none"))


def show(rows: Rows, folder: Path) -> str:
    """Copies one strip of each main variant into docs/quality."""
    target = DOCS / "quality"
    target.mkdir(parents=True, exist_ok=True)
    lines = ["", "## Pictures", "", "A held-out view, a near and a far pose, seed 0.", ""]
    tuned: dict[str, Any] = {"input_reach": 1, "sparsity": False, "mlp_rate": 1e-3}
    variants: list[dict[str, Any]] = [tuned, {}, {"features": "global64"}, {"features": "none"}]
    wanted: list[dict[str, Any]] = [spec | {"pruning": "none"} for spec in variants] + [
        {"pruning": "bytes-90"},
        {"pruning": "top-90"},
    ]
    for spec in wanted:
        for row in rows:
            if matches(row, **spec) and row["row"]["seed"] == 0:
                shutil.copy(folder / f"{row['name']}.jpg", target / f"{row['name']}.jpg")
                lines += [f"{label(row)}:", "", f"![{label(row)}](quality/{row['name']}.jpg)", ""]
    return "\n".join(lines)


def merge(folder: Path, notes: Path = Path(__file__).parent / "quality_notes.md") -> None:
    """Write the figures and the page. `notes`: what a person says about them, put after the introduction."""
    rows = load(folder)
    device = " and ".join(sorted({r["device"] for r in rows}))
    result = figures(rows)
    about = {"device": device, "synthetic": True, "rows": len(rows), "command": "python -m tests.bench.quality merge"}
    write("quality", result | about)
    text = HEAD.format(device=device, steps=STEPS) + "\n" + notes.read_text() + tables(rows, show(rows, folder))
    (DOCS / "quality.md").write_text(text)
    print(f"{len(rows)} rows: {RESULTS / 'quality.json'}, {DOCS / 'quality.md'}")
