"""nerfstudio's trainer with a run length that means the whole run."""

import copy
from dataclasses import dataclass, field
from typing import Any

from nerfstudio.engine.optimizers import Optimizers
from nerfstudio.engine.trainer import Trainer, TrainerConfig
from nerfstudio.utils.rich_utils import CONSOLE

from .optim import DecaySchedulerConfig


@dataclass
class MobavatarTrainerConfig(TrainerConfig):
    """TrainerConfig whose `max_num_iterations` is the total, also after a resume; every schedule follows it."""

    _target: type = field(default_factory=lambda: MobavatarTrainer)


class MobavatarTrainer(Trainer):
    """Resolves learning-rate decay from the run's length and stops at the total number of steps."""

    config: MobavatarTrainerConfig

    def setup_optimizers(self) -> Optimizers:
        groups: dict[str, Any] = copy.deepcopy(self.config.optimizers)
        for group in groups.values():
            schedule = group["scheduler"]
            if isinstance(schedule, DecaySchedulerConfig) and schedule.max_steps is None:
                schedule.max_steps = self.config.max_num_iterations
        return Optimizers(groups, self.pipeline.get_param_groups())

    def train(self) -> None:
        """Train up to `max_num_iterations` in total (nerfstudio 1.1.5 would run that many more after a resume)."""
        total = self.config.max_num_iterations
        if self._start_step >= total:
            CONSOLE.print(f"The checkpoint is at step {self._start_step} of {total}: nothing left to train.")
            return
        self.config.max_num_iterations = total - self._start_step
        try:
            super().train()
        finally:
            self.config.max_num_iterations = total
