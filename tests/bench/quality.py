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


def key(row: Row) -> str:
    """Name of the row's file: a hash of everything that decides its figures."""
    return hashlib.sha1(json.dumps(asdict(row), sort_keys=True).encode()).hexdigest()[:12]


def prunings(row: Row, *names: str) -> Group:
    return [replace(row, pruning=name) for name in names]


def headline(base: Row) -> list[Group]:
    """In the order of importance."""
    local, all_ = base.model, ("none", "top-90", "bytes-90")
    wide = replace(local, features="global64")
    narrow, bare = replace(local, features="global16"), replace(local, features="none")
    groups = [
        prunings(base, *all_, "top-75", "top-95", "top-50", "top-90+nofold", "bytesvar-90", "bytes-95"),
        prunings(replace(base, model=wide), "none"),
        prunings(replace(base, seed=1), *all_),
        prunings(replace(base, seed=1, model=wide), "none"),
        prunings(replace(base, seed=2), *all_),
        prunings(replace(base, seed=2, model=wide), "none"),
        prunings(replace(base, model=narrow), "none"),
        prunings(replace(base, model=bare), "none"),
        prunings(replace(base, model=replace(local, input_reach=1)), "none", "top-90"),
        prunings(replace(base, model=replace(local, sparsity=False)), "none", "top-90"),
        prunings(replace(base, model=replace(local, input_noise=0.05)), "none"),
    ]
    return groups


def steps(base: Row) -> list[Group]:
    """The same schedule stretched: how long until the longest run's quality less 0.1 dB, and what more steps change."""
    wide = replace(base.model, features="global64")
    return [
        *(prunings(replace(base, steps=int(base.steps * f)), "none") for f in (0.25, 0.5, 2)),
        *(prunings(replace(base, steps=int(base.steps * f), model=wide), "none") for f in (0.5, 2)),
    ]


def grid(base: Row) -> list[Group]:
    """One thing changed at a time: what opens the gap between local and global features."""
    captures = [
        replace(base.capture, folds="rich"),
        replace(base.capture, frames=240),
        replace(base.capture, lighting="key", frames=600),
        replace(base.capture, side=512),
    ]
    wide = replace(base.model, features="global64")
    return [
        group
        for capture in captures
        for group in (
            prunings(replace(base, capture=capture), "none", "top-90", "bytes-90"),
            prunings(replace(base, capture=capture, model=wide), "none"),
        )
    ]


def rates(base: Row) -> list[Group]:
    """Learning rate of the networks, for each kind of features."""
    return [
        prunings(replace(base, model=replace(base.model, features=kind, mlp_rate=rate)), "none")
        for kind in ("global64", "local")
        for rate in (2e-4, 5e-4, 1e-3)
    ]


PLANS: dict[str, Callable[[Row], list[Group]]] = {"headline": headline, "steps": steps, "grid": grid, "rates": rates}


class Runner:
    """Takes groups off a plan until it is done or the time is up."""

    def __init__(self, folder: Path, device: str, deadline_s: float):
        self.folder, self.device = folder, device
        self.end = time.monotonic() + deadline_s
        self.step_s = 0.0
        self.capture: tuple[CaptureSpec, InMemoryCapture] | None = None

    def left(self) -> float:
        return self.end - time.monotonic()

    def claim(self, group: Group) -> Path:
        return self.folder / f"{key(group[0].trunk())}.taken"

    def taken(self, group: Group) -> bool:
        """True where another process has this group; otherwise takes it."""
        try:
            os.close(os.open(self.claim(group), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return True
        return False

    def pictures(self, spec: CaptureSpec) -> InMemoryCapture:
        if self.capture is None or self.capture[0] != spec:
            self.capture = None
            began = time.perf_counter()
            drawn = draw_capture(spec, self.device)
            seconds, count = time.perf_counter() - began, (spec.frames + spec.far_frames) * spec.cameras
            print(f"capture {spec}: {count} pictures, {count / seconds:.0f}/s, {drawn.num_bytes() / 1e9:.1f} GB")
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

    def run_all(self, groups: list[Group]) -> None:
        for group in groups:
            wanted = [row for row in group if not (self.folder / f"{key(row)}.json").exists()]
            if not wanted or (self.step_s and self.left() < 1.1 * self.step_s * wanted[0].steps + 15):
                continue
            if self.taken(group):
                continue
            try:
                self.run(wanted)
                self.claim(group).unlink()
            except Exception:  # the next group may work, and the time is paid for; this one stays taken
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
    Runner(a.out, a.device, a.deadline_s).run_all([g for name in a.plans for g in PLANS[name](base)])


if __name__ == "__main__":
    main()
