"""Capture -> batches, streamed from disk: memory is bounded by a few steps of cropped uint8 pictures.

Training: `next_train(step)` gives the crops of several cameras that look at one pose, loaded by worker processes that
know from the step alone what to load (`stream.py`). Evaluation: full frames, one at a time, read when they are asked
for. nerfstudio's own `FullImageDatamanager` would hold every picture in memory; it is the base class because
`ns-render` and `ns-eval` accept only managers of its kind.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.configs.dataparser_configs import AnnotatedDataParserUnion
from nerfstudio.data.datamanagers.full_images_datamanager import FullImageDatamanager, FullImageDatamanagerConfig
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from nerfstudio_mobavatar.capture import CaptureError
from nerfstudio_mobavatar.cutouts import CutOutStore, scratch_folder
from nerfstudio_mobavatar.dataparsers.base import nerfstudio_pose
from nerfstudio_mobavatar.dataparsers.detect import AutoDataParserConfig
from nerfstudio_mobavatar.full_pictures import AvatarDataset, LazyEvalLoader
from nerfstudio_mobavatar.loading import LoaderDiedError, Loaders
from nerfstudio_mobavatar.saved_config import SavedConfig
from nerfstudio_mobavatar.step_watch import Shown
from nerfstudio_mobavatar.stream import StepDataset, StepSampler

MOST_RESTARTS = 3
"""Of the loading processes for one step."""
MOST_UNREADABLE = 0.05
"""Share of the training pictures; of more that cannot be read the disk is ill, and training ends."""
NO_SCRATCH = (
    "Pictures are decoded at every visit: there is no disk for what is cut out of them (--scratch-dir), or the loading "
    "processes of this system cannot share it."
)


@dataclass
class AvatarDataManagerConfig(SavedConfig, FullImageDatamanagerConfig):
    """Options of the streaming datamanager. Of the inherited ones only `data`, `dataparser` and
    `train_cameras_sampling_seed` (the seed of poses and cameras) have an effect: nothing is cached."""

    _target: type = field(default_factory=lambda: AvatarDataManager)
    """Datamanager class."""
    dataparser: AnnotatedDataParserUnion = field(default_factory=AutoDataParserConfig)
    """What reads the capture; by default the folder's layout decides."""
    cache_images: Literal["cpu", "gpu"] = "cpu"
    """Without effect."""
    cameras_per_step: int = 4
    """Pictures per training step and rank, all of the same pose (fewer if the pose has fewer cameras)."""
    crop_margin: int = 16
    """Pixels of background kept around the person in training crops (after scaling)."""
    num_workers: int | None = None
    """Loading processes per rank. 0: load in the training process. None: the CPU cores this process may use, shared by
    the ranks, at most 12."""
    prefetch_steps: int = 1
    """Steps each worker loads ahead; memory holds `num_workers * prefetch_steps` steps of crops, and places for two
    steps of whole pictures."""
    scratch_gb: float = 64.0
    """Space for what is cut out of the pictures when they are first shown, so that none is decoded twice: 1 to 3 MB for
    each of 3 megapixels. At most half of what is free on that disk is taken; the ranks share it. 0: decode always."""
    scratch_dir: Path | None = None
    """Folder for it, on a fast local disk. None: that of temporary files (TMPDIR), or /var/tmp where that is memory.
    The space is free again when training ends, however it ends."""
    worker_timeout: float = 120.0
    """Seconds after which a step that does not arrive is an error."""


class AvatarDataManager(FullImageDatamanager[AvatarDataset]):
    """Streams training crops and evaluation pictures; see the module's docstring.

    `next_train(step)` -> `Cameras` [b] of the crops, on the host (`metadata`: `pose_row` [b,1], `cam_idx` [b,1],
    `image_size` (width, height)), and a batch with `image` uint8 [b,h,w,3] and `mask` uint8 [b,h,w,1] (0..255) on the
    device, `person_box` [b,4], `image_idx` [b] and `pose_row` (int) on the host, where they can be read at no cost.
    """

    config: AvatarDataManagerConfig

    def __init__(
        self,
        config: AvatarDataManagerConfig,
        device: torch.device | str = "cpu",
        test_mode: Literal["test", "val", "inference"] = "val",
        world_size: int = 1,
        local_rank: int = 0,
        **kwargs: Any,
    ):
        # OpenCV's thread pool does not survive the fork of the workers: it must not exist before.
        cv2.setNumThreads(0)
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.rank = torch.distributed.get_rank() if distributed else local_rank
        self._steps: Loaders | None = None
        self._next_step: int | None = None
        self._told_full = False
        self._rays_per_batch: int | None = None
        self.last_shown = Shown(-1, 0, ())
        """What the last training step looked at."""
        self.last_size = (0, 0, 0)
        """Pictures of the last training step: how many, width, height."""
        self.unreadable: dict[int, str] = {}
        """Training pictures that could not be read so far, and why."""
        self.restarts = 0
        """How often loading processes died in this process of training."""
        super().__init__(config, device, test_mode, world_size, local_rank, **kwargs)

    def create_train_dataset(self) -> AvatarDataset:
        return AvatarDataset(self.train_dataparser_outputs, self.config.camera_res_scale_factor)

    def create_eval_dataset(self) -> AvatarDataset:
        outputs = self.dataparser.get_dataparser_outputs(split=self.test_split)
        return AvatarDataset(outputs, self.config.camera_res_scale_factor)

    @cached_property
    def step_dataset(self) -> StepDataset:
        """Step -> crops, the same in every process."""
        metadata = self.train_dataset.metadata
        of_pose: dict[int, list[int]] = {}
        for index, image in enumerate(metadata["images"]):
            of_pose.setdefault(image.frame, []).append(index)
        sampler = StepSampler(
            seed=self.config.train_cameras_sampling_seed,
            rank=self.rank,
            world_size=self.world_size,
            cameras_per_step=self.config.cameras_per_step,
            images_of_pose=tuple(tuple(indices) for indices in of_pose.values()),
        )
        return StepDataset(sampler, metadata["images"], metadata["views"], self.config.crop_margin)

    def _make_store(self) -> CutOutStore | None:
        """Where cut-outs are kept. Raises `CaptureError` where the chosen folder cannot be used."""
        if self.config.scratch_gb <= 0:
            return None
        folder = scratch_folder(self.config.scratch_dir)
        if folder is None:
            CONSOLE.print(NO_SCRATCH, markup=False)
            return None
        most = int(self.config.scratch_gb * 2**30 / self.world_size)
        try:
            store = CutOutStore(folder, len(self.step_dataset.images), most)
        except OSError as error:
            raise CaptureError(
                f"{folder}: expected a folder that takes files, found: {error}. Choose another one with --scratch-dir, "
                "or do without: --scratch-gb 0"
            ) from error
        room = min(most, store.least_free) / 2**30
        CONSOLE.print(
            f"What is cut out of pictures is kept in {folder} while training runs, up to {room:.0f} GB (--scratch-gb)",
            markup=False,
        )
        return store

    @cached_property
    def _train_poses(self) -> Tensor:
        """Nerfstudio camera-to-world of every camera of the capture, [c,3,4] on the CPU."""
        views = self.train_dataset.metadata["views"]
        return nerfstudio_pose(torch.from_numpy(np.stack([view.T_cam_world for view in views])).double())

    def num_workers(self) -> int:
        """Loading processes of this rank."""
        if self.config.num_workers is not None:
            return self.config.num_workers
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, min(12, cores // self.world_size))

    def _start(self, step: int) -> None:
        """(Re)start the stream at a step; workers of an earlier stream end."""
        self.stop_loading()
        if self._next_step is None:
            self.step_dataset.store = self._make_store()
        pixels = max(view.width * view.height for view in self.train_dataset.metadata["views"])
        most_bytes = 4 * pixels * self.config.cameras_per_step
        load = self.step_dataset.__getitem__
        ahead = self.config.prefetch_steps
        self._steps = Loaders(load, step, self.num_workers(), ahead, most_bytes, self.device)
        self._next_step = step

    def stop_loading(self) -> None:
        """End the loading processes. `next_train` starts them again."""
        if self._steps is not None:
            self._steps.close()
        self._steps = None

    def next_train(self, step: int) -> tuple[Cameras, dict[str, Any]]:
        """The training data of `step`, whatever was asked for before."""
        if self._steps is None or step != self._next_step:
            self._start(step)
        sample = self._take(step)
        self._next_step = step + 1
        self.train_count += 1
        self._report_unreadable(step, sample["unreadable"])
        self._report_full()
        count, height, width = sample["image"].shape[:3]
        self._rays_per_batch = count * height * width
        self.last_shown = Shown(step, int(sample["pose_row"]), tuple(sample["camera"].tolist()))
        self.last_size = (count, width, height)
        batch = {
            "image": sample["image"],
            "mask": sample["mask"],
            "person_box": sample["person_box"],
            "image_idx": sample["image_idx"],
            "pose_row": int(sample["pose_row"]),
        }
        return self._crop_cameras(sample, width, height), batch

    def _report_unreadable(self, step: int, found: dict[int, str]) -> None:
        """Say each once. Raises `CaptureError` where they are too many to be accidents."""
        for index, why in found.items():
            if index not in self.unreadable:
                self.unreadable[index] = why
                CONSOLE.print(
                    f"Step {step}: {why} It is left out of training ({len(self.unreadable)} so far).", markup=False
                )
        if len(self.unreadable) > max(1, MOST_UNREADABLE * len(self.train_dataset)):
            self.stop_loading()
            raise CaptureError(
                f"{len(self.unreadable)} of {len(self.train_dataset)} training pictures cannot be read, among them: "
                f"{next(iter(self.unreadable.values()))} Check the disk, and the capture with `mobavatar doctor`."
            )

    def _report_full(self) -> None:
        """Say once where cut-outs of the rest of the pictures will not be kept."""
        store = self.step_dataset.store
        if store is not None and store.is_full and not self._told_full:
            self._told_full = True
            what, advice = store.why_full()
            CONSOLE.print(
                f"{what}: {store.num_kept()} of {store.pictures} are kept ({store.used_bytes() / 2**30:.1f} GB), "
                f"the others are decoded at every visit. {advice}",
                markup=False,
            )

    def describe_trouble(self) -> str | None:
        """One sentence for the end of a run, or None where everything could be read."""
        if not self.unreadable and not self.restarts:
            return None
        return (
            f"{len(self.unreadable)} training pictures could not be read and were left out; loading processes died "
            f"{self.restarts} times."
        )

    def _take(self, step: int) -> dict[str, Any]:
        """Next sample of the stream. A loading process that died is replaced: samples are functions of the step. On
        any other error the workers end, so that none is left loading."""
        restarts = 0
        while True:
            assert self._steps is not None
            try:
                return self._steps.take(self.config.worker_timeout)
            except (LoaderDiedError, TimeoutError) as error:
                self.stop_loading()
                if isinstance(error, TimeoutError) or restarts == MOST_RESTARTS:
                    raise RuntimeError(
                        f"step {step}: expected a sample from the {self.num_workers()} loading processes, found: "
                        f"{error}. If one was killed, memory is short: use fewer with --num-workers, or 0. If the disk "
                        "is slow, raise --worker-timeout."
                    ) from error
                restarts, self.restarts = restarts + 1, self.restarts + 1
                CONSOLE.print(
                    f"Step {step}: a loading process died; all are started again (number {self.restarts} in this run). "
                    "Where this goes on, memory is short: use fewer with --num-workers",
                    markup=False,
                )
                self._start(step)
            except BaseException:
                self.stop_loading()
                raise

    def _crop_cameras(self, sample: dict[str, Any], width: int, height: int) -> Cameras:
        camera, K = sample["camera"], sample["K"]
        rows = len(self.train_dataset.metadata["capture"].frames)
        pose_row = torch.full((len(camera), 1), int(sample["pose_row"]))
        return Cameras(
            camera_to_worlds=self._train_poses[camera],
            fx=K[:, 0, 0],
            fy=K[:, 1, 1],
            cx=K[:, 0, 2],
            cy=K[:, 1, 2],
            width=torch.full((len(camera),), width),
            height=torch.full((len(camera),), height),
            times=pose_row[:, 0].float() / max(rows - 1, 1),
            metadata={"pose_row": pose_row, "cam_idx": camera[:, None], "image_size": (width, height)},
        )

    def next_eval(self, step: int) -> tuple[Cameras, dict[str, Any]]:
        """A full evaluation picture, chosen by seed and step alone."""
        return self.next_eval_image(step)

    def next_eval_image(self, step: int) -> tuple[Cameras, dict[str, Any]]:
        """A full evaluation picture, chosen by seed and step alone; one that cannot be read is reported and passed
        over. Raises `CaptureError` where none can."""
        rng = np.random.default_rng([self.config.train_cameras_sampling_seed, 2, step])
        first, count = int(rng.integers(len(self.eval_dataset))), len(self.eval_dataset)
        for later in range(count):
            try:
                return self.fixed_indices_eval_dataloader.get((first + later) % count)
            except CaptureError as error:
                if later == count - 1:
                    raise
                CONSOLE.print(f"Evaluation at step {step}: {error} The next picture is taken instead.", markup=False)
        raise CaptureError("there are no evaluation pictures")

    @property
    def fixed_indices_eval_dataloader(self) -> LazyEvalLoader:
        """All evaluation pictures. Cheap to get: the viewer reads every attribute of the datamanager."""
        return LazyEvalLoader(self.eval_dataset, self.device)

    @property
    def cached_train(self) -> Sequence[dict[str, Tensor]]:
        """Nerfstudio's cache of pictures: there is none, pictures are streamed."""
        return ()

    @property
    def cached_eval(self) -> Sequence[dict[str, Tensor]]:
        """Nerfstudio's cache of pictures: there is none, pictures are streamed."""
        return ()

    def get_train_rays_per_batch(self) -> int:
        """Pixels of the last training step; before the first, those of as many full frames."""
        if self._rays_per_batch is None:
            camera = self.train_dataset.cameras[0]
            return int(camera.width) * int(camera.height) * self.config.cameras_per_step
        return self._rays_per_batch

    def get_eval_rays_per_batch(self) -> int:
        """Pixels of one full frame."""
        camera = self.eval_dataset.cameras[0]
        return int(camera.width) * int(camera.height)
