"""Which rows there are, in the order of importance, grouped by what they share."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nerfstudio_mobavatar.demo.shading import Lighting
from tests.bench.quality_rows import Features, Row, key

Group = list[Row]
"""Rows that share a trunk."""
Job = list[Group]
"""Groups that share a capture; one process takes them all."""
Later = Callable[[Path], Job]
"""A job that depends on the rows in the folder."""


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
            *prunings(best, "none", "bytes-90"),
            scheduled(best, "bytes-90", tune_rate=3.0),
        ],
        [*prunings(late, "bytes-90"), scheduled(late, "bytes-90", rounds=3)],
        prunings(tuned_global(base), "none"),
        prunings(tuned_global(base, 2e-4), "none"),
        prunings(scheduled(best, pose_rate=2.0), "none"),
        prunings(scheduled(tuned_global(base), pose_rate=2.0), "none"),
        prunings(scheduled(best, decay="cosine"), "none"),
        prunings(scheduled(tuned_global(base), decay="cosine"), "none"),
        prunings(fast, "none", "bytes-90"),
        prunings(scheduled(model(best, sparsity=True), sparsity_from=0.4), "none", "bytes-90"),
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


def best_of(folder: Path, rows: list[Row]) -> Row:
    """The one with the best views among those that are there; the first where none is."""
    found = {row: folder / f"{key(row)}.json" for row in rows}
    scores = {row: json.loads(path.read_text())["view_psnr_crop"] for row, path in found.items() if path.exists()}
    return max(scores, key=lambda row: scores[row]) if scores else rows[0]


def local_candidates(base: Row) -> list[Row]:
    best = tuned_local(base)
    cosine = scheduled(best, decay="cosine")
    return [scheduled(cosine, pose_rate=2.0), scheduled(cosine, pose_rate=4.0), cosine, scheduled(best, pose_rate=2.0)]


def global_candidates(base: Row) -> list[Row]:
    slow, plain = tuned_global(base, 2e-4), tuned_global(base)
    quick_bases = scheduled(tuned_global(base, 1e-4), decay="cosine", pose_rate=2.0)  # its networks at 2e-4
    return [*(scheduled(x, decay="cosine") for x in (slow, plain)), quick_bases, slow, plain]


def fair(base: Row) -> list[Job | Later]:
    """Both variants with their own best rates, then two more seeds of each one's best."""

    def again(candidates: list[Row], seed: int, *names: str) -> Later:
        return lambda folder: [prunings(replace(best_of(folder, candidates), seed=seed), *names)]

    local, wide = local_candidates(base), global_candidates(base)
    jobs: list[Job | Later] = [[[row]] for row in (local[0], wide[0], local[1], wide[1], wide[2])]
    all_inputs = model(local[0], input_reach=0)
    jobs += [again(local, 1, "none"), again(wide, 1, "none")]
    jobs += [[[all_inputs]], again(local, 2, "none"), again(wide, 2, "none")]
    jobs += [[[model(local[0], input_reach=2)]], [[replace(all_inputs, seed=1)]], [[replace(all_inputs, seed=2)]]]
    jobs += [[[model(local[0], parts=512)]], [[model(local[0], mask_weight=0.1)]]]
    return jobs


def paper(base: Row) -> Row:
    """The rates, terms and decay of the paper's schedule."""
    return base


def schedules(base: Row) -> list[Job | Later]:
    """Long runs of the paper's schedule and short ones of others, alone on a GPU each: time to the same views."""
    long, third = 20 * base.steps // 3, 20 * base.steps // 9
    quick = scheduled(model(base, sparsity=False, mlp_rate=1e-3), decay="cosine", pose_rate=2.0)
    rows = [
        scheduled(replace(paper(base), steps=long), curve_every=long // 12),
        replace(quick, steps=third),
        replace(model(quick, input_reach=1), steps=third),
        replace(scheduled(quick, pose_rate=4.0), steps=third),
        replace(scheduled(quick, pose_rate=4.0, static_rate=2.0), steps=third),
        replace(scheduled(quick, cameras=2), steps=3 * third // 2),
        replace(quick, steps=2 * third),
        scheduled(replace(quick, steps=long), curve_every=long // 12),
    ]
    return [[[row]] for row in rows]


def pruned(base: Row) -> list[Job | Later]:
    """How to prune without loss, and the best way with two more seeds and under a key light."""
    local = local_candidates(base)[0]

    def ways(row: Row) -> list[Row]:
        soon = scheduled(row, "bytes-90", prune_at=0.35, rounds=3)
        return [soon, scheduled(row, "bytes-90", tune_rate=4.0)]

    def again(seed: int, lighting: Lighting = "dome") -> Later:
        def job(folder: Path) -> Job:
            way = best_of(folder, ways(local))
            capture = base.capture if lighting == "dome" else replace(base.capture, frames=480, lighting=lighting)
            row = replace(way, seed=seed, capture=capture)
            return [[row, unpruned(row)]]

        return job

    def unpruned(row: Row) -> Row:
        """On the same trunk: two runs of one seed differ by a few hundredths of a decibel on a GPU."""
        return replace(row, pruning="top-0", schedule=local.schedule)

    return [[[*ways(local), unpruned(local)]], again(1), again(2), again(0, "key")]


def seeds(base: Row) -> list[Job | Later]:
    """More seeds of the best settings, the best local one with all inputs, and with fewer steps."""
    local, wide = local_candidates(base)[0], tuned_global(base, 2e-4)
    rows = [
        replace(wide, seed=1),
        model(local, input_reach=0),
        replace(wide, seed=2),
        replace(local, seed=2),
        replace(local, steps=2 * base.steps // 3),
        replace(model(local, input_reach=0), steps=2 * base.steps // 3),
        replace(local, steps=base.steps // 2),
        model(local, mask_weight=0.1),
        model(local, parts=512),
        replace(model(local, input_reach=0), seed=1),
    ]
    return [[[row]] for row in rows]


def shipped(base: Row) -> Row:
    """No L1 terms, all inputs, quick networks, cosine: what `mobavatar-fast` does."""
    return scheduled(model(base, sparsity=False, mlp_rate=1e-3), decay="cosine", pose_rate=2.0)


def ways_of_pruning(row: Row) -> Group:
    """From one trunk, at equal bytes; the first prunes nothing."""
    again = [scheduled(row, name, tune_rate=4.0) for name in ("bytes-90", "top-90")]
    return [replace(row, pruning="top-0"), again[0], *prunings(row, "top-90", "bytes-90"), again[1]]


def pruning(base: Row) -> list[Job]:
    """The paper's choice against what the picture loses, both with and without higher rates afterwards; then what might
    lose less: L1 terms that come late, half as many features per part and twice as many correctives."""
    row = shipped(base)
    late = scheduled(model(row, sparsity=True), "bytes-90", sparsity_from=0.45, tune_rate=4.0)
    return [
        [ways_of_pruning(row)],
        [[late, replace(late, schedule=replace(late.schedule, tune_rate=1.0))]],
        [[*narrow(row), replace(model(row, basis_size=8), pruning="top-0")]],
    ]


def narrow(row: Row, basis_size: int = 8) -> Group:
    """Fewer features per part, and so many more correctives that all bytes are those of a tenth with 16."""
    percent = {4: 64, 6: 75, 8: 81}[basis_size]
    return [scheduled(model(row, basis_size=basis_size), f"bytes-{percent}", tune_rate=4.0)]


def narrow_bases(base: Row) -> list[Job]:
    """Fewer features per part and more correctives at equal bytes; three seeds with 8."""
    rows = [replace(shipped(base), seed=seed) for seed in (0, 1, 2)]
    first, eight = narrow(rows[0])[0], model(rows[0], basis_size=8)
    soon = replace(first, schedule=replace(first.schedule, prune_at=0.6, tune_rate=2.0))
    jobs = [[[first, replace(first, pruning="bytes-85"), soon, replace(eight, pruning="top-0")]]]
    jobs += [[[*ways_of_pruning(rows[0])[:4], scheduled(rows[0], "file-90", tune_rate=4.0)]]]
    jobs += [[group] for row in rows[1:] for group in (ways_of_pruning(row)[:3], narrow(row))]
    return [*jobs, [narrow(rows[0], 4)], [narrow(rows[0], 6)]]


def pruning_paired(base: Row) -> list[Job]:
    """The default pruning and the paper's against none, three seeds, each from one trunk; half as many features; a test
    of the rival."""
    rows = [replace(shipped(base), seed=seed) for seed in (0, 1, 2)]
    jobs = [[ways_of_pruning(row)[: 4 if row.seed == 0 else 3]] for row in rows]
    eight = [[narrow(row)] for row in rows]
    return [jobs[0], [[tuned_global(base, 2e-4)]], eight[1], jobs[1], eight[0], eight[2], jobs[2]]


def fewer(row: Row, percent: float, **changes: Any) -> Row:
    """Pruned by what the picture loses, all rates four times as high afterwards; features cut, or other changes."""
    return scheduled(row, f"bytes-{percent:g}", **({"tune_rate": 4.0} | changes))


def fewer_features(base: Row) -> list[Job]:
    """Features cut at pruning or trained fewer from the start, earlier prunings, higher rates: one seed, files about as
    large as the paper's choice makes."""
    wide, eight, four = (model(shipped(base), basis_size=k) for k in (0, 8, 4))
    from_wide = [
        fewer(wide, 80.3, keep_features=8),
        replace(wide, pruning="top-0"),
        fewer(wide, 80.3, keep_features=8, tune_rate=8.0),
        fewer(wide, 80.3, keep_features=8, probes=510),
        fewer(wide, 89.6, tune_rate=8.0),
        fewer(wide, 64, keep_features=4),
        fewer(wide, 80.3, keep_features=8, prune_at=0.5, tune_rate=2.0),
    ]
    from_eight = [fewer(eight, 80.3), replace(eight, pruning="top-0")]
    return [[from_wide], [[fewer(four, 64), replace(four, pruning="top-0")]], [from_eight]]


def few(row: Row) -> Row:
    """Pruned after half of the steps to four features per part, and 72,000 correctives of each attribute in the bytes
    of 20,000 with 16."""
    return fewer(row, 64, keep_features=4, prune_at=0.5, tune_rate=2.0)


def by_part(row: Row) -> Row:
    """In as many bytes, but each part keeps as many features as they are worth, four on average."""
    first = few(row)
    return replace(first, schedule=replace(first.schedule, by_part=True))


def raised(row: Row) -> Row:
    """Unpruned, with the rates that `few` has after its pruning."""
    return scheduled(row, "top-0", prune_at=0.5, tune_rate=2.0)


def fewer_features_paired(base: Row) -> list[Job]:
    """What validation chose in `fewer_features` against none, three seeds."""
    rows = [replace(shipped(base), seed=seed) for seed in (0, 1, 2)]
    return [[[by_part(row), few(row), replace(row, pruning="top-0")]] for row in rows]


def file_size(base: Row) -> list[Job]:
    """The default's file beside those with as many features everywhere and by the paper's choice, three seeds."""
    return [[[*rows, scheduled(rows[-1], "top-90")]] for [rows] in fewer_features_paired(base)]


def by_part_apart(base: Row) -> list[Job]:
    """Other means than four features, one seed."""
    row = replace(shipped(base), seed=3)
    once = {"by_part": True, "prune_at": 0.5, "tune_rate": 2.0}
    three, six = (fewer(row, percent, keep_features=k, **once) for k, percent in ((3, 53.6), (6, 74.85)))
    return [[[by_part(row), three, six, few(row), raised(row), replace(row, pruning="top-0")]]]


def pruning_key_light(base: Row) -> list[Job]:
    """Three seeds under a lamp with hard shadows."""
    key_light = replace(base, capture=replace(base.capture, frames=min(480, base.capture.frames), lighting="key"))
    return fewer_features_paired(key_light)


def convergence(base: Row) -> list[Job]:
    """Alone on a card: the shipped schedule, three times as many steps of the paper's, and twice the pictures a step.
    Lengths that there is no time for are left out."""
    quick = shipped(base)
    rows = [replace(quick, steps=base.steps * 4 // 3)]
    lengths = range(base.steps * 4, 2 * base.steps, -base.steps * 2 // 3)
    rows += [scheduled(replace(paper(base), steps=n), curve_every=n // 12) for n in lengths]
    rows += [replace(scheduled(quick, cameras=8), steps=base.steps * n // 9) for n in (8, 4)]
    rows += [replace(quick, steps=base.steps * n // 9) for n in (16, 8)]
    return [[[row]] for row in rows]


def longer(base: Row) -> list[Job]:
    """More steps (12,000): what is left of local against global features when more of both has converged."""
    steps = base.steps * 8 // 3
    rows = [shipped(base), tuned_global(base, 2e-4), scheduled(tuned_global(base, 2e-4), decay="cosine")]
    return [[[scheduled(replace(row, steps=steps), curve_every=steps // 12)]] for row in rows]


def longer_paired(base: Row) -> list[Job]:
    """As many steps, three seeds: both prunings, none, and none with the raised rates, each seed from one trunk.

    On an H100 that another process trains on too, a seed takes about nine minutes; its trunk (460 MB) waits for the
    next process where time ends.
    """
    rows = [replace(shipped(base), steps=base.steps * 8 // 3, seed=seed) for seed in (1, 2, 0)]
    return [[[by_part(row), few(row), replace(row, pruning="top-0"), raised(row)]] for row in rows]


def longest(base: Row) -> list[Job]:
    """Three times as many again (36,000): local and global features, pruned and not. One job for a card, in several
    calls."""
    row, wide = (replace(row, steps=base.steps * 8) for row in (shipped(base), tuned_global(base, 2e-4)))
    return [[[scheduled(wide, "top-0", prune_at=0.5)]], [[by_part(row), replace(row, pruning="top-0")]]]


def earlier(base: Row) -> list[Job]:
    """Pruned after a fifth and a third of as many steps: the longer features train, the more of them hold something.
    The partner is seed 1 of `longer_paired`."""
    row = few(replace(shipped(base), steps=base.steps * 8 // 3, seed=1))
    return [[[scheduled(row, row.pruning, prune_at=at) for at in (0.2, 1 / 3)]]]


def longer_global(base: Row) -> list[Job | Later]:
    """As many steps of the rival: the other decay, then two more seeds of the better one."""
    slow = scheduled(replace(tuned_global(base, 2e-4), steps=base.steps * 8 // 3), curve_every=base.steps * 2 // 9)
    cosine = scheduled(slow, decay="cosine", curve_every=0)

    def again(seed: int) -> Later:
        return lambda folder: [[scheduled(replace(best_of(folder, [slow, cosine]), seed=seed), curve_every=0)]]

    return [[[slow]], [[cosine]], again(1), again(2)]


def closing(base: Row) -> list[Job]:
    """What the default pruning's loss is made of, and what might lose less: a fourth seed, one trunk."""
    row = replace(shipped(base), seed=3)
    first = few(row)
    rows = [
        first,
        replace(first, pruning="bytes-0"),
        fewer(row, 74.85, keep_features=6, prune_at=0.5, tune_rate=2.0),
        raised(row),
        replace(first, schedule=replace(first.schedule, tune_rate=3.0)),
        fewer(row, 64, keep_features=4),
        replace(row, pruning="top-0"),
    ]
    return [[rows]]


def candidates(base: Row) -> list[Job]:
    """What might raise local features further."""
    row = shipped(base)
    changes: list[dict[str, Any]] = [{"input_reach": 2}, {"parts": 512}, {"basis_size": 32}, {"input_reach": 1}]
    return [[prunings(model(row, **change), "top-0")] for change in changes]


def sooner(base: Row) -> list[Job]:
    """In one process after the other: as it is shipped, a third of the steps at half the resolution, no correctives for
    a twentieth of them."""
    row = shipped(base)
    return [[[row]], [[scheduled(row, coarse_until=1 / 3)]], [[scheduled(row, warm_up=0.05)]]]


def final(base: Row) -> list[Job]:
    """Both variants with the rates that validation chose, three seeds; the local ones are in `pruning`."""
    rows = [replace(tuned_global(base, 2e-4), seed=seed) for seed in (0, 1, 2)]
    rows += [replace(model(shipped(base), input_reach=1), seed=seed) for seed in (0, 1, 2)]
    return [[[row]] for row in rows]


PLANS: dict[str, Callable[[Row], Sequence[Job | Later]]] = {
    "headline": headline, "grid": grid, "more": more, "tuned": tuned, "search": search, "fair": fair,
    "schedules": schedules, "pruned": pruned, "seeds": seeds,
    "pruning": pruning, "narrow-bases": narrow_bases, "pruning-paired": pruning_paired,
    "pruning-key-light": pruning_key_light,
    "fewer-features": fewer_features, "fewer-features-paired": fewer_features_paired,
    "candidates": candidates, "longer": longer, "longer-paired": longer_paired, "longer-global": longer_global,
    "longest": longest, "by-part-apart": by_part_apart, "file-size": file_size, "closing": closing,
    "earlier": earlier, "convergence": convergence, "sooner": sooner, "final": final,
}  # fmt: skip
