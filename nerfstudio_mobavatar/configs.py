"""The methods that nerfstudio registers (dataparsers: dataparsers/registry.py). Every `ns-*` tool imports this."""

from typing import Any, Literal

from nerfstudio.configs.base_config import LoggingConfig, ViewerConfig
from nerfstudio.plugins.types import MethodSpecification

from . import ns_export_hook
from .avatar import AvatarConfig
from .datamanager import AvatarDataManagerConfig
from .dataparsers.detect import AutoDataParserConfig
from .model import LossConfig, MobavatarModelConfig
from .optim import DecaySchedulerConfig, FusedAdamConfig
from .pipeline import MobavatarPipelineConfig
from .pruning import PruningConfig
from .trainer import MobavatarTrainerConfig

ns_export_hook.install()


def _optimizers(rates: dict[str, float], shape: Literal["exponential", "cosine"] = "exponential") -> dict[str, Any]:
    """One fused Adam and one decay per parameter group. Exponential: positions end at 0.01 of their rate, the rest at
    0.1; cosine: all at 0.02, twice as high from pruning on."""

    def final(name: str) -> float:
        return 0.02 if shape == "cosine" else 0.01 if name.startswith("node") else 0.1

    return {
        name: {
            "optimizer": FusedAdamConfig(lr=rate),
            "scheduler": DecaySchedulerConfig(
                final_factor=final(name), shape=shape, after_pruning=2.0 if shape == "cosine" else 1.0
            ),
        }
        for name, rate in rates.items()
    }


RATES = dict(
    rotation=1e-3,
    scale=3e-3,
    color=5e-3,
    opacity=1e-2,
    free_offset=1e-2,
    node_offset=3e-4,
    node_basis=5e-5,
    bases=1e-3,
    mlp=1e-3,
)
"""Initial learning rates. Higher than mmlphuman's, measured for runs of 2,500 to 10,000 steps (docs/quality.md)."""

FAST_RATES = RATES | dict(node_basis=1e-4, bases=2e-3, mlp=2e-3)
"""What answers to the pose learns twice as fast, under a cosine decay."""

TINY_RATES = RATES | dict(
    rotation=4e-3, scale=1e-2, color=2e-2, opacity=3e-2, free_offset=3e-2, node_offset=1e-3, mlp=5e-4
)
"""For runs of a few hundred steps."""


def _free() -> LossConfig:
    """Without the L1 terms on correctives: better on synthetic pictures and on a real capture, pruned and unpruned
    (docs/quality.md, which has the options for the paper's terms)."""
    return LossConfig(rotation_sparsity=0.0, log_scale_sparsity=0.0, color_sparsity=0.0)


def _method(
    name: str,
    description: str,
    steps: int,
    model: MobavatarModelConfig,
    optimizers: dict[str, Any],
    max_image_side: int = 0,
    steps_per_eval_image: int = 1000,
    steps_per_save: int = 2000,
    steps_per_log: int = 50,
) -> MethodSpecification:
    """What the methods differ in. Evaluation of all pictures is left to `ns-eval`; each log of the losses waits for the
    GPU, so there are few in long runs."""
    dataparser = AutoDataParserConfig(max_image_side=max_image_side)
    config = MobavatarTrainerConfig(
        method_name=name,
        steps_per_eval_batch=0,
        steps_per_eval_image=steps_per_eval_image,
        steps_per_eval_all_images=0,
        steps_per_save=steps_per_save,
        max_num_iterations=steps,
        pipeline=MobavatarPipelineConfig(datamanager=AvatarDataManagerConfig(dataparser=dataparser), model=model),
        optimizers=optimizers,
        viewer=ViewerConfig(num_rays_per_chunk=1 << 15),
        vis="viewer+tensorboard",
        logging=LoggingConfig(steps_per_log=steps_per_log),
    )
    return MethodSpecification(config, description)


mobavatar = _method(
    "mobavatar",
    "Animatable avatar with pruned local blendshapes, paper scale: 200K Gaussians, 256 parts (GPU).",
    280_000,
    MobavatarModelConfig(
        pruning=PruningConfig(keep_features=4, features_by_part=True), losses=_free(), prune_fraction=0.5
    ),
    _optimizers(RATES, "cosine"),
)

mobavatar_fast = _method(
    "mobavatar-fast",
    "The same method for a first look: 100K Gaussians, pictures of 1024 px, minutes on a GPU.",
    10_000,
    MobavatarModelConfig(
        avatar=AvatarConfig(num_gaussians=100_000, num_nodes=6_000),
        pruning=PruningConfig(keep_count=10_000, keep_features=4, features_by_part=True),
        losses=_free(),
        warmup_fraction=0.02,
        perceptual_fraction=0.3,
        prune_fraction=0.5,
    ),
    _optimizers(FAST_RATES, "cosine"),
    max_image_side=1024,
)

mobavatar_tiny = _method(
    "mobavatar-tiny",
    "The same method, small: 10K Gaussians, 64 parts, trains in minutes on two CPU cores at about 256 px.",
    500,
    MobavatarModelConfig(
        avatar=AvatarConfig(num_gaussians=10_000, num_parts=64, num_nodes=1_500),
        pruning=PruningConfig(keep_count=1_000, features_by_part=True),
        losses=LossConfig(perceptual="ssim", perceptual_weight=0.2, scale_threshold_m=0.02),
        warmup_fraction=0.1,
    ),
    _optimizers(TINY_RATES),
    max_image_side=256,
    steps_per_eval_image=500,
    steps_per_save=500,
    steps_per_log=10,
)
