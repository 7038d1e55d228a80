"""Which rows there are, in the order of importance, grouped by what they share."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.bench.quality_rows import Features, Row

Group = list[Row]
"""Rows that share a trunk."""
Job = list[Group]
"""Groups that share a capture; one process takes them all."""


def prunings(row: Row, *names: str) -> Group:
    return [replace(row, pruning=name) for name in names]


def features(base: Row, kind: Features) -> Row:
    return replace(base, model=replace(base.model, features=kind))


def headline(base: Row) -> list[Job]:
    """In the order of importance."""
    local, wide = base, features(base, "global64")
    groups = [
        prunings(local, "none", "top-90", "bytes-90", "top-50", "top-75", "top-95", "top-90+nofold"),
        prunings(wide, "none"),
    ]
    for seed in (1, 2):
        groups.append(prunings(replace(local, seed=seed), "none", "top-90", "bytes-90"))
        groups.append(prunings(replace(wide, seed=seed), "none"))
    groups += [
        prunings(replace(base, steps=2 * base.steps), "none"),
        prunings(replace(base, model=replace(base.model, input_reach=1)), "none"),
        prunings(features(base, "none"), "none"),
        prunings(features(base, "global16"), "none"),
    ]
    return [[group] for group in groups]


def grid(base: Row) -> list[Job]:
    """One thing of the capture changed at a time: what opens the gap between local and global features."""
    short = replace(base, capture=replace(base.capture, frames=480))
    rich, key_light = (
        replace(base, capture=replace(short.capture, **change)) for change in ({"folds": "rich"}, {"lighting": "key"})
    )
    return [
        [prunings(rich, "none"), prunings(features(rich, "global64"), "none")],
        [prunings(key_light, "none", "top-90", "bytes-90"), prunings(features(key_light, "global64"), "none")],
        [prunings(short, "none"), prunings(features(short, "global64"), "none")],
    ]


def more(base: Row) -> list[Job]:
    """Terms left out, noise on the pose, half and twice the steps, other rates of the networks."""
    half = replace(base, steps=base.steps // 2)
    rates = [("local", 1e-3), ("global64", 2e-4), ("global64", 1e-3)]
    groups = [
        prunings(replace(base, model=replace(base.model, sparsity=False)), "none", "top-90"),
        prunings(half, "none"),
        prunings(features(half, "global64"), "none"),
        *(prunings(replace(half, model=replace(half.model, features=f, mlp_rate=r)), "none") for f, r in rates),
        prunings(replace(base, model=replace(base.model, input_noise=0.05)), "none"),
        prunings(features(replace(base, steps=2 * base.steps), "global64"), "none"),
    ]
    return [[group] for group in groups]


def tuned(base: Row) -> list[Job]:
    """What the other plans found, together: near joints only, no L1 terms, a higher rate of the part networks; against
    one global feature without L1 terms, whose own rate was best."""
    best = replace(base, model=replace(base.model, input_reach=1, sparsity=False, mlp_rate=1e-3))
    wide = replace(base, model=replace(base.model, features="global64", sparsity=False))
    groups = [prunings(best, "none", "bytes-90", "top-90"), prunings(wide, "none")]
    groups += [prunings(replace(best, seed=1), "none", "bytes-90"), prunings(replace(wide, seed=1), "none")]
    return [[group] for group in groups]


def tuned_local(base: Row) -> Row:
    """Near joints only, no L1 terms, a higher rate of the part networks."""
    return replace(base, model=replace(base.model, input_reach=1, sparsity=False, mlp_rate=1e-3))


def tuned_global(base: Row, rate: float = 0.0) -> Row:
    return replace(base, model=replace(base.model, features="global64", sparsity=False, mlp_rate=rate))


def model(row: Row, **changes: Any) -> Row:
    return replace(row, model=replace(row.model, **changes))


def scheduled(row: Row, pruning: str = "none", **changes: Any) -> Row:
    return replace(row, pruning=pruning, schedule=replace(row.schedule, **changes))


def search(base: Row) -> list[Job]:
    """Rates of both variants without L1 terms, how to prune, what else might help; one seed."""
    best = tuned_local(base)
    late = scheduled(best, prune_at=0.4)
    fast = scheduled(best, decay="cosine", pose_rate=2.0)
    groups = [
        [
            *prunings(best, "none", "spread-90"),
            *(scheduled(best, name, tune_rate=3.0) for name in ("bytes-90", "spread-90")),
        ],
        [*prunings(late, "bytes-90", "spread-90"), scheduled(late, "spread-90", rounds=3)],
        prunings(tuned_global(base), "none"),
        prunings(tuned_global(base, 2e-4), "none"),
        prunings(scheduled(best, pose_rate=2.0), "none"),
        prunings(scheduled(tuned_global(base), pose_rate=2.0), "none"),
        prunings(scheduled(best, decay="cosine"), "none"),
        prunings(scheduled(tuned_global(base), decay="cosine"), "none"),
        prunings(fast, "none", "bytes-90"),
        prunings(scheduled(model(best, sparsity=True), sparsity_from=0.4), "none", "bytes-90", "spread-90"),
        prunings(model(best, mask_weight=0.1), "none"),
        prunings(model(best, parts=512), "none"),
        prunings(replace(scheduled(best, cameras=2), steps=2 * base.steps), "none"),
        prunings(model(best, input_reach=0), "none"),
        prunings(model(best, sparsity=True), "none", "bytes-90"),
        prunings(scheduled(best, pose_rate=4.0, decay="cosine"), "none"),
        prunings(scheduled(best, pose_rate=2.0, static_rate=2.0, decay="cosine"), "none"),
        prunings(scheduled(tuned_global(base), pose_rate=2.0, decay="cosine"), "none"),
        prunings(model(best, basis_size=32), "none"),
        prunings(replace(best, seed=1), "none"),
        prunings(replace(best, seed=2), "none"),
        prunings(replace(tuned_global(base), seed=1), "none"),
        prunings(replace(tuned_global(base), seed=2), "none"),
    ]
    return [[group] for group in groups]


PLANS: dict[str, Callable[[Row], list[Job]]] = {
    "headline": headline, "grid": grid, "more": more, "tuned": tuned, "search": search,
}  # fmt: skip
