"""Training data as a pure function of the step: which pose, which cameras, and their crops.

Nothing here keeps state between steps, so a run resumed at step `s` sees what the uninterrupted run saw, and every
rank computes its own share without talking to the others. No nerfstudio here: worker processes stay light.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from torch.utils.data import Dataset

from nerfstudio_mobavatar import losses
from nerfstudio_mobavatar.capture import CaptureError, CaptureImage
from nerfstudio_mobavatar.images import (
    Box,
    CameraView,
    UndistortMaps,
    crop_intrinsics,
    load_image,
    load_matte,
    person_box,
    place_window,
    shared_window,
)


@lru_cache(maxsize=8)
def _permutation(seed: int, stream: int, number: int, length: int) -> Int[ndarray, " n"]:
    """Permutation number `number` of the given stream (0: poses of an epoch, 1: cameras of a pose)."""
    return np.random.default_rng([seed, stream, number]).permutation(length)


@dataclass(frozen=True)
class StepSampler:
    """Step -> indices of the images to load, all of one pose.

    Poses: epoch `e` is a permutation of the poses; draw `step * world_size + rank` takes the next one, so the ranks of
    a step have different poses and an epoch shows each pose once over all ranks. Cameras: a pose has its own order of
    cameras and each visit continues where the last one stopped, so all images of a pose are shown equally often.
    """

    seed: int
    rank: int
    world_size: int
    cameras_per_step: int
    images_of_pose: tuple[tuple[int, ...], ...]
    """Per pose, the indices of its training images."""

    def __post_init__(self):
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank {self.rank} of {self.world_size}: expected 0 <= rank < world_size")
        if self.cameras_per_step < 1:
            raise ValueError(f"cameras_per_step is {self.cameras_per_step}; expected at least 1")
        if not self.images_of_pose or not all(self.images_of_pose):
            raise ValueError("expected at least one pose, and at least one image for each pose")

    def __call__(self, step: int) -> tuple[int, ...]:
        """At most `cameras_per_step` different images (fewer if the pose has fewer)."""
        num_poses = len(self.images_of_pose)
        epoch, position = divmod(step * self.world_size + self.rank, num_poses)
        pose = int(_permutation(self.seed, 0, epoch, num_poses)[position])
        images = self.images_of_pose[pose]
        order = np.random.default_rng([self.seed, 1, pose]).permutation(len(images))
        count = min(self.cameras_per_step, len(images))
        return tuple(images[order[(epoch * count + i) % len(images)]] for i in range(count))


class StepDataset(Dataset):
    """`dataset[step]` is that step's training data: crops of one window size, uint8.

    Keys: `image` [b,h,w,3], `mask` [b,h,w,1] (0 background .. 255 person), `K` [b,3,3] float32 of the crops, `camera`
    [b], `image_idx` [b], `person_box` [b,4] (`losses.person_boxes`; int64), `pose_row` (int), `unreadable`: index of
    each picture that was left out -> why.
    """

    def __init__(
        self, sampler: StepSampler, images: Sequence[CaptureImage], views: Sequence[CameraView], crop_margin: int
    ):
        self.sampler = sampler
        self.images = images
        self.views = views
        self.crop_margin = crop_margin
        self._maps = UndistortMaps()

    def __getitem__(self, step: int) -> dict[str, Any]:
        """Pictures that cannot be read are left out; where a pose has no other one, the next pose takes its place.

        Raises `CaptureError` naming one of the files if no pose has a picture that can be read.
        """
        unreadable: dict[int, str] = {}
        for later in range(len(self.sampler.images_of_pose)):
            indices = list(self.sampler(step + later))
            while indices := [i for i in indices if i not in unreadable]:
                known = len(unreadable)
                sample = self._crops(indices, unreadable)
                if len(unreadable) == known:
                    return {**sample, "unreadable": unreadable}
        raise CaptureError(
            f"{next(iter(unreadable.values()))} None of the pictures that training looked for can be read."
        )

    def _crops(self, indices: list[int], unreadable: dict[int, str]) -> dict[str, Any]:
        """The sample of these pictures. Those that cannot be read are added to `unreadable`: it is of no use then."""

        def read(index: int, load: Callable[..., ndarray], *arguments: Any) -> ndarray:
            try:
                return load(*arguments)
            except CaptureError as error:
                unreadable[index] = str(error)
                return np.zeros(1, np.uint8)

        images = [self.images[i] for i in indices]
        views = [self.views[image.camera] for image in images]
        mattes = [
            read(i, load_matte, image.mask_path, view, self._maps) for i, image, view in zip(indices, images, views)
        ]
        if unreadable.keys() & set(indices):
            return {}
        boxes = [person_box(matte, self.crop_margin) for matte in mattes]
        sizes = [(view.width, view.height) for view in views]
        width, height = shared_window(boxes, sizes)
        rgb = np.empty((len(images), height, width, 3), np.uint8)
        mask = np.empty((len(images), height, width, 1), np.uint8)
        K = np.empty((len(images), 3, 3), np.float32)
        for k, (image, view) in enumerate(zip(images, views)):
            x0, y0 = place_window(boxes[k], (width, height), sizes[k])
            window = Box(x0, y0, x0 + width, y0 + height)
            rgb[k] = read(indices[k], load_image, image.image_path, view, self._maps, window)
            mask[k, ..., 0] = mattes[k][y0 : window.y1, x0 : window.x1]
            K[k] = crop_intrinsics(view.K, x0, y0)
        return {
            "image": torch.from_numpy(rgb),
            "mask": torch.from_numpy(mask),
            "person_box": losses.person_boxes(torch.from_numpy(mask)),
            "K": torch.from_numpy(K),
            "camera": torch.tensor([image.camera for image in images]),
            "image_idx": torch.tensor(indices),
            "pose_row": images[0].frame,
        }


def init_worker(worker_id: int) -> None:
    """One thread per worker process: the workers are the parallelism."""
    del worker_id
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
