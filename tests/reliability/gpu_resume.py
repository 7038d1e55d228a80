"""A resume on a GPU follows the uninterrupted run's curve within rounding: sums with atomics differ in their last bits.

    python -m tests.reliability.gpu_resume [--device cuda] [--steps 120]

How far apart two uninterrupted runs are is the measure of how far apart an uninterrupted and a resumed one may be.
"""

import argparse
import copy
import tempfile
from pathlib import Path
from typing import Any

import torch

from nerfstudio_mobavatar import checkpoints, configs
from nerfstudio_mobavatar.demo.capture import DemoData
from nerfstudio_mobavatar.trainer import MobavatarTrainerConfig
from tests.bench import common
from tests.training_runs import draw_random_numbers


def losses(capture: Path, output: Path, device: str, steps: int, load: Path | None = None) -> dict[int, float]:
    """Loss of every step of a run, or of the rest of it."""
    config = copy.deepcopy(configs.mobavatar_tiny.config)
    assert isinstance(config, MobavatarTrainerConfig)
    config.max_num_iterations, config.output_dir, config.data = steps, output, capture
    config.experiment_name, config.timestamp, config.vis = "gpu", "run", "tensorboard"
    config.machine.device_type, config.steps_per_eval_image = device, 0  # pyright: ignore[reportAttributeAccessIssue]
    config.steps_per_save, config.save_only_latest_checkpoint = steps // 3, False
    manager: Any = config.pipeline.datamanager
    manager.data, manager.num_workers = capture, 2
    if load is not None:
        config.load_dir, config.load_step = load, steps // 3
    draw_random_numbers()
    config.save_config()
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    found, one = {}, trainer.train_iteration

    def record(step: int) -> Any:
        result = one(step)
        found[step] = float(result[0].detach())
        return result

    trainer.train_iteration = record
    trainer.train()
    return found


def apart(a: dict[int, float], b: dict[int, float], first: int) -> float:
    """Largest relative difference of two curves from step `first` on."""
    return max(abs(a[s] - b[s]) / abs(a[s]) for s in a if s >= first)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=120)
    arguments = parser.parse_args()
    device, steps = arguments.device, arguments.steps
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        DemoData(folder / "capture", frames=6, cameras=4, width=144, height=192, device=device, workers=1).main()
        whole = losses(folder / "capture", folder / "whole", device, steps)
        again = losses(folder / "capture", folder / "again", device, steps)
        saved = next((folder / "whole").rglob("nerfstudio_models"))
        resumed = losses(folder / "capture", folder / "resumed", device, steps, saved)
        first = checkpoints.read(checkpoints.path_of(saved, steps // 3))["step"] + 1
    assert list(resumed) == list(range(first, steps))
    values = {
        "device": common.device_name(torch.device(device)),
        "command": f"python -m tests.reliability.gpu_resume --device {device} --steps {steps}",
        "steps": steps,
        "resumed_at": first,
        "resumed_apart_relative": apart(whole, resumed, first),
        "repeated_apart_relative": apart(whole, again, first),
    }
    common.write("reliability", {"gpu_resume": values})


if __name__ == "__main__":
    main()
