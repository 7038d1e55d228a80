"""Training data as a pure function of the step: which pose, which cameras, and their crops.

Nothing here keeps state between steps, so a run resumed at step `s` sees what the uninterrupted run saw, and every
rank computes its own share without talking to the others. No nerfstudio here: worker processes stay light.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy import ndarray

from nerfstudio_mobavatar import losses
from nerfstudio_mobavatar.capture import CaptureError, CaptureImage
from nerfstudio_mobavatar.cutouts import CutOut, CutOutStore, load_cutout, processes_share
from nerfstudio_mobavatar.images import (
    Box,
    CameraView,
    SharedUndistortMaps,
    UndistortMaps,
    crop_intrinsics,
    place_window,
    shared_window,
    widened,
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


@dataclass(frozen=True)
class Crops:
    """A step's pictures, loaded: the crops are made where they are wanted, and memory holds them once."""

    cutouts: list[CutOut]
    windows: list[Box]
    """Of the crops; all have one size."""
    values: dict[str, Any]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of `image` and `mask`."""
        count, window = len(self.windows), self.windows[0]
        return [(count, window.height, window.width, channels) for channels in (3, 1)]

    def write(self, image: UInt8[ndarray, "b h w 3"], mask: UInt8[ndarray, "b h w 1"]) -> dict[str, Any]:
        """Into these arrays; returns the other values of the step."""
        for cutout, window, rgb, matte in zip(self.cutouts, self.windows, image, mask[..., 0]):
            cutout.paste(window, rgb, matte)
        return self.values | {"person_box": losses.person_boxes(torch.from_numpy(mask)).numpy()}


class StepDataset:
    """`dataset[step]` is that step's training data, as arrays: crops of one window size, uint8.

    `image` [b,h,w,3] (0 where the mask is: training has a background of its own), `mask` [b,h,w,1] (0 background .. 255
    person); other values: `K` [b,3,3] float32 of the crops, `camera` [b], `image_idx` [b], `person_box` [b,4]
    (`losses.person_boxes`; int64), `pose_row` (int), `unreadable`: index of each picture that was left out -> why.

    Pictures that `store` has are not decoded again.
    """

    def __init__(
        self,
        sampler: StepSampler,
        images: Sequence[CaptureImage],
        views: Sequence[CameraView],
        crop_margin: int,
        store: CutOutStore | None = None,
    ):
        self.sampler = sampler
        self.images = images
        self.views = views
        self.crop_margin = crop_margin
        self.store = store
        self._maps = SharedUndistortMaps(views) if processes_share() else UndistortMaps()

    def __getitem__(self, step: int) -> Crops:
        """Pictures that cannot be read are left out; where a pose has no other one, the next pose takes its place.

        Raises `CaptureError` naming one of the files if no pose has a picture that can be read.
        """
        unreadable: dict[int, str] = {}
        for later in range(len(self.sampler.images_of_pose)):
            indices = list(self.sampler(step + later))
            while indices := [i for i in indices if i not in unreadable]:
                crops = self._crops(indices, unreadable)
                if crops is not None:
                    return crops
        raise CaptureError(
            f"{next(iter(unreadable.values()))} None of the pictures that training looked for can be read."
        )

    def _crops(self, indices: list[int], unreadable: dict[int, str]) -> Crops | None:
        """Of these pictures; None, and more in `unreadable`, where some cannot be read."""
        cutouts: list[CutOut] = []
        for index in indices:
            try:
                cutouts.append(self._cutout(index))
            except CaptureError as error:
                unreadable[index] = str(error)
        if len(cutouts) < len(indices):
            return None
        images = [self.images[i] for i in indices]
        views = [self.views[image.camera] for image in images]
        sizes = [(view.width, view.height) for view in views]
        boxes = [widened(cutout.person, self.crop_margin, size) for cutout, size in zip(cutouts, sizes)]
        width, height = shared_window(boxes, sizes)
        places = [place_window(box, (width, height), size) for box, size in zip(boxes, sizes)]
        values = {
            "K": np.stack([crop_intrinsics(view.K, *place) for view, place in zip(views, places)]).astype(np.float32),
            "camera": np.array([image.camera for image in images]),
            "image_idx": np.array(indices),
            "pose_row": images[0].frame,
            "unreadable": unreadable,
        }
        return Crops(cutouts, [Box(x0, y0, x0 + width, y0 + height) for x0, y0 in places], values)

    def _cutout(self, index: int) -> CutOut:
        image = self.images[index]

        def load() -> CutOut:
            return load_cutout(image, self.views[image.camera], self._maps)

        return load() if self.store is None else self.store.get(index, load)
