"""Kills tiny trainings with SIGKILL at random moments, lets them go on, and counts what was lost on the way.

    python -m tests.reliability.kill [--kills 50] [--jobs 2] [--seed 0]

A chain trains one avatar in processes that are killed one after the other; each goes on from the newest checkpoint of
the one before. Some kills come at a random time, from outside; the others hit a random line of the code that writes
checkpoints (torch's included), prunes, or exports. A checkpoint is lost if it was reported as written and cannot be
read, or if what can be found in the folder is damaged. A resume diverges if the last checkpoint of a chain differs from
that of an uninterrupted run in a single bit: parameters, moments, schedules, random numbers, counters.

The processes are forked from one that has imported everything: a start takes a second instead of ten.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from nerfstudio.utils.eval_utils import eval_setup

from nerfstudio_mobavatar import checkpoints
from nerfstudio_mobavatar.web_export.export import write_bundle
from tests.bench import common
from tests.tiny_capture import fit, write_capture
from tests.training_runs import differences, draw_random_numbers, model_of, tiny_config

STEPS, SAVE_EVERY, WORKERS = 10, 2, 1
CODE = {
    "checkpoint": ("torch/serialization.py",),
    "renaming": ("nerfstudio_mobavatar/checkpoints.py", "nerfstudio_mobavatar/durable.py"),
    "pruning": tuple(f"nerfstudio_mobavatar/{name}.py" for name in ("fewer_features", "pruning", "pruning_report")),
    "export": ("web_export/export.py", "web_export/page_folder.py", "nerfstudio_mobavatar/durable.py"),
}
"""Files whose lines a kill can aim at."""
LIMIT_S = 600


@dataclass
class Tally:
    """What happened."""

    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("time", *CODE), 0))
    lost_checkpoints: int = 0
    damaged_exports: int = 0
    resumes: int = 0
    finished_chains: int = 0
    diverged_resumes: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        for name, count in other.kills.items():
            self.kills[name] += count
        for name in ("lost_checkpoints", "damaged_exports", "resumes", "finished_chains", "diverged_resumes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.notes += other.notes


class Lines:
    """Counts the lines that run in the files of `CODE`, and kills this process at line `last` of those of `aim`."""

    def __init__(self, aim: str | None = None, last: int = 0) -> None:
        self.aim, self.last = aim, last
        self.counts = dict.fromkeys(CODE, 0)

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        hit = [name for name, files in CODE.items() if frame.f_code.co_filename.endswith(files)]
        return self.counting(hit) if hit and (self.aim is None or self.aim in hit) else None

    def counting(self, hit: list[str]) -> Callable[[FrameType, str, Any], Any]:
        def line(frame: FrameType, event: str, arg: Any) -> Any:
            if event == "line":
                for name in hit:
                    self.counts[name] += 1
                if self.aim in hit and self.counts[self.aim] == self.last:
                    os.kill(os.getpid(), signal.SIGKILL)
            return line

        return line


def forked(work: Callable[[], None], log: Path, kill_after: float | None = None) -> bool:
    """Run `work` in a process of its own, a session of its own, its output in `log`. True: it was killed.

    Raises `RuntimeError` with the output where it failed by itself, and where it took longer than `LIMIT_S`.
    """
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setsid()
            handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    begun = time.monotonic()
    deadline = begun + (LIMIT_S if kill_after is None else kill_after)
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            ended = os.waitpid(child, 0)
            break
        time.sleep(0.005)
    try:
        os.killpg(child, signal.SIGKILL)  # loading processes, which would notice within seconds by themselves
    except ProcessLookupError:
        pass
    killed = os.WIFSIGNALED(ended[1])
    if killed and kill_after is None and time.monotonic() > deadline:
        raise RuntimeError(f"not finished after {LIMIT_S} s:\n{log.read_text()[-3000:]}")
    if not killed and os.WEXITSTATUS(ended[1]) != 0:
        raise RuntimeError(f"failed by itself:\n{log.read_text()[-3000:]}")
    return killed


def moving_capture(folder: Path) -> Path:
    """Pictures of noise with a person who moves: without poses the networks would learn nothing."""
    write_capture(folder, frames=6, cameras=3)
    rng, arrays = np.random.default_rng(0), fit(6)
    moving = {name: rng.normal(0, 0.3, arrays[name].shape) for name in ("body_pose", "left_hand_pose", "jaw_pose")}
    np.savez(folder / "smpl_params.npz", **(arrays | moving))  # pyright: ignore[reportArgumentType]
    return folder


def train(capture: Path, folder: Path, trace: Lines | None = None) -> None:
    """What `ns-train` does, going on from the newest checkpoint in `folder`; reports each one written in `written`."""
    random.seed(42)
    np.random.seed(42)  # noqa: NPY002 (nerfstudio does)
    torch.manual_seed(42)
    config = tiny_config(capture, folder, STEPS)
    config.check_capture, config.vis = False, "tensorboard"
    config.steps_per_save, config.save_only_latest_checkpoint = SAVE_EVERY, True
    config.gradient_accumulation_steps = {"color": 3}
    config.pipeline.datamanager.num_workers = WORKERS  # pyright: ignore[reportAttributeAccessIssue]
    written = config.get_checkpoint_dir()
    if written.is_dir() and checkpoints.steps_in(written):
        config.load_dir = written
    sys.settrace(trace)
    config.save_config()
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    save = trainer.save_checkpoint

    def report(step: int) -> None:
        draw_random_numbers()  # something that a lost state would change
        save(step)
        handle = os.open(folder / "written", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, f"{step}\n".encode())
        os.close(handle)

    trainer.save_checkpoint = report
    trainer.train()
    assert model_of(trainer).avatar.is_pruned
    sys.settrace(None)


def export(folder: Path, out: Path, trace: Lines | None = None) -> None:
    """The exported folder of a finished run."""
    _, pipeline, _, _ = eval_setup(next(folder.rglob("config.yml")), test_mode="test")
    sys.settrace(trace)
    write_bundle(pipeline.model, out, 64)
    sys.settrace(None)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@dataclass
class Reference:
    """The uninterrupted run, and how much there is to aim at."""

    capture: Path
    state: dict[str, Any]
    bundle: dict[str, bytes]
    seconds: float
    lines: dict[str, int]

    @staticmethod
    def make(folder: Path) -> "Reference":
        capture, plain = moving_capture(folder / "capture"), folder / "reference"

        def work() -> None:
            begun = time.monotonic()
            training, exporting = Lines(), Lines()
            train(capture, plain, training)
            seconds = time.monotonic() - begun
            export(plain, folder / "bundle", exporting)
            measured = [seconds, training.counts | {"export": exporting.counts["export"]}]
            (folder / "measured.json").write_text(json.dumps(measured))

        forked(work, folder / "reference.log")
        state = checkpoints.newest(next(plain.rglob("nerfstudio_models"))).state
        measured = json.loads((folder / "measured.json").read_text())
        return Reference(capture, state, content(folder / "bundle"), *measured)


def chain(reference: Reference, folder: Path, rng: random.Random, kills: int) -> Tally:
    """One avatar whose training is killed `kills` times at most, then its export once."""
    tally, log = Tally(), folder / "log"
    folder.mkdir()
    runs = folder / "runs"
    for number in range(kills + 1):
        what = rng.choice(["time", "time", "checkpoint", "renaming", "pruning"]) if number < kills else None
        trace = Lines(what, rng.randint(1, reference.lines[what])) if what in CODE else None
        after = rng.uniform(0, reference.seconds) if what == "time" else None
        tally.resumes += number > 0
        if not forked(lambda: train(reference.capture, runs, trace), log, after):  # noqa: B023 (runs at once)
            break
        assert what is not None
        tally.kills[what] += 1
        _look(runs, tally)
    found = checkpoints.newest(next(runs.rglob("nerfstudio_models"))).state
    tally.finished_chains += 1
    if different := differences(reference.state, found):
        tally.diverged_resumes += 1
        tally.notes.append(f"{folder.name} diverged: {', '.join(different[:5])} ({len(different)} in all)")
    _kill_export(reference, folder, rng, tally)
    return tally


def _look(runs: Path, tally: Tally) -> None:
    """After a kill: what was reported as written must be there, and nothing in the folder may be damaged."""
    reported = runs / "written"
    last = int(reported.read_text().split()[-1]) if reported.is_file() else None
    folder = next(runs.rglob("nerfstudio_models"), None)
    try:
        found = checkpoints.newest(folder) if folder is not None and checkpoints.steps_in(folder) else None
    except checkpoints.CheckpointError as error:
        tally.lost_checkpoints += 1
        tally.notes.append(str(error))
        return
    if found is not None and found.damaged:
        tally.lost_checkpoints += 1
        tally.notes += found.damaged
    elif last is not None and (found is None or found.state["step"] < last):
        tally.lost_checkpoints += 1
        tally.notes.append(f"step {last} was written, the newest is {found and found.state['step']}")


def _kill_export(reference: Reference, folder: Path, rng: random.Random, tally: Tally) -> None:
    """A new folder is absent or whole; in an old one each file is the old or the new one; the next export mends all."""
    out, old, replaces = folder / "page", {}, rng.random() < 0.5
    if replaces:
        old = {name: b"old" for name in reference.bundle} | {"mine.txt": b"mine"}
        out.mkdir()
        for name, data in old.items():
            (out / name).write_bytes(data)
    trace = Lines("export", rng.randint(1, reference.lines["export"]))
    if not forked(lambda: export(folder / "runs", out, trace), folder / "log"):
        return
    tally.kills["export"] += 1
    found = {name: data for name, data in content(out).items() if "-unfinished-" not in name}
    if replaces:
        good = found.keys() == old.keys() and all(d in (old[n], reference.bundle.get(n)) for n, d in found.items())
    else:
        good = not out.exists() or found == reference.bundle
    forked(lambda: export(folder / "runs", out), folder / "log")
    mended = reference.bundle | ({"mine.txt": b"mine"} if replaces else {})
    if not good or content(out) != mended or list(out.parent.glob(".page-*")):
        tally.damaged_exports += 1
        tally.notes.append(f"{folder.name}: the exported folder is neither old nor new")


def run(kills: int, jobs: int, seed: int, folder: Path, kills_per_chain: int = 4) -> Tally:
    """Chains side by side until there were `kills` kills."""
    torch.set_num_threads(1)
    reference = Reference.make(folder)
    total, number = Tally(), 0
    while sum(total.kills.values()) < kills:
        left = kills - sum(total.kills.values())
        batch = [number + i for i in range(max(1, min(jobs, -(-left // (kills_per_chain + 1)))))]
        number += len(batch)
        for i, pid in [(i, _side_by_side(reference, folder, seed, i, kills_per_chain)) for i in batch]:
            os.waitpid(pid, 0)
            result = folder / f"chain{i}.json"
            if not result.is_file():
                raise RuntimeError((folder / f"chain{i}.log").read_text()[-3000:])
            total.add(Tally(**json.loads(result.read_text())))
            shutil.rmtree(folder / f"chain{i}")
    return total


def _side_by_side(reference: Reference, folder: Path, seed: int, number: int, kills: int) -> int:
    """Start chain `number` in a process of its own; its tally goes into a file. The process."""
    pid = os.fork()
    if pid == 0:
        try:
            tally = chain(reference, folder / f"chain{number}", random.Random(f"{seed}/{number}"), kills)
            (folder / f"chain{number}.json").write_text(json.dumps(asdict(tally)))
        except BaseException:
            (folder / f"chain{number}.log").write_text(traceback.format_exc())
        finally:
            os._exit(0)
    return pid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mobavatar-kill-") as folder:
        tally = run(arguments.kills, arguments.jobs, arguments.seed, Path(folder))
    print("\n".join(tally.notes))
    values = {
        "kills": sum(tally.kills.values()),
        "kills_by_aim": tally.kills,
        "lost_checkpoints": tally.lost_checkpoints,
        "diverged_resumes": tally.diverged_resumes,
        "damaged_exports": tally.damaged_exports,
        "resumes": tally.resumes,
        "finished_chains": tally.finished_chains,
        "kill_test": {
            "device": common.device_name("cpu"),
            "command": f"python -m tests.reliability.kill --kills {arguments.kills} --seed {arguments.seed}",
            "seconds": round(time.monotonic() - begun),
        },
    }
    common.write("reliability", values)


if __name__ == "__main__":
    main()
