"""Whole pictures of a capture, each read when it is asked for: evaluation, rendering of datasets, the viewer."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.datasets.base_dataset import InputDataset
from torch import Tensor
from torch.utils.data import Dataset

from nerfstudio_mobavatar.capture import CaptureError
from nerfstudio_mobavatar.images import UndistortMaps, load_image, load_matte


class AvatarDataset(InputDataset):
    """Full pictures in nerfstudio's shape, each read from disk when it is asked for.

    Images are RGB, masks the matte, both undistorted and scaled. `dataset[i]` holds floats in 0..1 (what the viewer's
    thumbnails and `ns-render dataset` expect), `get_data(i, "uint8")` bytes.
    """

    def __init__(self, dataparser_outputs: DataparserOutputs, scale_factor: float = 1.0):
        # Not super().__init__: it deep-copies the metadata, which is the whole capture, and rescales the cameras.
        Dataset.__init__(self)
        if scale_factor != 1.0:
            raise CaptureError(
                f"camera_res_scale_factor is {scale_factor}; expected 1.0. Use the dataparser's --image-scale instead."
            )
        self._dataparser_outputs = dataparser_outputs
        self.scale_factor = scale_factor
        self.scene_box = dataparser_outputs.scene_box
        self.metadata = dataparser_outputs.metadata
        self.cameras = dataparser_outputs.cameras
        self.mask_color = None
        # A list of its own: the manager removes entries, and the base class has one list for all instances.
        self.exclude_batch_keys_from_device = ["image", "mask"]
        self._maps = UndistortMaps()

    def get_numpy_image(self, image_idx: int) -> UInt8[np.ndarray, "h w 3"]:
        """Picture number `image_idx`. Raises `CaptureError` naming the file if it is wrong."""
        image = self.metadata["images"][image_idx]
        return load_image(image.image_path, self.metadata["views"][image.camera], self._maps)

    def get_matte(self, image_idx: int) -> UInt8[np.ndarray, "h w"]:
        """Matte number `image_idx`, 0 background .. 255 person. Raises `CaptureError` naming the file."""
        image = self.metadata["images"][image_idx]
        return load_matte(image.mask_path, self.metadata["views"][image.camera], self._maps)

    def get_data(self, image_idx: int, image_type: Literal["uint8", "float32"] = "float32") -> dict[str, Any]:
        """`image` [h,w,3] and `mask` [h,w,1] of the asked type, `image_idx`, `pose_row` and `split_tag`."""
        data = {
            "image": torch.from_numpy(self.get_numpy_image(image_idx)),
            "mask": torch.from_numpy(self.get_matte(image_idx))[..., None],
        }
        if image_type == "float32":
            data = {key: value.float() / 255.0 for key, value in data.items()}
        return {
            **data,
            "image_idx": image_idx,
            "pose_row": self.metadata["images"][image_idx].frame,
            "split_tag": self.metadata["split_tags"][image_idx],
        }


class LazyEvalLoader:
    """(camera, batch) of every evaluation picture in order, loaded while iterating; can be iterated again."""

    def __init__(self, dataset: AvatarDataset, device: torch.device | str):
        self._dataset = dataset
        self._device = device

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[tuple[Cameras, dict[str, Any]]]:
        return (self.get(i) for i in range(len(self)))

    def get(self, image_idx: int) -> tuple[Cameras, dict[str, Any]]:
        """One full frame: `Cameras` of shape [1] and its uint8 batch, on the device."""
        camera = self._dataset.cameras[image_idx : image_idx + 1].to(self._device)
        batch = self._dataset.get_data(image_idx, "uint8")
        return camera, {k: v.to(self._device) if isinstance(v, Tensor) else v for k, v in batch.items()}
