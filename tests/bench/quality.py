"""Quality of the method's variants on a synthetic capture that is drawn on the GPU and kept in memory.

    python -m tests.bench.quality run headline        one row file per (variant, capture, seed) in results/quality/
    python -m tests.bench.quality merge               results/quality.json, docs/quality.md

Rows that exist are not trained again. Several processes may run the same plan: each takes rows that none has taken.
"""

import argparse
import hashlib
import json
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

import torch

from tests.bench.common import RESULTS, command_line, device_name
from tests.bench.quality_train import (
    CaptureSpec,
    Features,
    InMemoryCapture,
    ModelSpec,
    Row,
    branch,
    draw_capture,
    finish,
    prune_step,
    start,
    statistics_of,
    train,
)

ROWS = RESULTS / "quality"
Group = list[Row]
"""Rows that share a trunk."""
Job = list[Group]
"""Groups that share a capture; one process takes them all."""


def key(row: Row) -> str:
    """Name of the row's file: a hash of everything that decides its figures."""
    return hashlib.sha1(json.dumps(asdict(row), sort_keys=True).encode()).hexdigest()[:12]


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


PLANS: dict[str, Callable[[Row], list[Job]]] = {"headline": headline, "grid": grid, "more": more, "tuned": tuned}


class Runner:
    """Takes groups off a plan until it is done or the time is up."""

    def __init__(self, folder: Path, device: str, deadline_s: float):
        self.folder, self.device = folder, device
        self.end = time.monotonic() + deadline_s
        self.step_s = self.picture_s = 0.0
        self.capture: tuple[CaptureSpec, InMemoryCapture] | None = None

    def left(self) -> float:
        return self.end - time.monotonic()

    def claim(self, job: Job) -> Path:
        return self.folder / f"{key(job[0][0].trunk())}.taken"

    def taken(self, job: Job) -> bool:
        """True where another process has this job; otherwise takes it."""
        try:
            os.close(os.open(self.claim(job), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return True
        return False

    def fits(self, group: Group) -> bool:
        """Whether there is time for its trunk and first branch."""
        spec = group[0].capture
        drawing = 0 if self.capture and self.capture[0] == spec else self.picture_s * spec.cameras * spec.frames
        return self.left() > 1.1 * self.step_s * group[0].steps + drawing + 12

    def pictures(self, spec: CaptureSpec) -> InMemoryCapture:
        if self.capture is None or self.capture[0] != spec:
            self.capture = None
            began = time.perf_counter()
            drawn = draw_capture(spec, self.device)
            seconds, count = time.perf_counter() - began, (spec.frames + spec.far_frames) * spec.cameras
            print(f"capture {spec}: {count} pictures, {count / seconds:.0f}/s, {drawn.num_bytes() / 1e9:.1f} GB")
            self.picture_s = seconds / count
            self.capture = spec, drawn
        return self.capture[1]

    def run(self, group: Group) -> None:
        """Train the trunk, then every branch that there is time for."""
        first = group[0]
        capture = self.pictures(first.capture)
        state = start(first, capture, self.device)
        train(state, first, capture, 0, prune_step(first), self.device)
        self.step_s = state.seconds / prune_step(first)
        print(f"trunk {first.model} seed {first.seed}: {1000 * self.step_s:.2f} ms/step")
        statistics = statistics_of(state, first, capture) if first.model.features != "none" else {}
        for row in group:
            if self.left() < 1.1 * self.step_s * (row.steps - prune_step(row)) + 8:
                print(f"no time for {row.pruning}")
                continue
            result, picture = finish(branch(state), row, capture, statistics, self.device)
            device = device_name(self.device)
            about = {"device": device, "torch": torch.__version__, "command": command_line(), "synthetic": True}
            content = {"row": asdict(row)} | result | about | {"date": date.today().isoformat()}
            (self.folder / f"{key(row)}.jpg").write_bytes(picture)
            (self.folder / f"{key(row)}.json").write_text(json.dumps(content, indent=1) + "\n")
            shown = {k: round(v, 3) for k, v in result.items() if isinstance(v, float) and "psnr_crop" in k}
            print(
                f"{key(row)} {row.model.features} {row.pruning} seed {row.seed} steps {row.steps}: {shown}", flush=True
            )

    def run_all(self, jobs: list[Job]) -> None:
        for job in jobs:
            wanted = [[row for row in group if not (self.folder / f"{key(row)}.json").exists()] for group in job]
            wanted = [group for group in wanted if group]
            if not wanted or not self.fits(wanted[0]) or self.taken(job):
                continue
            try:
                for group in filter(self.fits, wanted):
                    self.run(group)
                self.claim(job).unlink()
            except Exception:  # the next job may work, and the time is paid for; this one stays taken
                traceback.print_exc()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run")
    runner.add_argument("plans", nargs="+", choices=list(PLANS))
    runner.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    runner.add_argument("--steps", type=int, default=Row.steps)
    runner.add_argument("--frames", type=int, default=CaptureSpec.frames)
    runner.add_argument("--side", type=int, default=CaptureSpec.side)
    runner.add_argument("--far-frames", type=int, default=CaptureSpec.far_frames)
    runner.add_argument("--gaussians", type=int, default=ModelSpec.gaussians)
    runner.add_argument("--nodes", type=int, default=ModelSpec.nodes)
    runner.add_argument("--deadline-s", type=float, default=1e9, help="start nothing that would end later than this")
    runner.add_argument("--out", type=Path, default=ROWS)
    commands.add_parser("merge")
    a = parser.parse_args()
    if a.command == "merge":
        from tests.bench.quality_merge import merge

        merge(ROWS)
        return
    a.out.mkdir(parents=True, exist_ok=True)
    base = Row(
        CaptureSpec(frames=a.frames, side=a.side, far_frames=a.far_frames),
        ModelSpec(gaussians=a.gaussians, nodes=a.nodes), a.steps,
    )  # fmt: skip
    Runner(a.out, a.device, a.deadline_s).run_all([job for name in a.plans for job in PLANS[name](base)])


if __name__ == "__main__":
    main()
