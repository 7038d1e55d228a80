"""Row files of the quality benchmark -> results/quality.json, docs/quality.md and its picture strips."""

import json
import shutil
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.common import RESULTS, write
from tests.bench.quality_figures import (
    BY_PART,
    FEW,
    GLOBAL,
    LOCAL,
    NONE,
    PRUNED,
    SHIPPED,
    STEPS,
    TOP,
    Rows,
    figures,
    load,
    matches,
    schedule_of,
)
from tests.bench.quality_rows import ModelSpec, Schedule

DOCS = Path(__file__).resolve().parents[2] / "docs"
HEAD = """# Quality, measured

The person of `mobavatar demo-data`, drawn on the GPU and kept in memory ({device}).
`python -m tests.bench.quality run PLAN ...` makes the rows, `... merge` this page; plans: {plans}.
The last tables are of captures on disk.

Decibels are PSNR on the person's crop over white. Settings were chosen by two of the twelve cameras, which training
does not see: **view** in trained poses, **near** in poses between trained ones, **far** in another motion with all
angles a quarter larger. **test** are pictures that nothing was chosen by: two cameras 12 degrees beside those two,
other trained frames, other frames between them, and a third motion for far poses. Figures are of the test where rows
have it; rows from before the split have not, and figures of them say so below. SSIM is of the crop; it also stands in
for LPIPS, whose network's weights were not at hand, as the perceptual term of training ("ssim", weight 0.1). Every
line has the same number of steps for its variant, four pictures each, pruning after 5/7 of them if no other share is
named. Means over the seeds; +- is half the range. The first table is the point that was fixed before anything was
measured: 1,200 frames (1,020 trained), twelve cameras, 1,024 px, 200,000 Gaussians, {steps} steps. A run of the paper
has 280,000.

**local**: 256 parts with 16 features of the pose each; **global**: one vector of features for the whole body, by a
network of as many parameters. **as shipped**: the terms, rates and decay of `mobavatar-fast` (no L1 terms, networks
at a rate of 0.001, twice the rates of what answers to the pose, cosine decay); without these words, the paper's, but
for what is named. **pruned**: so many correctives of each attribute, by the paper's score; or, by image error, the
bytes of so many of each (with the features that are left), divided among the attributes by what the picture would
lose. The exported file is what `ns-export mobavatar` writes in full precision.
"""
PLANS = (
    "headline", "grid", "more", "tuned", "search", "fair", "seeds", "pruned", "pruning", "pruning-paired",
    "fewer-features", "fewer-features-paired", "pruning-key-light", "convergence", "longer", "longer-paired", "closing",
    "longer-global", "longest", "by-part-apart", "candidates",
)  # fmt: skip
"""Those that found a GPU."""


AS_SHIPPED = "as shipped"
SHIPPED_SCHEDULE = {"decay": "cosine", "pose_rate": 2.0}
"""With no L1 terms and the networks' rate of 1e-3: what `mobavatar-fast` does."""


def label(row: dict[str, Any]) -> str:
    """What a person calls the row; `HEAD` explains the words."""
    model, found = asdict(ModelSpec()) | row["row"]["model"], schedule_of(row)
    names = {"local": "local", "none": "no correctives"} | {f"global{k}": f"global {k}" for k in (16, 64)}
    shipped = not model["sparsity"] and model["mlp_rate"] == 1e-3
    shipped = shipped and all(found[name] == value for name, value in SHIPPED_SCHEDULE.items())
    parts = [names[model["features"]], *([AS_SHIPPED] if shipped else [])]
    if model["parts"]:
        parts.append(f"{model['parts']} parts")
    if model["basis_size"]:
        parts.append(f"{model['basis_size']} features")
    if model["input_reach"]:
        parts.append(f"inputs within {model['input_reach']} bone{'s' if model['input_reach'] > 1 else ''}")
    if not model["sparsity"] and not shipped:
        parts.append("no L1 terms")
    if model["input_noise"]:
        parts.append(f"noise of {model['input_noise']} rad on the pose")
    if model["mlp_rate"] and not shipped:
        parts.append(f"network rate {model['mlp_rate']:g}")
    parts += [f"{model[name]} {text}" for name, text in LATER_MODEL.items() if model[name]]
    parts += scheduled(row, tuple(SHIPPED_SCHEDULE) if shipped else ())
    return ", ".join([*parts, *pruned(row, model["basis_size"] or 16, found["keep_features"], found["by_part"])])


def pruned(row: dict[str, Any], trained: int, kept: int, by_part: bool) -> list[str]:
    """How it is pruned, in words."""
    pruning = row["row"]["pruning"]
    kind, _, percent = pruning.removesuffix("+nofold").partition("-")
    if kind == "none":
        return []
    if percent == "0":
        cut = f"all correctives, {kept} of {trained} features kept"
        return [cut if kept else "unpruned, from the trunk of pruned ones"]
    count = round((100 - float(percent)) / 100 * row["row"]["model"]["gaussians"])
    features = f", {kept} of {trained} features kept{' on average' if by_part else ''}" if kept else ""
    words = {
        "top": f"**pruned**: {count:,} of each by variance",
        "bytes": f"**pruned** by image error: bytes of {count:,}",
    }
    words["file"] = f"**pruned** by image error: file of {count:,}"
    words["spread"] = words["bytes"] + ", spread over the surface"  # an option that gained nothing and is gone
    return [words[kind] + features, *(["mean not folded in"] if pruning.endswith("+nofold") else [])]


LATER_MODEL = {
    "mask_weight": "as weight of the mask term",
    "edge_band_px": "px at the mask's edge left out",
}


def scheduled(row: dict[str, Any], known: tuple[str, ...] = ()) -> list[str]:
    """How its schedule differs from the paper's, in words; but for what is `known`."""
    found, plain = schedule_of(row), asdict(Schedule())
    words = {
        "pose_rate": "{:g} x the rates of what answers to the pose",
        "static_rate": "{:g} x the other rates",
        "decay": "{} decay",
        "cameras": "{} pictures a step",
        "prune_at": "pruned after {:.0%} of the steps",
        "rounds": "in {} rounds",
        "tune_rate": "{:g} x the rates after pruning",
        "probes": "{} pictures for the score",
        "warm_up": "no correctives for {:.0%}",
        "coarse_until": "half the resolution for {:.0%}",
        "sparsity_from": "L1 terms from {:.0%} on",
    }
    if row["row"]["pruning"] == "top-0":
        words |= {"prune_at": "from {:.0%} of the steps on", "tune_rate": "{:g} x the rates"}
    return [
        text.format(found[name]) for name, text in words.items() if found[name] != plain[name] and name not in known
    ]


def cells(rows: Rows) -> str:
    """One line of the table: view, near, far, SSIM, bytes of the bases, seeds."""

    def mean(value: str, digits: int = 2) -> str:
        found = [r[value] for r in rows if value in r]
        if not found:
            return "-"
        spread = f" +- {np.ptp(found) / 2:.2f}" if len(found) > 1 and digits == 2 else ""
        return f"{np.mean(found):.{digits}f}{spread}"

    kept = f"{rows[0].get('kept_bytes', 0) / 1e6:.1f}"
    if files := [r["file_bytes"] for r in rows if "file_bytes" in r]:
        kept += f" / {np.mean(files) / 1e6:.2f}"
    tested = [r for r in rows if "test_view_psnr_crop" in r]
    decibels = " | ".join(mean(f"{which}_psnr_crop") for which in ("view", "near", "far", "far_clamped"))
    decibels += " | " + " / ".join(
        f"{np.mean([r[f'test_{which}_psnr_crop'] for r in tested]):.2f}" if tested else "-"
        for which in ("view", "near", "far")
    )
    return f"{decibels} | {mean('view_ssim_crop', 4)} | {kept} | {len(rows)} |"


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
            "| variant | view | near | far | far, inputs clamped | test: view / near / far | SSIM "
            "| MB of bases / of the exported file | seeds |",
        ]
        lines += ["|---|---|---|---|---|---|---|---|---|"]
        best = sorted(variants.items(), key=lambda item: -np.mean([r["view_psnr_crop"] for r in item[1]]))
        lines += [f"| {name} | {cells(found)}" for name, found in best]
    return "\n".join(lines) + "\n" + strips


def coverage_table(rows: Rows) -> str:
    """What opacity does at the mask, of the fixed point's rows that measured it."""
    groups: dict[str, Rows] = defaultdict(list)
    for row in rows:
        if row["row"]["capture"] == rows_base(rows) and row["row"]["steps"] == STEPS and "view_coverage" in row:
            groups[label(row)].append(row)
    lines = [
        "",
        "## Opacity at the mask",
        "",
        "At the fixed point; shares in per cent (see `metrics.coverage_metrics`).",
        "",
    ]
    lines += ["| variant | coverage: view / near / far | holes | leak | floaters |", "|---|---|---|---|---|"]
    for name, found in sorted(groups.items()):
        cells = [
            " / ".join(
                f"{100 * np.mean([r[f'{which}_{key}'] for r in found]):.3f}" for which in ("view", "near", "far")
            )
            for key in ("coverage", "holes", "leak", "floaters")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n" if groups else ""


REAL = {"novel_pose": "held_out_frames", "novel_view": "held_out_camera"}


def load_real(folder: Path) -> Rows:
    """Runs of `quality_real`."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def real_table(runs: Rows) -> str:
    """Every capture, setting and seed."""
    lines = [
        "",
        "## Through ns-train",
        "",
        "`tests/bench/quality_real.py`: settings on captures on disk, crop PSNR in dB, shares in per cent. Seconds are "
        "with whatever else ran on the machine.",
        "",
    ]
    lines += [
        "| capture, method, steps | setting | seed | held-out frames | held-out camera | holes: frames / camera | leak "
        "| s, start included |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        r = run["results"]
        shares = [
            " / ".join(f"{100 * r[f'{tag}/{key}']:.2f}" for tag in REAL if f"{tag}/{key}" in r)
            for key in ("holes", "leak")
        ]
        decibels = " | ".join(f"{r[f'{tag}/psnr_crop']:.2f}" for tag in REAL)
        lines.append(
            f"| {run['capture']}, {run['method']}, {run['steps']} | {run['variant']} | {run['seed']} | {decibels} | "
            f"{' | '.join(shares)} | {run['train_with_start_s']:.0f} |"
        )
    return "\n".join(lines) + "\n" if runs else ""


PLAIN = ("paper", "before")
UNPRUNED = {
    **dict.fromkeys(("shipped", "even-features", "pruned-by-variance"), "unpruned"),
    "all-features": "all-features-unpruned",
}
"""Settings that prune, and what prunes nothing."""


def real_figures(runs: Rows) -> dict[str, Any]:
    """Each setting less "paper" (or "before") and pruned ones less unpruned, on the same capture and seed, averaged
    over the seeds."""
    result: dict[str, Any] = {}
    found: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        variant = run["variant"]
        asked = {"": () if variant in PLAIN else PLAIN, "_minus_unpruned": (UNPRUNED.get(variant),)}
        for tail, wanted in asked.items():
            for other in runs:
                if other["variant"] not in wanted or any(other[k] != run[k] for k in ("capture", "seed")):
                    continue
                for tag, name in REAL.items():
                    key = f"{run['capture']}_{variant.replace('-', '_')}{tail}_{name}_db"
                    found[key].append(run["results"][f"{tag}/psnr_crop"] - other["results"][f"{tag}/psnr_crop"])
    for key, values in found.items():
        result |= {key: float(np.mean(values)), f"{key.removesuffix('_db')}_seeds": len(values)}
    return result


def rows_base(rows: Rows) -> dict[str, Any]:
    """The capture of the fixed point."""
    return next(r["row"]["capture"] for r in rows if matches(r, pruning="none"))


def show(rows: Rows, folder: Path) -> str:
    """Copies one strip of each main variant into docs/quality."""
    target = DOCS / "quality"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    lines = ["", "## Pictures", "", "A held-out view, a near and a far pose, seed 0.", ""]
    variants: list[dict[str, Any]] = [NONE | SHIPPED, NONE | LOCAL, NONE, NONE | GLOBAL, NONE | {"features": "none"}]
    for spec in [*variants, BY_PART, FEW, PRUNED, TOP]:
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
    runs = load_real(RESULTS / "quality_real")
    (RESULTS / "quality.json").unlink(missing_ok=True)  # no figure of rows that are gone
    write("quality", result | real_figures(runs) | about)
    text = (
        HEAD.format(device=device, steps=STEPS, plans=", ".join(f"`{name}`" for name in PLANS))
        + "\n"
        + notes.read_text()
        + tables(rows, coverage_table(rows) + real_table(runs) + show(rows, folder))
    )
    (DOCS / "quality.md").write_text(text)
    print(f"{len(rows)} rows: {RESULTS / 'quality.json'}, {DOCS / 'quality.md'}")
