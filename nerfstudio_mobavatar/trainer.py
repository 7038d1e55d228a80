"""nerfstudio's trainer with a run length that means the whole run, and checkpoints from which it goes on exactly."""

import copy
import os
import sys
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import torch
import yaml
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation
from nerfstudio.engine.optimizers import Optimizers
from nerfstudio.engine.trainer import Trainer, TrainerConfig
from nerfstudio.utils import comms, writer
from nerfstudio.utils.misc import step_check
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.utils.writer import EventName

from . import checkpoints, durable
from .capture import CaptureError
from .checkpoints import CheckpointError
from .dataparsers.base import CaptureDataParserConfig
from .model import MobavatarModel, MobavatarModelConfig
from .optim import DecaySchedulerConfig, SafeOptimizers
from .parallel import StopTogether, of_every_rank
from .pipeline import MobavatarPipeline
from .pruning import PruningReport
from .saved_config import SavedConfig
from .step_watch import StepWatch

CLOCKS = {name.value for name in (EventName.ITER_TRAIN_TIME, EventName.TRAIN_RAYS_PER_SEC, EventName.ETA)}
"""What nerfstudio logs in every step."""


@dataclass
class MobavatarTrainerConfig(SavedConfig, TrainerConfig):
    """TrainerConfig whose `max_num_iterations` is the total, also after a resume; every schedule follows it."""

    _target: type = field(default_factory=lambda: MobavatarTrainer)
    check_capture: bool = True
    """Look at a few pictures first and refuse a capture whose cameras, masks and body fit do not go together."""
    keep_checkpoints: int = 2
    """Checkpoints that stay where `save_only_latest_checkpoint` is set (nerfstudio's default): the latest, and those
    before it in case its file is damaged. Without it all stay."""

    def save_config(self) -> None:
        """nerfstudio's config.yml, whole or not at all: a run that goes on in its own folder writes it again.

        Without `load_step`: nerfstudio's tools would look for that step among this run's own checkpoints.
        """
        folder = self.get_base_dir()
        folder.mkdir(parents=True, exist_ok=True)
        CONSOLE.log(f"Saving config to: {folder / 'config.yml'}")
        durable.write(folder / "config.yml", yaml.dump(replace(self, load_step=None)))


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
        self._random_state: dict[str, Any] | None = None
        """To go on with, until the first step."""

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
            if comms.is_main_process():
                self._check_folder()
        except (CaptureError, CheckpointError) as error:
            sys.exit(f"ns-train: {error}")
        self.callbacks.insert(
            0, TrainingCallback([TrainingCallbackLocation.BEFORE_TRAIN_ITERATION], self._continue_random_numbers)
        )
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
        groups, model = copy.deepcopy(self.config.optimizers), self._model.config
        for group in groups.values():
            schedule = group["scheduler"]
            if isinstance(schedule, DecaySchedulerConfig):
                if schedule.max_steps is None:
                    schedule.max_steps = self.config.max_num_iterations
                if schedule.pruned_at is None and model.correctives:
                    schedule.pruned_at = model.prune_fraction
        optimizers = SafeOptimizers(groups, self.pipeline.get_param_groups())
        optimizers.steps_per_log = self.config.logging.steps_per_log
        return optimizers

    def _check_folder(self) -> None:
        """Room and permission for a checkpoint. Raises `CheckpointError` before an hour is trained for nothing."""
        for name in durable.remove_unfinished(self.checkpoint_dir) if self.checkpoint_dir.is_dir() else ():
            CONSOLE.print(f"{self.checkpoint_dir}: removed {name}, which a run was writing when it was stopped")
        learnt = sum(p.numel() * p.element_size() for p in self.pipeline.model.parameters())
        moments = 2 * learnt
        checkpoints.check_folder(self.checkpoint_dir, learnt + moments)

    def _load_checkpoint(self) -> None:
        """Go on from `load_dir` (at `load_step`, or the newest that can be read) or `load_checkpoint`.

        Raises `CheckpointError` where it is absent, damaged, of a newer version or of another run.
        """
        folder, step = self.config.load_dir, self.config.load_step
        path = self.config.load_checkpoint if folder is None else checkpoints.path_of(folder, step or 0)
        if path is None:
            CONSOLE.print("No checkpoint was given (--load-dir): training starts from scratch.")
            return
        if folder is not None and step is None:
            found = checkpoints.newest(folder)
            for line in found.damaged:
                CONSOLE.print(f"{line}. THE CHECKPOINT BEFORE IT IS USED INSTEAD: {found.path.name}", markup=False)
            path, state = found.path, found.state
        else:
            state = checkpoints.read(path)
        try:
            self.pipeline.load_pipeline(state["pipeline"], state["step"])
            self.optimizers.load_optimizers(state["optimizers"])
            if "schedulers" in state and self.config.load_scheduler:
                self.optimizers.load_schedulers(state["schedulers"])
            self.grad_scaler.load_state_dict(state["scalers"])
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
        except (KeyError, RuntimeError, ValueError) as error:
            why = " ".join(str(error).split())[:300]
            raise CheckpointError(
                f"{path} does not belong to this run ({why}); give the data and the options that are in the config.yml "
                "beside its folder"
            ) from error
        self._start_step = state["step"] + 1
        self.pipeline.datamanager.train_count = self._start_step
        self._load_run(state.get("run"))
        CONSOLE.print(f"Going on after step {state['step']}, from {path}", markup=False)

    def _load_run(self, run: dict[str, Any] | None) -> None:
        """What nerfstudio's checkpoints lack."""
        rank = self.pipeline.datamanager.rank
        if run is None or rank >= len(run["ranks"]):
            CONSOLE.print("The checkpoint has no random numbers and counters of this process: they start anew.")
            return
        self._random_state = run["ranks"][rank]["random"]
        self.watch.load_state_dict(run["ranks"][rank]["watch"])
        self.pipeline.datamanager.unreadable = dict(run["ranks"][rank]["unreadable"])
        report = run["pruning"]
        self._model.pruning_report = PruningReport(**report) if report is not None else None
        for group, gradients in run["gradients"].items():
            for parameter, gradient in zip(self.optimizers.parameters[group], gradients):
                parameter.grad = None if gradient is None else gradient.to(parameter)

    def _continue_random_numbers(self, step: int) -> None:
        """Before the first step after a resume, since setting up a run draws numbers, too."""
        del step
        if self._random_state is not None:
            checkpoints.set_random_state(self._random_state, self.device)
            self._random_state = None

    def save_checkpoint(self, step: int) -> None:
        """nerfstudio's checkpoint and what a run needs to go on exactly, written whole; the newest few stay.

        Where it cannot be written the earlier ones stay, the run goes on and says so. Raises `CheckpointError` at the
        end of the run only. Every rank has to come here: each has random numbers and counters of its own.
        """
        own = {
            "random": checkpoints.random_state(self.device),
            "watch": self.watch.state_dict(),
            "unreadable": dict(self.pipeline.datamanager.unreadable),
        }
        ranks = of_every_rank(own, self.device)
        if not comms.is_main_process():
            return
        report = self._model.pruning_report
        state = {
            "step": step,
            "pipeline": self.pipeline.state_dict(),
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.optimizers.items()},
            "schedulers": {name: s.state_dict() for name, s in self.optimizers.schedulers.items()},
            "scalers": self.grad_scaler.state_dict(),
            "run": {
                "ranks": ranks,
                "gradients": self._accumulating(step),
                "pruning": None if report is None else asdict(report),
            },
        }
        try:
            checkpoints.write(checkpoints.path_of(self.checkpoint_dir, step), state)
        except CheckpointError as error:
            if self.training_state == "completed":
                raise
            CONSOLE.print(f"Step {step}: {error}. Training goes on. {self._how_to_go_on()}", markup=False)
            return
        if self.config.save_only_latest_checkpoint:
            checkpoints.keep_newest(self.checkpoint_dir, step, self.config.keep_checkpoints)

    def _accumulating(self, step: int) -> dict[str, list[torch.Tensor | None]]:
        """Gradients that later steps add to, of groups whose `gradient_accumulation_steps` are not over."""
        return {
            group: [None if p.grad is None else p.grad.detach() for p in parameters]
            for group, parameters in self.optimizers.parameters.items()
            if (step + 1) % self.gradient_accumulation_steps[group] != 0
        }

    def _how_to_go_on(self) -> str:
        steps = checkpoints.steps_in(self.checkpoint_dir)
        if not steps:
            return f"{self.checkpoint_dir} has no checkpoint yet"
        return (
            f"The checkpoint of step {steps[-1]} is safe: ns-train ... --load-dir {self.checkpoint_dir} goes on from it"
        )

    @property
    def _model(self) -> MobavatarModel:
        model = self.pipeline.model
        assert isinstance(model, MobavatarModel)
        return model

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
        except (CheckpointError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in durable.CANNOT_WRITE:
                raise
            sys.exit(f"ns-train: stopped at step {self.step}: {error}. {self._how_to_go_on()}")
        finally:
            self.config.max_num_iterations = total
            self.pipeline.datamanager.stop_loading()

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

    def _update_viewer_state(self, step: int) -> None:
        """nerfstudio's, after which it writes its clocks to the log, in every step; here they are when the losses are.
        Each entry wakes a thread that takes Python's lock from the loop, which has kernels to launch."""
        super()._update_viewer_state(step)
        if not step_check(step, self.config.logging.steps_per_log, run_at_zero=True):
            writer.EVENT_STORAGE[:] = [e for e in writer.EVENT_STORAGE if e["name"] not in CLOCKS]

    def _after_train(self) -> None:
        for line in [*self.watch.look(), self.watch.describe_outliers(), self.pipeline.datamanager.describe_trouble()]:
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
