"""nerfstudio's trainer with a run length that means the whole run."""

import copy
import os
import sys
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import torch
from nerfstudio.engine.optimizers import Optimizers
from nerfstudio.engine.trainer import Trainer, TrainerConfig
from nerfstudio.utils.rich_utils import CONSOLE

from .capture import CaptureError
from .dataparsers.base import CaptureDataParserConfig
from .model import MobavatarModelConfig
from .optim import DecaySchedulerConfig, SafeOptimizers
from .parallel import StopTogether
from .pipeline import MobavatarPipeline
from .step_watch import StepWatch


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
        optimizers = SafeOptimizers(groups, self.pipeline.get_param_groups())
        optimizers.steps_per_log = self.config.logging.steps_per_log
        return optimizers

    def train(self) -> None:
        """Train up to `max_num_iterations` in total (nerfstudio 1.1.5 would run that many more after a resume)."""
        total = self.config.max_num_iterations
        if self._start_step >= total:
            CONSOLE.print(f"The checkpoint is at step {self._start_step} of {total}: nothing left to train.")
            return
        self.config.max_num_iterations = total - self._start_step
        try:
            with StopTogether():
                super().train()
        finally:
            self.config.max_num_iterations = total

    def train_iteration(self, step: int) -> Any:
        """One step; says which frames made it impossible, and what to lower where memory is short."""
        try:
            result = super().train_iteration(step)
        except torch.cuda.OutOfMemoryError as error:
            raise RuntimeError(self._memory_advice(step)) from error
        assert isinstance(self.optimizers, SafeOptimizers)
        if self.optimizers.skipped is not None:
            shown, loss = self.pipeline.datamanager.last_shown, result[1]["l1"].detach()
            for line in self.watch.note(shown, self.optimizers.skipped, loss):
                CONSOLE.print(line, markup=False)
        return result

    def _after_train(self) -> None:
        for line in [*self.watch.look(), self.watch.describe_outliers()]:
            if line is not None:
                CONSOLE.print(line, markup=False)
        super()._after_train()

    @cached_property
    def watch(self) -> StepWatch:
        """What this run notices about its own steps."""
        capture = self.pipeline.datamanager.train_dataset.metadata["capture"]
        return StepWatch([str(f) for f in capture.frames], [camera.name for camera in capture.cameras])

    def _memory_advice(self, step: int) -> str:
        manager, model = self.config.pipeline.datamanager, self.config.pipeline.model
        count, width, height = self.pipeline.datamanager.last_size
        gigabytes = torch.cuda.get_device_properties(0).total_memory / 2**30 if torch.cuda.is_available() else 0
        assert isinstance(model, MobavatarModelConfig)
        options = {
            f"--pipeline.datamanager.cameras-per-step (now {getattr(manager, 'cameras_per_step', 0)})",
            f"--pipeline.datamanager.dataparser.max-image-side (pictures are {width}x{height} now)",
            f"--pipeline.model.avatar.num-gaussians (now {model.avatar.num_gaussians})",
            f"--pipeline.model.losses.perceptual ssim or none (now {model.losses.perceptual})",
        }
        return (
            f"step {step}: {count} pictures of {width}x{height} and {model.avatar.num_gaussians} Gaussians do not fit "
            f"into the GPU's {gigabytes:.0f} GB. Lower one of: {'; '.join(sorted(options))}. Other programs may hold "
            "some of the memory: see nvidia-smi"
        )
