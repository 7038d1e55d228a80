"""nerfstudio's pipeline with evaluation by split: novel views and novel poses are never averaged together."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from nerfstudio.cameras.cameras import Cameras
from nerfstudio.models.base_model import Model
from nerfstudio.pipelines.base_pipeline import VanillaPipeline, VanillaPipelineConfig
from torch.nn.parallel import DistributedDataParallel

from . import checkpoints
from .datamanager import AvatarDataManager
from .full_pictures import LazyEvalLoader
from .saved_config import SavedConfig


@dataclass
class MobavatarPipelineConfig(SavedConfig, VanillaPipelineConfig):
    """Pipeline of one avatar."""

    _target: type = field(default_factory=lambda: MobavatarPipeline)


@dataclass(frozen=True)
class Subset:
    """Some pictures of the evaluation loader, read one at a time."""

    loader: LazyEvalLoader
    indices: list[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[tuple[Cameras, dict[str, Any]]]:
        return (self.loader.get(i) for i in self.indices)


class MobavatarPipeline(VanillaPipeline):
    """Evaluates each split on its own and keeps data-parallel training right when pruning changes shapes."""

    datamanager: AvatarDataManager
    _version = checkpoints.LAYOUT  # torch stores it with the state

    def get_average_eval_image_metrics(
        self, step: int | None = None, output_path: Path | None = None, get_std: bool = False
    ) -> dict[str, float]:
        """Mean metrics, keys prefixed by split: `novel_view/psnr_crop`, `novel_pose/psnr_crop`, ..."""
        result: dict[str, float] = {}
        tags: list[str] = self.datamanager.eval_dataset.metadata["split_tags"]
        for tag in sorted(set(tags)):
            pictures = Subset(
                self.datamanager.fixed_indices_eval_dataloader, [i for i, t in enumerate(tags) if t == tag]
            )
            metrics = self.get_average_image_metrics(pictures, tag, step, output_path, get_std)
            result |= {f"{tag}/{key}": value for key, value in metrics.items()}
        return result

    def load_pipeline(self, loaded_state: dict[str, Any], step: int) -> None:
        """Load a checkpoint. A pruned one changes parameter shapes in place, so it is loaded into the bare model.

        Raises `CheckpointError` for one of a newer version.
        """
        found = getattr(loaded_state, "_metadata", {}).get("", {}).get("version", 1)
        if found > checkpoints.LAYOUT:
            raise checkpoints.CheckpointError(
                f"made by a newer version (checkpoint layout {found}, this one reads up to {checkpoints.LAYOUT}): "
                "update nerfstudio-mobavatar"
            )
        wrapper = self._model
        if not isinstance(wrapper, DistributedDataParallel):
            super().load_pipeline(loaded_state, step)
            return
        device_ids, self._model = wrapper.device_ids, wrapper.module
        del wrapper
        gc.collect()  # the wrapper keeps autograd nodes that remember the old shapes, and lives in reference cycles
        super().load_pipeline(loaded_state, step)
        self._wrap(device_ids, all_used=False)

    def wrap_again(self, all_used: bool) -> None:
        """Rebuild the data-parallel wrapper around the model: its buckets hold the old parameters after pruning, and
        only while some get no gradient (warm-up, the baseline) need it search for them in every step."""
        if isinstance(self._model, DistributedDataParallel):
            device_ids, self._model = self._model.device_ids, self._model.module
            self._wrap(device_ids, all_used)

    def _wrap(self, device_ids: list[Any] | None, all_used: bool) -> None:
        """`device_ids` is None on a CPU. Buffers are the same everywhere, but for colour sums: they are not sent."""
        self._model.device_indicator_param.requires_grad_(False)  # nerfstudio's own; its gradient would be waited for
        wrapped = DistributedDataParallel(
            self._model,
            device_ids=device_ids,
            find_unused_parameters=not all_used,
            gradient_as_bucket_view=True,  # no copies of the gradients
            broadcast_buffers=getattr(self._model, "colors", None) is not None,  # sums that each process makes
        )
        self._model = cast(Model, wrapped)
