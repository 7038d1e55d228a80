"""The nerfstudio model: wiring of capture, avatar, rasteriser, losses and pruning. No maths of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.models.base_model import Model, ModelConfig
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor, nn

from . import features, losses, metrics, parallel, pruning_report, trained_poses, viewer_controls
from .avatar import Avatar, AvatarConfig, Layout, make_layout
from .body_model import Body, load_body
from .camera_colors import CameraColors
from .capture import Capture, CaptureError
from .corrections import FitCorrections
from .device import Compile, compiled, describe_compile, resolve_compile, upload
from .fewer_features import cut_features
from .ns_export_hook import avatar_file_bytes
from .own_template import OwnTemplate, TemplatePose, read_template_mesh
from .pruning import PruningConfig, PruningReport, corrective_statistics, prune
from .pruning_scores import Probe, image_statistics, picture_error
from .refine import RefineConfig, refine, refined_pose
from .render import Backend, describe_backend, rasterize, resolve_backend
from .saved_config import SavedConfig
from .template import make_template
from .transforms import rigid
from .viewer.control import PoseControl


@dataclass
class LossConfig(SavedConfig):
    """Weights of the loss terms; a term is off at weight 0."""

    perceptual_weight: float = 0.1
    """Weight of the perceptual term (paper section 3.5)."""
    perceptual: Literal["lpips-vgg", "ssim", "none"] = "lpips-vgg"
    """Which perceptual term."""
    perceptual_fallback: Literal["ssim", "none", "error"] = "ssim"
    """What stands in when the VGG weights of "lpips-vgg" are not on this machine; "error" stops instead."""
    scale_weight: float = 1.0
    """Weight of the penalty on large Gaussians."""
    scale_threshold_m: float = 0.01
    """Standard deviations above this are penalised, metres."""
    rotation_sparsity: float = 0.02
    """Weight of the L1 norm of rotation correctives (stage 1 only)."""
    log_scale_sparsity: float = 0.05
    """Weight of the L1 norm of log-scale correctives (stage 1 only). The paper's 1.0 is for its 200,000 steps."""
    color_sparsity: float = 0.002
    """Weight of the L1 norm of colour correctives (stage 1 only)."""
    smoothness_weight: float = 0.1
    """Weight of the difference between neighbouring node displacements."""
    mask_weight: float = 0.0
    """Weight of the mean difference between the avatar's opacity and the mask, for exact masks (0.5 gains 0.2 dB);
    automatic ones are better without (docs/quality.md)."""
    edge_band_px: int = 0
    """Pixels on either side of the mask's edge that do not count; for automatic masks (mmlphuman uses 5 at 2K)."""


@dataclass
class MobavatarModelConfig(SavedConfig, ModelConfig):
    """An animatable avatar with pruned local blendshapes (CVPR 2026, arXiv 2605.01854)."""

    _target: type = field(default_factory=lambda: MobavatarModel)
    enable_collider: bool = False
    """Unused: Gaussians are not ray marched."""
    avatar: AvatarConfig = field(default_factory=AvatarConfig)
    """Sizes."""
    pruning: PruningConfig = field(default_factory=PruningConfig)
    """Budget."""
    losses: LossConfig = field(default_factory=LossConfig)
    """Loss terms."""
    body: str = "open"
    """Body model of the fit: "open" (shipped, CC0) or the path of your SMPL-X file or folder."""
    gender: Literal["neutral", "male", "female"] = "neutral"
    """Which file of an SMPL-X folder."""
    template_mesh: Path | None = None
    """Mesh (OBJ, PLY, GLB, STL, OFF) of the clothed person for loose clothing, metres; None samples the body itself.
    `mobavatar make-template` reconstructs one from the capture (docs/clothing.md)."""
    template_pose: TemplatePose = "canonical"
    """Pose of the person in `template_mesh`: "canonical" (T-pose, hips turned out by 25 degrees), "rest" (T-pose), or
    the number of a frame of the capture, in its world."""
    rasterizer: Literal["auto", "gsplat", "torch"] = "auto"
    """"gsplat" (CUDA), "torch" (any device, slow), "auto" takes gsplat on CUDA and says which."""
    compile: Compile = "auto"
    """Let torch compile the decode and the losses: "auto" does on CUDA if Triton and a C compiler are there. Where it
    does, the perceptual network also runs in bfloat16."""
    warmup_fraction: float = 0.007
    """Share of the run before correctives are learnt (paper: 2,000 of 280,000 steps)."""
    perceptual_fraction: float = 0.02
    """Share of the run before the perceptual term starts (mmlphuman: 6,000 steps)."""
    prune_fraction: float = 5 / 7
    """Share of the run after which blendshapes are pruned; the rest is fine-tuning (200,000 of 280,000 steps)."""
    refine: Literal["off", "silhouettes"] = "off"
    """Correct a mediocre body fit before training: "silhouettes" brings the body into the training cameras' masks. The
    capture on disk stays as it is; a fit that is right already is left alone."""
    refinement: RefineConfig = field(default_factory=RefineConfig)
    """How far the fit may be changed, where `refine` is not "off"."""
    camera_colors: bool = False
    """Estimate a gain and an offset per channel for each training camera (exposure, white balance), with mean 1 and 0
    over the cameras, and compare pictures through them (`camera_colors.py`). Exports have the mean camera's colours."""
    pose_safety: bool = True
    """While evaluating, the part networks' inputs stay where training saw them, as in exported files
    (`trained_poses`)."""
    correctives: bool = True
    """False trains the baseline: the same Gaussians, skinning only, no pose-dependent correctives, no pruning."""


class MobavatarModel(Model):
    """See `MobavatarModelConfig`."""

    config: MobavatarModelConfig

    def populate_modules(self) -> None:
        super().populate_modules()
        self.config.pruning.check(self.config.avatar.basis_size)
        capture: Capture = self.kwargs["metadata"]["capture"]
        self.capture = capture
        body = load_body(self.config.body, self.config.gender)
        betas = torch.from_numpy(capture.fit.betas).float()
        if len(betas) > body.num_betas:
            raise CaptureError(
                f"{capture.root}: the fit has {len(betas)} shape coefficients, {body.name} takes {body.num_betas}; "
                "give the body model that the capture was fitted with (--pipeline.model.body)"
            )
        self.body_name, self.body_license = body.name, body.license_note
        # copies: refinement changes them, and the capture's own arrays stay
        self.register_buffer("fit_pose", torch.tensor(capture.fit.pose, dtype=torch.float32))
        self.register_buffer("fit_transl", torch.tensor(capture.fit.transl, dtype=torch.float32))
        self.register_buffer("fit_expression", torch.tensor(capture.fit.expression, dtype=torch.float32))
        self.register_buffer("train_rows", torch.tensor(sorted(self.kwargs["metadata"]["train_frames"])))
        self.template = OwnTemplate()
        self.avatar = Avatar(self.config.avatar, self._layout(body, betas))
        self.corrections: FitCorrections | None = None
        if self.config.refine != "off":
            self.corrections = FitCorrections(capture.fit, len(capture.cameras))
        self.colors = CameraColors(len(capture.cameras)) if self.config.camera_colors else None
        device = self.kwargs["device"]
        self.backend: Backend = resolve_backend(self.config.rasterizer, torch.device(device))
        CONSOLE.log(describe_backend(self.config.rasterizer, device))
        fast = resolve_compile(self.config.compile, device)
        CONSOLE.log(describe_compile(self.config.compile, device))
        if fast:
            self.avatar.compile_decode()
        self.photometric = compiled(losses.photometric, fast, dynamic=True)  # crops differ in size
        self.regularisers = compiled(losses.regularisers, fast)
        terms = self.config.losses
        self.perceptual = losses.make_perceptual(terms.perceptual, terms.perceptual_fallback, fast=fast)
        self._frames: tuple[Tensor, Tensor] | None = None
        self.step, self.total_steps = 0, 0
        self.pruning_report: PruningReport | None = None
        self.trained: tuple[tuple[int, int], Any, list[trained_poses.TrainedRegion]] | None = None
        self.viewer_frame = viewer_controls.frame_slider(len(capture.frames))
        self.viewer_up = viewer_controls.UpDirection(capture.up)
        self.viewer_pose = PoseControl(self, body.hand_mean.numpy(), 0 if self.config.template_mesh else body.num_betas)

    def _layout(self, body: Body, betas: Tensor) -> Layout:
        """On the body, or on the user's mesh. Where that file is gone, the checkpoint replaces the whole layout."""
        path, pose = self.config.template_mesh, self.config.template_pose
        mesh = None
        if path is not None and self.template.expect(path):
            fit = (self.get_buffer("fit_pose"), self.get_buffer("fit_transl"))
            mesh = read_template_mesh(path, pose, self.capture, *fit)
        template = make_template(body, betas, mesh)
        if mesh is not None:
            self.template.store(template)
            CONSOLE.log(f"Template {path}: {len(template.vertices):,} vertices, {len(template.faces):,} triangles")
        return make_layout(template, tuple(body.parents), self.config.avatar)

    def get_param_groups(self) -> dict[str, list[nn.Parameter]]:
        return self.avatar.parameter_groups()

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        trainer, optimizers = training_callback_attributes.trainer, training_callback_attributes.optimizers
        assert trainer is not None and optimizers is not None
        self.total_steps = trainer.config.max_num_iterations
        self.template.require()  # a checkpoint is loaded by now
        pipeline: Any = training_callback_attributes.pipeline
        if self.corrections is not None and not self.corrections.is_done():
            self.refine_fit(self.corrections)

        wrapped_for: bool | None = None

        def before(step: int) -> None:
            nonlocal wrapped_for
            self.step = step
            if self.config.correctives and step >= self.prune_step and not self.avatar.is_pruned:
                self.prune(
                    list(optimizers.optimizers.values()), list(optimizers.parameters.values()), trainer, pipeline
                )
                wrapped_for = None
            if wrapped_for != self.uses_correctives():
                wrapped_for = self.uses_correctives()
                pipeline.wrap_again(all_used=wrapped_for)

        def after(step: int) -> None:
            if self.colors is not None:
                CONSOLE.log(self.colors.report([c.name for c in self.capture.cameras]), markup=False, highlight=False)

        return [
            TrainingCallback([TrainingCallbackLocation.BEFORE_TRAIN_ITERATION], before),
            TrainingCallback([TrainingCallbackLocation.AFTER_TRAIN], after),
        ]

    @property
    def prune_step(self) -> int:
        return round(self.config.prune_fraction * self.total_steps)

    def uses_correctives(self) -> bool:
        """Correctives are off in the baseline, and while a training run warms up."""
        warming = self.training and self.step < self.config.warmup_fraction * self.total_steps
        return self.config.correctives and not warming

    def training_poses(self) -> list[tuple[Tensor, Tensor]]:
        """(pose, expression) of every frame used in training."""
        rows = self.get_buffer("train_rows").tolist()
        return [(self.get_buffer("fit_pose")[r], self.get_buffer("fit_expression")[r]) for r in rows]

    def safe_inputs(self, pose: Tensor, expression: Tensor) -> Tensor:
        """[73] network inputs of a pose as exported files are drawn with them."""
        fit, expressions = self.get_buffer("fit_pose"), self.get_buffer("fit_expression")
        state = (fit._version, expressions._version)  # refinement and checkpoints change them
        if self.trained is None or self.trained[0] != state:
            seen = torch.stack([features.pose_inputs(p, e) for p, e in self.training_poses()]).cpu().numpy()
            self.trained = (state, trained_poses.input_range(seen), trained_poses.trained_regions(seen))
        x = features.pose_inputs(pose, expression).cpu().numpy()
        return torch.from_numpy(trained_poses.safe_inputs(x, *self.trained[1:])).to(pose)

    def pose_distance(self, pose: Tensor, expression: Tensor) -> dict[str, float]:
        """By body region: radians beyond what training saw (`trained_poses.pose_distance`)."""
        self.safe_inputs(pose, expression)
        assert self.trained is not None
        return trained_poses.pose_distance(features.pose_inputs(pose, expression).cpu().numpy(), *self.trained[1:])

    def prune(
        self, optimizers: list[torch.optim.Optimizer], lists: list[list[nn.Parameter]], trainer: Any, pipeline: Any
    ) -> None:
        """End of stage 1: keep the correctives that are worth most, and write what was kept beside the checkpoints."""
        self.viewer_pose.before_pruning()
        config, avatar, poses = self.config.pruning, self.avatar, self.training_poses()
        probes = TrainingProbes(self, pipeline.datamanager.train_dataset, config.image_probes)

        def error(trial: Avatar) -> float:
            return parallel.number_of_first(picture_error(trial, probes, self.backend), self.device)

        cut = cut_features(avatar, config, poses, probes, self.backend, error, optimizers, lists)
        statistics = corrective_statistics(avatar, poses)
        if config.score == "image":
            statistics = image_statistics(avatar, statistics, probes, config.fold_mean, self.backend)
        parallel.take_from_first(tensor for s in statistics.values() for tensor in (s.mean, s.score))
        report = prune(avatar, statistics, cut.config, optimizers, lists, avatar_file_bytes, *cut[1:])
        self.pruning_report = report
        CONSOLE.log(f"Step {self.step}: {report.describe()}")
        if trainer.local_rank == 0:
            pruning_report.write(trainer.base_dir, avatar, statistics, report, self.backend)

    @torch.no_grad()
    def refine_fit(self, corrections: FitCorrections) -> None:
        """Before the first step: correct the fit, and lay the avatar out anew on the corrected shape."""
        metadata, fit = self.kwargs["metadata"], self.capture.fit
        body = load_body(self.config.body, self.config.gender)
        cameras = sorted({image.camera for image in metadata["images"]})
        fixed_shape = len(self.template) > 0
        CONSOLE.log(f"Refining the body fit of {len(self.capture.frames)} frames from {len(cameras)} cameras' masks")
        with torch.enable_grad():
            refined = refine(
                body, self.capture, cameras, metadata["train_frames"], self.config.refinement, fixed_shape, self.device
            )
        CONSOLE.log(refined.report)
        corrections.store(refined.corrections)
        if not refined.changed:
            return
        change = refined.corrections
        self.get_buffer("fit_pose").copy_(refined_pose(torch.from_numpy(fit.pose).float(), change))
        self.get_buffer("fit_transl").copy_(torch.from_numpy(fit.transl).float() + change.transl)
        self.avatar.lay_out(self._layout(body, torch.from_numpy(fit.betas).float() + change.betas))
        self._frames = None

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        OwnTemplate.complete(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._frames = None

    def frames(self) -> tuple[Tensor, Tensor]:
        """What the avatar takes of every frame of the fit: MLP inputs [f, 73] and joint transforms [f, 55, 3, 4].
        Worked out once: kinematics is a chain of small kernels, and training does not change the fit."""
        if self._frames is None:
            pose, transl, expression = (self.get_buffer(f"fit_{name}") for name in ("pose", "transl", "expression"))
            self._frames = features.pose_inputs(pose, expression), self.avatar.joint_transforms(pose, transl)
        return self._frames

    def row_of(self, camera: Cameras) -> int:
        """Row of the fit to show: the image's own row, or the camera's time in 0..1."""
        last = len(self.get_buffer("fit_pose")) - 1
        if camera.metadata is not None and "pose_row" in camera.metadata:
            return int(camera.metadata["pose_row"].flatten()[0])
        if camera.times is not None:
            return min(max(round(float(camera.times.flatten()[0]) * last), 0), last)
        return 0

    def correct_cameras(self, T_cam_world: Tensor, camera: Cameras) -> Tensor:
        """The capture's own cameras after their corrections; a viewer's camera, which has no row, stays."""
        metadata = camera.metadata or {}
        if self.corrections is None or "pose_row" not in metadata:
            return T_cam_world
        return self.corrections.cameras(T_cam_world, upload(metadata["cam_idx"].flatten(), self.device))

    def background(self) -> Tensor:
        """White, or random while training (a pure function of the step, so that a resumed run sees the same)."""
        if not self.training:
            return torch.ones(3, device=self.device)
        generator = torch.Generator().manual_seed(self.config.avatar.seed * 1_000_003 + self.step)
        return upload(torch.rand(3, generator=generator), self.device)

    def get_outputs(self, ray_bundle: Any) -> dict[str, Any]:
        """Render one pose for one or several cameras. [h, w, c] for a single evaluation camera, else [b, h, w, c]."""
        camera: Cameras = ray_bundle
        T_cam_world, K, width, height = opencv_cameras(camera, self.device)  # first: a GPU is still busy
        T_cam_world = self.correct_cameras(T_cam_world, camera)
        background, row = self.background(), self.row_of(camera)
        inputs, G = (table[row] for table in self.frames())
        if self.config.pose_safety and not self.training:
            inputs = self.safe_inputs(self.get_buffer("fit_pose")[row], self.get_buffer("fit_expression")[row])
        posed = self.avatar.decode(inputs, G, self.uses_correctives())
        drawn = rasterize(
            posed.gaussians, T_cam_world, K, width, height, background, self.backend, with_depth=not self.training
        )
        outputs: dict[str, Any] = {"rgb": drawn.rgb, "accumulation": drawn.alpha, "depth": drawn.depth}
        metadata = camera.metadata or {}
        if self.colors is not None and "pose_row" in metadata:  # the capture's own cameras
            seen_by = upload(metadata["cam_idx"].flatten(), self.device)
            outputs["rgb"] = self.colors.apply(drawn.rgb, drawn.alpha, background, seen_by)
            if self.training:
                outputs |= {"uncorrected": drawn.rgb, "camera": seen_by}
        if not self.training and len(T_cam_world) == 1:
            outputs = {k: v[0] for k, v in outputs.items()}
        return outputs | {"background": background, "posed": posed} if self.training else outputs

    @torch.no_grad()
    def get_outputs_for_camera(self, camera: Cameras, obb_box: OrientedBox | None = None) -> dict[str, Tensor]:
        """A whole picture; a viewer's crop box is not used. What the viewer shows is posed there."""
        camera = camera.to(self.device)
        if self.viewer_pose.asks(camera):
            return self.viewer_pose.outputs(camera, *opencv_cameras(camera, self.device))
        return self.get_outputs(camera)

    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """Empty: `get_loss_dict` adds the PSNR of the training pictures, which costs nothing beside the loss."""
        return {}

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """The paper's terms, section 3.5; while evaluating only the photometric one."""
        weights = self.config.losses
        image, mask, rgb = (x if x.ndim == 4 else x[None] for x in (batch["image"], batch["mask"], outputs["rgb"]))
        background = outputs.get("background", torch.ones(3, device=self.device))
        photometric = self.photometric if self.training else losses.photometric
        l1, error, target = photometric(rgb, image, mask, background, weights.edge_band_px)
        terms = {"l1": l1}
        if not self.training:
            return terms
        if metrics_dict is not None:
            metrics_dict["psnr"] = -10 * torch.log10((error / rgb.numel()).clamp_min(1e-10))
        if self.colors is not None:
            shown, matte = losses.unit_range(image), losses.unit_range(mask)
            self.colors.update(outputs["uncorrected"], outputs["accumulation"], shown, matte, outputs["camera"])
        posed = outputs["posed"]
        if weights.perceptual_weight > 0 and self.step >= self.config.perceptual_fraction * self.total_steps:
            terms["perceptual"] = weights.perceptual_weight * self.perceptual(
                rgb, target, batch["person_box"], background
            )
        if weights.mask_weight > 0:
            covered = outputs["accumulation"]
            terms["mask"] = weights.mask_weight * losses.mask_l1(covered, mask, weights.edge_band_px)
        deltas = posed.correctives
        sparse = bool(deltas) and not self.avatar.is_pruned
        scale, smooth, *sparsity = self.regularisers(
            posed.scales,
            weights.scale_threshold_m,
            posed.node_displacement,
            self.avatar.get_buffer("node_neighbours"),
            (deltas["rotation"], deltas["scale"], deltas["color"]) if sparse else None,
            (weights.rotation_sparsity, weights.log_scale_sparsity, weights.color_sparsity),
        )
        terms |= {"scale": weights.scale_weight * scale, "smooth": weights.smoothness_weight * smooth}
        if sparse:
            (terms["sparsity"],) = sparsity
        self.viewer_pose.losses = {name: value.detach() for name, value in terms.items()}
        return terms

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """Full-frame and crop metrics of one held-out picture, and prediction beside ground truth."""
        image, mask = batch["image"].to(self.device), batch["mask"].to(self.device)
        target = losses.composite(image[None], mask[None], torch.ones(3, device=self.device))[0]
        values = metrics.image_metrics(outputs["rgb"], image, mask, outputs["accumulation"])
        side_by_side = torch.cat([target, outputs["rgb"].clamp(0, 1)], 1)
        return values, {"img": side_by_side}


class TrainingProbes(Sequence[Probe]):
    """Training pictures spread over the dataset, each read when it is asked for."""

    def __init__(self, model: MobavatarModel, dataset: Any, count: int):
        self.model, self.dataset = model, dataset
        every = len(dataset) / max(1, min(count, len(dataset)))
        # a step of a whole number could always meet the same camera
        self.which = [int(i * every + (i * 0.618 % 1) * every) for i in range(min(count, len(dataset)))]

    def __len__(self) -> int:
        return len(self.which)

    def __getitem__(self, i: int) -> Probe:  # pyright: ignore[reportIncompatibleMethodOverride]
        index, model = self.which[i], self.model
        data, camera = self.dataset.get_data(index, "uint8"), self.dataset.cameras[index : index + 1]
        row = data["pose_row"]
        pose, transl, expression = (model.get_buffer(f"fit_{name}")[row] for name in ("pose", "transl", "expression"))
        T, K, _, _ = opencv_cameras(camera, model.device)
        T = model.correct_cameras(T, camera)
        colors = None
        if model.colors is not None:
            seen_by = upload(camera.metadata["cam_idx"].flatten(), model.device)
            gain, offset = model.colors.corrections()
            colors = gain[seen_by], offset[seen_by]
        image, mask = (data[name].to(model.device) for name in ("image", "mask"))
        return Probe(pose, transl, expression, T, K, image, mask, colors)


def opencv_cameras(camera: Cameras, device: torch.device | str) -> tuple[Tensor, Tensor, int, int]:
    """World-to-camera [c, 4, 4] with OpenCV axes, intrinsics [c, 3, 3], width, height of nerfstudio cameras.

    nerfstudio keeps camera-to-world with OpenGL axes (y up, z backwards). All cameras must have one size.
    """
    flat = camera if len(camera.shape) == 1 else camera.reshape((-1,))  # which takes longer than a kernel
    c2w = flat.camera_to_worlds
    R = (c2w[:, :3, :3] * c2w.new_tensor([1.0, -1.0, -1.0])).transpose(1, 2)
    T = rigid(R, -(R @ c2w[:, :3, 3:])[..., 0])
    K = flat.get_intrinsics_matrices()
    known = (camera.metadata or {}).get("image_size")  # spares a device read per training step
    width, height = known if known is not None else (int(flat.width[0].item()), int(flat.height[0].item()))
    return upload(T, device), upload(K, device), width, height
