"""Tiny training runs that several tests start. Apart from fixtures.py, since nerfstudio takes seconds to import."""

import copy
from pathlib import Path

from nerfstudio_mobavatar import configs
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
    config.pipeline.datamanager.data = data
    config.pipeline.datamanager.num_workers = 0
    config.pipeline.datamanager.dataparser.test_frames = ("5",)
    model = config.pipeline.model
    model.avatar = AvatarConfig(num_gaussians=100, num_parts=6, num_nodes=20, basis_size=4, hidden_widths=(6,))
    model.pruning.keep_count = 20
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
