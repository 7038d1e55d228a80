"""Writes the checkpoint and configuration of a tiny run, as a golden of what this version writes.

    python -m tests.goldens.make_checkpoint 2        # the layout of checkpoints that this version writes

Never make an old layout's golden again: run_v1 was written by a version from before layout 2.
"""

import copy
import gzip
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from nerfstudio_mobavatar import configs
from nerfstudio_mobavatar.avatar import AvatarConfig
from tests.tiny_capture import write_capture

FOLDER = Path(__file__).resolve().parent
SAVED, STEPS = 3, 6


def make(out: Path) -> None:
    """The run's own paths are relative to the folder that the process is in."""
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        data = write_capture(Path("capture"), frames=5, cameras=3)  # shapes of the checkpoint follow from it
        config: Any = copy.deepcopy(configs.mobavatar_tiny.config)
        config.max_num_iterations, config.output_dir, config.data = STEPS, Path("runs"), data
        config.experiment_name, config.timestamp, config.vis = "golden", "run", "tensorboard"
        config.machine.device_type, config.steps_per_save, config.steps_per_eval_image = "cpu", SAVED, 0
        config.save_only_latest_checkpoint, config.check_capture = False, False
        config.pipeline.datamanager.data, config.pipeline.datamanager.num_workers = data, 0
        model = config.pipeline.model
        model.avatar = AvatarConfig(num_gaussians=32, num_parts=3, num_nodes=8, basis_size=2, hidden_widths=(3,))
        model.pruning.keep_count, model.warmup_fraction, model.prune_fraction = 8, 0.0, 2 / STEPS
        config.save_config()
        trainer = config.setup(local_rank=0, world_size=1)
        trainer.setup()
        trainer.train()
        checkpoint = trainer.checkpoint_dir / f"step-{SAVED:09d}.ckpt"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        shutil.copyfile(trainer.base_dir / "config.yml", out / "config.yml")
        (out / f"{checkpoint.name}.gz").write_bytes(gzip.compress(checkpoint.read_bytes(), 9, mtime=0))


if __name__ == "__main__":
    make(FOLDER / f"run_v{sys.argv[1]}")
