"""A day of training simulated by its counters: memory, file handles, threads and processes must not grow.

    python -m tests.reliability.long [--steps 3000]

The run starts a few thousand steps before the number that 24 hours of 15 ms make, loads its data with processes that
are started again every few steps, writes checkpoints, evaluates, and shows itself to tabs that connect, get a picture
and are closed. What is in use is counted all the time; the fewest of the second quarter are compared with the fewest of
the last, since handles and threads come and go.
"""

import argparse
import gc
import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation
from torch import Tensor

from nerfstudio_mobavatar import step_watch
from tests.bench import common
from tests.reliability.kill import moving_capture
from tests.test_ns_tools import free_port
from tests.training_runs import tiny_config
from tests.viser_tab import Tab

DAY = round(24 * 3600 / 0.015)
"""Steps."""


@dataclass(frozen=True)
class Usage:
    """What this process holds."""

    handles: int
    threads: int
    processes: int
    tensors: int
    memory_mb: float

    @staticmethod
    def now() -> "Usage":
        gc.collect()
        status = Path("/proc/self/status").read_text().split("\n")
        values = {line.split(":")[0]: line.split()[1] for line in status if line.startswith(("VmRSS", "Threads"))}
        own = os.getpid()
        children = Path(f"/proc/self/task/{own}/children").read_text().split()
        return Usage(
            len(list(Path("/proc/self/fd").iterdir())),
            int(values["Threads"]),
            len(children),
            sum(issubclass(type(o), Tensor) for o in gc.get_objects()),
            int(values["VmRSS"]) / 1024,
        )


def growth(seen: list[Usage]) -> dict[str, float]:
    """Fewest of the last quarter less fewest of the second one (the first warms up)."""
    quarter = len(seen) // 4
    if quarter < 2:
        raise ValueError(f"growth takes at least 8 counts, found {len(seen)}")
    early, late = seen[quarter : 2 * quarter], seen[-quarter:]
    return {
        f.name: min(getattr(u, f.name) for u in late) - min(getattr(u, f.name) for u in early) for f in fields(Usage)
    }


@dataclass
class Tabs:
    """Opens and closes tabs of the viewer, one after the other, in a thread of its own."""

    url: str
    opened: int = 0
    pictures: int = 0
    stop: bool = False

    def __call__(self) -> None:
        while not self.stop:
            tab = Tab(self.url)
            self.opened += 1
            until = time.monotonic() + 2
            while tab.pictures == 0 and time.monotonic() < until:
                time.sleep(0.02)
            self.pictures += tab.pictures
            tab.close()


def run(folder: Path, steps: int, restart_every: int, between: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Train and count. `between` is called after each step; a test puts leaks there."""
    config = tiny_config(moving_capture(folder / "capture"), folder, DAY)
    config.check_capture, config.vis, config.save_only_latest_checkpoint = False, "viewer+tensorboard", True
    config.steps_per_save, config.steps_per_eval_image = max(steps // 20, 1), max(steps // 20, 1)
    config.viewer.websocket_port, config.viewer.websocket_host = free_port(), "127.0.0.1"
    config.viewer.quit_on_train_completion, config.viewer.max_num_display_images = True, 2
    manager: Any = config.pipeline.datamanager
    manager.num_workers = 1
    config.save_config()
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    trainer._start_step = DAY - steps
    seen, restarts = [], 0

    def after(step: int) -> None:
        nonlocal restarts
        between()
        if step % restart_every == 0:
            trainer.pipeline.datamanager._steps = None
            restarts += 1
        if step % max(steps // 40, 1) == 0:
            seen.append(Usage.now())

    trainer.callbacks.append(TrainingCallback([TrainingCallbackLocation.AFTER_TRAIN_ITERATION], after))
    tabs = Tabs(f"http://127.0.0.1:{config.viewer.websocket_port}")
    visitor = threading.Thread(target=tabs, daemon=True)
    window, step_watch.WINDOW = step_watch.WINDOW, 5  # it fills and empties; its size is no growth
    try:
        visitor.start()
        trainer.train()
    finally:
        step_watch.WINDOW, tabs.stop = window, True
        visitor.join(10)
        trainer.shutdown()
    made: dict[str, Any] = growth(seen)
    return {
        "steps": steps,
        "last_step": DAY - 1,
        "loader_restarts": restarts,
        "tabs_opened": tabs.opened,
        "pictures_to_tabs": tabs.pictures,
        "growth": made,
        "first": vars(seen[len(seen) // 4]),
        "last": vars(seen[-1]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        values = run(Path(folder), arguments.steps, 5)
    about = {
        "device": common.device_name("cpu"),
        "command": f"python -m tests.reliability.long --steps {arguments.steps}",
        "seconds": round(time.monotonic() - begun),
    }
    common.write("reliability", {"long_run": about | values})


if __name__ == "__main__":
    main()
