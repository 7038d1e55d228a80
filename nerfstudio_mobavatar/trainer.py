"""nerfstudio's trainer with a run length that means the whole run."""

import copy
import os
import sys
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from nerfstudio.engine.optimizers import Optimizers
from nerfstudio.engine.trainer import Trainer, TrainerConfig
from nerfstudio.utils.rich_utils import CONSOLE

from .capture import CaptureError
from .dataparsers.base import CaptureDataParserConfig
from .model import MobavatarModelConfig
from .optim import DecaySchedulerConfig
from .pipeline import MobavatarPipeline


@dataclass
class MobavatarTrainerConfig(TrainerConfig):
    """TrainerConfig whose `max_num_iterations` is the total, also after a resume; every schedule follows it."""

    _target: type = field(default_factory=lambda: MobavatarTrainer)
    check_capture: bool = True
    """Look at a few pictures first and refuse a capture whose cameras, masks and body fit do not go together."""


class MobavatarTrainer(Trainer):
    """Resolves learning-rate decay from the run's length and stops at the total number of steps."""

    config: MobavatarTrainerConfig
    pipeline: MobavatarPipeline

    def __init__(self, config: MobavatarTrainerConfig, local_rank: int = 0, world_size: int = 1) -> None:
        """Raises `RuntimeError` where a GPU is asked for and there is none, before anything is read."""
        if config.machine.device_type == "cuda" and not torch.cuda.is_available():
            raise RuntimeError(
                "machine.device-type is 'cuda' (nerfstudio's default), but torch finds no CUDA GPU. Train on the CPU "
                "with: ns-train mobavatar-tiny --machine.device-type cpu ..., or install a torch that fits your driver"
            )
        super().__init__(config, local_rank, world_size)

    def setup(self, test_mode: Literal["test", "val", "inference"] = "val") -> None:
        """nerfstudio's set-up after a look at the capture; one that cannot be used ends the program with its message.
        On a CPU, torch leaves the loading processes their cores.

        Its threads wait for each other by spinning: one thread too many on two busy cores made a step seven times
        slower (3.7 s against 0.5 s).
        """
        try:
            if self.config.check_capture:
                self._check_capture()
            super().setup(test_mode)
        except CaptureError as error:
            sys.exit(f"ns-train: {error}")
        if self.device == "cpu":
            free = (os.cpu_count() or 1) - self.pipeline.datamanager.num_workers()
            torch.set_num_threads(max(1, min(torch.get_num_threads(), free)))

    def _check_capture(self) -> None:
        """With the body that will be trained. Raises `CaptureError`."""
        # here, since every ns-* tool imports this module
        from .doctor.quick import check_before_training

        manager, model = self.config.pipeline.datamanager, self.config.pipeline.model
        parser = getattr(manager, "dataparser", None)
        if isinstance(parser, CaptureDataParserConfig) and isinstance(model, MobavatarModelConfig):
            parser = replace(parser, data=manager.data or parser.data)
            check_before_training(parser, model.body, model.gender, lambda line: CONSOLE.print(line, markup=False))

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
