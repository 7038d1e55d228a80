"""nerfstudio's pipeline with evaluation by split: novel views and novel poses are never averaged together."""

from dataclasses import dataclass, field
from pathlib import Path

from nerfstudio.pipelines.base_pipeline import VanillaPipeline, VanillaPipelineConfig
from torch.nn.parallel import DistributedDataParallel


@dataclass
class MobavatarPipelineConfig(VanillaPipelineConfig):
    """Pipeline of one avatar."""

    _target: type = field(default_factory=lambda: MobavatarPipeline)


class MobavatarPipeline(VanillaPipeline):
    """Evaluates each split on its own and keeps data-parallel training right when pruning changes shapes."""

    def get_average_eval_image_metrics(
        self, step: int | None = None, output_path: Path | None = None, get_std: bool = False
    ) -> dict[str, float]:
        """Mean metrics, keys prefixed by split: `novel_view/psnr_crop`, `novel_pose/psnr_crop`, ..."""
        result: dict[str, float] = {}
        for tag, loader in self.datamanager.eval_loaders_by_split().items():  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
            metrics = self.get_average_image_metrics(loader, tag, step, output_path, get_std)
            result |= {f"{tag}/{key}": value for key, value in metrics.items()}
        return result

    def wrap_again(self) -> None:
        """Rebuild the data-parallel wrapper around the model, since its buckets hold the old parameter shapes."""
        if isinstance(self._model, DistributedDataParallel):
            self._model = DistributedDataParallel(
                self._model.module, device_ids=self._model.device_ids, find_unused_parameters=True
            )
