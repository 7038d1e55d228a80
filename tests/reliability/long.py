"""The last hours of a day of training, hurried by its counters: memory, file handles, threads, processes do not grow.

    python -m tests.reliability.long [--steps 3000]

The run starts where 24 hours of `STEP_S` a step would be, less the steps asked for. Its loading processes are started
again every few steps, by a jump and by SIGKILL in turn; a picture is damaged under way; checkpoints are written,
pictures evaluated. What the process holds is counted all along, and the least of the second quarter is compared with
the least of the last one: handles and threads come and go. A third as many steps again, while tabs of nerfstudio's
viewer connect, get a picture and close; pictures that are being drawn take and give back a hundred megabytes.
"""

import argparse
import ctypes
import gc
import os
import signal
import tempfile
import threading
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation

from nerfstudio_mobavatar import step_watch
from tests.bench import common
from tests.reliability.kill import moving_capture
from tests.test_ns_tools import free_port
from tests.training_runs import tiny_config
from tests.viser_tab import Tab

STEP_S, HOURS = 0.015, 24
"""The step is that of the `mobavatar` preset on one GPU, about."""
DAY = round(3600 * HOURS / STEP_S)
COUNTS = 40
"""Of what is in use, in a run."""
PICTURE_S = 60.0
"""A tab that has no picture after this time is a failure."""


@dataclass(frozen=True)
class Usage:
    """What this process holds."""

    handles: int
    threads: int
    processes: int
    memory_mb: float

    @staticmethod
    def now() -> "Usage":
        """After the garbage is collected and what `malloc` keeps for later is given back."""
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        threads, kilobytes = int(status["Threads"]), int(status["VmRSS"].split()[0])
        return Usage(len([*Path("/proc/self/fd").iterdir()]), threads, len(children), kilobytes / 1024)


def growth(seen: list[Usage]) -> dict[str, float]:
    """Least of the last quarter less least of the second one (the first warms up)."""
    quarter = len(seen) // 4
    if quarter < 2:
        raise ValueError(f"growth takes at least 8 counts, found {len(seen)}")
    early, late = seen[quarter : 2 * quarter], seen[-quarter:]
    return {
        f.name: round(min(getattr(u, f.name) for u in late) - min(getattr(u, f.name) for u in early), 1)
        for f in fields(Usage)
    }


@dataclass
class Tabs:
    """Opens and closes tabs of the viewer, one after the other, in a thread of its own."""

    url: str
    opened: int = 0
    without_picture: int = 0
    hold: bool = False
    """No new tab."""
    are_closed: bool = True
    stop: bool = False

    def __call__(self) -> None:
        while not self.stop:
            if self.hold:
                time.sleep(0.005)
                continue
            self.are_closed = False
            tab, until = Tab(self.url), time.monotonic() + PICTURE_S
            while tab.pictures == 0 and time.monotonic() < until and not self.stop:
                time.sleep(0.01)
            if not self.stop:
                self.opened += 1
                self.without_picture += tab.pictures == 0
            tab.close()
            self.are_closed = True


def run(folder: Path, steps: int, restart_every: int, with_tabs: bool) -> dict[str, Any]:
    """Train and count."""
    capture = moving_capture(folder / "capture")
    config = tiny_config(capture, folder, DAY)
    config.check_capture, config.vis, config.save_only_latest_checkpoint = False, "viewer+tensorboard", True
    config.steps_per_save, config.steps_per_eval_image = max(steps // 20, 1), max(steps // 20, 1)
    config.viewer.websocket_port, config.viewer.websocket_host = free_port(), "127.0.0.1"
    config.viewer.quit_on_train_completion, config.viewer.max_num_display_images = True, 2
    manager: Any = config.pipeline.datamanager
    manager.num_workers = 1
    if not with_tabs:
        manager.scratch_gb = 0.0  # every picture is read again and again, the damaged one too
    config.save_config()
    trainer: Any = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    trainer._start_step = DAY - steps
    data = trainer.pipeline.datamanager
    seen: list[Usage] = []
    jumps, tabs = 0, Tabs(f"http://127.0.0.1:{config.viewer.websocket_port}")

    def after(step: int) -> None:
        nonlocal jumps
        done = step - (DAY - steps) + 1
        if done == 1:
            data.train_dataset.metadata["images"][0].image_path.write_bytes(b"")
        if done % (2 * restart_every) == 0:
            data._steps, jumps = None, jumps + 1
        elif done % restart_every == 0:
            os.kill(data._steps.processes[0].pid, signal.SIGKILL)
        if tabs.hold and tabs.are_closed:  # what a picture takes while it is drawn is no growth
            seen.append(Usage.now())
            tabs.hold = False
        tabs.hold |= done % max(steps // COUNTS, 1) == 0

    trainer.callbacks.append(TrainingCallback([TrainingCallbackLocation.AFTER_TRAIN_ITERATION], after))
    visitor = threading.Thread(target=tabs, daemon=True)
    window, step_watch.WINDOW = step_watch.WINDOW, 5  # it fills and empties; its size is no growth
    gc.freeze()  # what is there already need not be looked through at every count
    try:
        if with_tabs:
            visitor.start()
        trainer.train()
    finally:
        step_watch.WINDOW, tabs.stop = window, True
        if with_tabs:
            visitor.join(10)
        trainer.shutdown()
        gc.unfreeze()
    grown = growth(seen)
    return {
        "simulated_steps": steps,
        "last_step": trainer.step,
        "loader_restarts": jumps + data.restarts,
        "loader_deaths_counted": data.restarts,
        "unreadable_pictures_counted": len(data.unreadable),
        "viewer_connects": tabs.opened,
        "viewer_connects_without_picture": tabs.without_picture,
        "growth_mb": grown["memory_mb"],
        "file_handles_growth": grown["handles"],
        "threads_growth": grown["threads"],
        "processes_growth": grown["processes"],
        "held_at_the_end": vars(seen[-1]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        values = run(Path(folder) / "alone", arguments.steps, 5, with_tabs=False)
        watched = run(Path(folder) / "watched", arguments.steps // 3, 5, with_tabs=True)
    about = {
        "device": common.device_name("cpu"),
        "command": f"python -m tests.reliability.long --steps {arguments.steps}",
        "seconds": round(time.monotonic() - begun),
    }
    common.write("reliability", {"long_run": values | about, "long_run_with_viewers": watched | about})


if __name__ == "__main__":
    main()
