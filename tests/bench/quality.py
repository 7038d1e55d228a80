"""Quality of the method's variants on a synthetic capture that is drawn on the GPU and kept in memory.

    python -m tests.bench.quality run headline        one row file per (variant, capture, seed) in results/quality/
    python -m tests.bench.quality merge               results/quality.json, docs/quality.md

Rows that exist are not trained again. Several processes may run the same plan: each takes rows that none has taken.
"""

import argparse
import json
import os
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

import torch
import torch._dynamo

from tests.bench.common import RESULTS, command_line, device_name
from tests.bench.quality_capture import HeldOut, Team, draw_capture, draw_test
from tests.bench.quality_merge import label, merge
from tests.bench.quality_plans import PLANS, Group, Job, Later
from tests.bench.quality_rows import CaptureSpec, ModelSpec, Row, key
from tests.bench.quality_train import LONG, InMemoryCapture, branch, finish, halt, resume, start, train

ROWS = RESULTS / "quality"
BLOCK = 500
"""Steps of a trunk between two looks at the clock."""


class Runner:
    """Takes groups off a plan until it is done or the time is up."""

    def __init__(self, folder: Path, device: str, deadline_s: float, team: Team | None = None):
        self.folder, self.device, self.team = folder, device, team
        self.end = time.monotonic() + deadline_s
        self.step_s = self.picture_s = 0.0
        self.started = datetime.now().isoformat(timespec="seconds")
        self.capture: tuple[CaptureSpec, InMemoryCapture, HeldOut] | None = None

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
        steps = group[0].steps if group[0].steps < LONG else LONG // 2  # a long trunk halts where time ends
        return self.left() > 1.1 * self.step_s * steps + drawing + 12

    def pictures(self, spec: CaptureSpec) -> tuple[InMemoryCapture, HeldOut]:
        """To train and validate on, and the test's."""
        if self.capture is None or self.capture[0] != spec:
            self.capture = None
            began = time.perf_counter()
            drawn = draw_capture(spec, self.device, self.team)
            seconds, count = time.perf_counter() - began, (spec.frames + spec.far_frames) * spec.cameras
            print(f"capture {spec}: {count} pictures, {count / seconds:.0f}/s, {drawn.num_bytes() / 1e9:.1f} GB")
            self.picture_s = seconds / count
            self.capture = spec, drawn, draw_test(spec, self.device)
        return self.capture[1:]

    def run(self, group: Group) -> None:
        """Train the trunk from one pruning to the next, and every branch that there is time for; a trunk that there was
        no time to end, or some branch from, stays for the next process."""
        first = group[0]
        capture, test = self.pictures(first.capture)
        state = start(first, capture, self.device)
        state.note = lambda curve: self.note(first, curve)
        halted = self.folder / f"{key(first.trunk())}.trunk"
        rows = sorted(group, key=lambda row: (not row.is_pruned(), row.prune_steps()[0]))
        if halted.exists():
            resume(state, halted, rows[0].prune_steps()[0])
        for row in rows:
            at = row.prune_steps()[0]
            while state.step < at and self.in_time(BLOCK):
                train(state, first.trunk(), capture, min(at, state.step + BLOCK), self.device)
                self.step_s = state.seconds / state.step
            if state.step < at or not self.in_time(row.steps - at):
                print(f"no time for {row.pruning}")
                halt(state, halted)
                return
            last = row is rows[-1] and (not row.is_pruned() or row.steps >= LONG)  # goes on as it is, compiled
            result, picture = finish(state if last else branch(state), row, capture, self.device, test)
            self.save(row, result, picture)
        halted.unlink(missing_ok=True)

    def in_time(self, steps: int) -> bool:
        return self.left() > 1.1 * self.step_s * steps + 8

    def note(self, row: Row, curve: list[tuple[int, float, float]]) -> None:
        """A long run's curve as far as it is, should the run not end."""
        (self.folder / f"{key(row)}.partial").write_text(json.dumps({"row": asdict(row), "curve": curve}) + "\n")
        print(f"{key(row)} seed {row.seed}: step, s, view {curve[-1]}", flush=True)

    def save(self, row: Row, result: dict[str, Any], picture: bytes) -> None:
        about = {"device": device_name(self.device), "torch": torch.__version__, "command": command_line()}
        about["process_started"] = self.started
        content = {"row": asdict(row)} | result | about | {"synthetic": True, "date": date.today().isoformat()}
        (self.folder / f"{key(row)}.jpg").write_bytes(picture)
        (self.folder / f"{key(row)}.json").write_text(json.dumps(content, indent=1) + "\n")
        shown = {k: round(v, 3) for k, v in result.items() if isinstance(v, float) and "psnr_crop" in k}
        ms = 1000 * self.step_s
        print(f"{key(row)} {label(content)} seed {row.seed} steps {row.steps} {ms:.1f} ms: {shown}", flush=True)

    def run_all(self, jobs: Sequence[Job | Later]) -> None:
        for found in jobs:
            job = found(self.folder) if callable(found) else found
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
    runner.add_argument("--cameras", type=int, default=CaptureSpec.cameras)
    runner.add_argument("--side", type=int, default=CaptureSpec.side)
    runner.add_argument("--far-frames", type=int, default=CaptureSpec.far_frames)
    runner.add_argument("--gaussians", type=int, default=ModelSpec.gaussians)
    runner.add_argument("--nodes", type=int, default=ModelSpec.nodes)
    runner.add_argument("--deadline-s", type=float, default=1e9, help="start nothing that would end later than this")
    runner.add_argument("--out", type=Path, default=ROWS)
    runner.add_argument(
        "--share", type=Path, help="draw captures with other workers through this folder, or find them there"
    )
    runner.add_argument("--worker", default="0/1", help="which of them this is: 0/4 .. 3/4")
    commands.add_parser("merge")
    a = parser.parse_args()
    if a.command == "merge":
        merge(ROWS)
        return
    a.out.mkdir(parents=True, exist_ok=True)
    base = Row(
        CaptureSpec(frames=a.frames, side=a.side, far_frames=a.far_frames, cameras=a.cameras),
        ModelSpec(gaussians=a.gaussians, nodes=a.nodes), a.steps,
    )  # fmt: skip
    torch._dynamo.config.recompile_limit = 64  # one per shape of a row
    rank, size = map(int, a.worker.split("/"))
    if a.share:
        a.share.mkdir(parents=True, exist_ok=True)
    team = Team(a.share, rank, size) if a.share else None
    Runner(a.out, a.device, a.deadline_s, team).run_all([job for name in a.plans for job in PLANS[name](base)])


if __name__ == "__main__":
    main()
