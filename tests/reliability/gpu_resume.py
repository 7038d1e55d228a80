"""A resume on GPUs follows the uninterrupted run's curve within rounding: sums with atomics differ in their last bits.

    python -m tests.reliability.gpu_resume [--device cuda] [--ranks 2] [--steps 120]

How far apart two uninterrupted runs are is the measure of how far apart an uninterrupted and a resumed one may be.
"""

import argparse
import copy
import hashlib
import json
import multiprocessing
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nerfstudio.configs.base_config import LoggingConfig
from nerfstudio.scripts.train import launch

from nerfstudio_mobavatar import checkpoints, configs
from nerfstudio_mobavatar.demo.capture import DemoData
from nerfstudio_mobavatar.trainer import MobavatarTrainerConfig
from tests.bench import common
from tests.training_runs import differences, draw_random_numbers

Curves = list[dict[int, float]]
"""Loss by step of every rank."""


def config_of(capture: Path, output: Path, device: str, ranks: int, steps: int) -> MobavatarTrainerConfig:
    """Three checkpoints, all kept."""
    config = copy.deepcopy(configs.mobavatar_tiny.config)
    assert isinstance(config, MobavatarTrainerConfig)
    config.max_num_iterations, config.output_dir, config.data = steps, output, capture
    config.experiment_name, config.timestamp, config.vis = "gpu", "run", "tensorboard"
    config.machine.device_type, config.steps_per_eval_image = device, 0  # pyright: ignore[reportAttributeAccessIssue]
    config.machine.num_devices = ranks
    config.steps_per_save, config.save_only_latest_checkpoint = steps // 3, False
    manager: Any = config.pipeline.datamanager
    manager.data, manager.num_workers = capture, 2
    return config


@dataclass
class Runs:
    """What `launch` hands to every rank."""

    configs: list[MobavatarTrainerConfig]
    logging: LoggingConfig
    """nerfstudio asks for it."""


def train_rank(local_rank: int, world_size: int, config: Runs, global_rank: int = 0) -> None:
    """One rank of all runs, one after the other; leaves losses and a digest of the parameters in `rank_N.json` of each
    run's folder."""
    for one in config.configs:
        torch.manual_seed(one.machine.seed + global_rank)
        draw_random_numbers()
        trainer = one.setup(local_rank=local_rank, world_size=world_size)
        trainer.setup()
        found: dict[int, float] = {}
        iterate = trainer.train_iteration

        def record(step: int, iterate: Any = iterate, found: dict[int, float] = found) -> Any:
            result = iterate(step)
            found[step] = float(result[0].detach())
            return result

        trainer.train_iteration = record
        trainer.train()
        digest = hashlib.sha256()
        for parameter in trainer.pipeline.model.parameters():
            digest.update(parameter.detach().cpu().numpy().tobytes())
        left = {"losses": list(found.items()), "parameters": digest.hexdigest()}
        (one.output_dir / f"rank_{global_rank}.json").write_text(json.dumps(left))


def train(configs: list[MobavatarTrainerConfig], ranks: int) -> list[Curves]:
    """The curves of all runs, trained as `ns-train` does.

    Raises `RuntimeError` where the ranks of a run end with different avatars.
    """
    for config in configs:
        config.save_config()
    runs: Any = Runs(configs, configs[0].logging)
    launch(train_rank, ranks, config=runs, device_type=configs[0].machine.device_type)
    if ranks > 1:
        for process in multiprocessing.active_children():  # nerfstudio waits for the first one only
            process.join()
    return [curves(config, ranks) for config in configs]


def curves(config: MobavatarTrainerConfig, ranks: int) -> Curves:
    left = [json.loads((config.output_dir / f"rank_{rank}.json").read_text()) for rank in range(ranks)]
    if len({one["parameters"] for one in left}) > 1:
        raise RuntimeError(f"{config.output_dir}: the ranks hold different avatars")
    return [dict(one["losses"]) for one in left]


def apart(a: Curves, b: Curves, steps: range) -> float:
    """Largest relative difference of the curves of all ranks in these steps."""
    return max(abs(x[s] - y[s]) / abs(x[s]) for x, y in zip(a, b, strict=True) for s in steps)


def last_state(config: MobavatarTrainerConfig) -> dict[str, Any]:
    return checkpoints.newest(config.get_checkpoint_dir()).state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--ranks", type=int, default=1, help="processes, each with a GPU of its own")
    parser.add_argument("--steps", type=int, default=120)
    arguments = parser.parse_args()
    device, ranks, steps = arguments.device, arguments.ranks, arguments.steps
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        capture = folder / "capture"
        DemoData(capture, frames=6, cameras=4, width=144, height=192, device=device, workers=1).main()
        runs = {n: config_of(capture, folder / n, device, ranks, steps) for n in ("whole", "again", "resumed")}
        saved = runs["whole"].get_checkpoint_dir()
        runs["resumed"].load_dir, runs["resumed"].load_step = saved, steps // 3
        whole, again, resumed = train(list(runs.values()), ranks)
        first = checkpoints.read(checkpoints.path_of(saved, steps // 3))["step"] + 1
        ends = [last_state(runs[name]) for name in ("whole", "resumed")]
    assert all(list(curve) == list(range(first, steps)) for curve in resumed)
    drawn = [[rank["random"] for rank in state["run"]["ranks"]] for state in ends]
    assert len(drawn[0]) == ranks
    assert not (different := differences(drawn[0], drawn[1])), different
    rest = range(first, steps)
    values = {
        "device": f"{ranks} x {common.device_name(torch.device(device))}",
        "command": f"python -m tests.reliability.gpu_resume --device {device} --ranks {ranks} --steps {steps}",
        "ranks": ranks,
        "steps": steps,
        "resumed_at": first,
        "first_step_resumed_apart_relative": apart(whole, resumed, range(first, first + 1)),
        "resumed_apart_relative": apart(whole, resumed, rest),
        "repeated_apart_relative": apart(whole, again, rest),
    }
    common.write("reliability", {"gpu_resume" if ranks == 1 else f"gpu_resume_{ranks}_ranks": values})


if __name__ == "__main__":
    main()
