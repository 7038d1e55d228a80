"""Tiny training runs that several tests start. Apart from fixtures.py, since nerfstudio takes seconds to import."""

import copy
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nerfstudio_mobavatar import checkpoints, configs
from nerfstudio_mobavatar.avatar import AvatarConfig
from nerfstudio_mobavatar.model import MobavatarModel
from nerfstudio_mobavatar.trainer import MobavatarTrainer, MobavatarTrainerConfig

STEPS, PRUNE_STEP = 8, 4


def tiny_config(data: Path, output: Path, steps: int = STEPS) -> MobavatarTrainerConfig:
    """100 Gaussians; pruning in the middle of eight steps."""
    config = copy.deepcopy(configs.mobavatar_tiny.config)
    assert isinstance(config, MobavatarTrainerConfig)
    config.max_num_iterations, config.output_dir, config.data = steps, output, data
    config.experiment_name, config.timestamp, config.vis = "tiny", "run", "tensorboard"
    config.machine.device_type = "cpu"
    config.steps_per_save, config.save_only_latest_checkpoint, config.steps_per_eval_image = 1, False, 0
    manager: Any = config.pipeline.datamanager
    manager.data, manager.num_workers = data, 0
    manager.dataparser.test_frames = ("5",)
    model: Any = config.pipeline.model
    model.avatar = AvatarConfig(num_gaussians=100, num_parts=6, num_nodes=20, basis_size=4, hidden_widths=(6,))
    model.pruning.keep_count, model.pruning.keep_features = 20, 2
    model.warmup_fraction, model.prune_fraction = 0.13, PRUNE_STEP / STEPS
    return config


def run(config: MobavatarTrainerConfig) -> MobavatarTrainer:
    """What `ns-train` does with a config."""
    config.save_config()
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    trainer.train()
    return trainer


def model_of(trainer: MobavatarTrainer) -> MobavatarModel:
    model = trainer.pipeline.model
    assert isinstance(model, MobavatarModel)
    return model


def draw_random_numbers() -> list[float]:
    """From every generator that other code of a process may use."""
    return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), float(torch.rand(()))]  # noqa: NPY002


def differences(a: Any, b: Any, where: str = "") -> list[str]:
    """Places where two nested states differ in a bit."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        same = a.dtype == b.dtype and a.shape == b.shape and torch.equal(a.nan_to_num(7.0), b.nan_to_num(7.0))
        return [] if same else [where]
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return [f"{where}: keys {sorted(map(str, a.keys() ^ b.keys()))}"]
        return [d for k in a for d in differences(a[k], b[k], f"{where}/{k}")]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        if len(a) != len(b):
            return [f"{where}: {len(a)} and {len(b)} entries"]
        return [d for i, (x, y) in enumerate(zip(a, b)) for d in differences(x, y, f"{where}/{i}")]
    return [] if type(a) is type(b) and a == b else [f"{where}: {a!r} and {b!r}"[:200]]


def checkpoint_differences(a: Path, b: Path) -> list[str]:
    """Of the newest checkpoints of two folders. Left out are Python's random numbers, which the tests' shape checker
    draws from; `tests/reliability/kill.py` compares them, without it."""
    found = differences(checkpoints.newest(a).state, checkpoints.newest(b).state)
    return [where for where in found if not where.startswith("/run/ranks/0/random/python")]
