"""Draws avatar files with wgpu-py: the Python host of the `.wgsl` files, for tests, posters and parity benchmarks.

The browser's host (viewer/src: model.ts, instance.ts, renderer.ts) does the same steps in the same order;
`wgsl/README.md` lists them. `AvatarModel` is an uploaded file, `AvatarInstance` one posed and placed person of it,
`SceneRenderer` draws any number of instances into one picture, `WgpuRenderer` is the usual case: one of each.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import layout
from .bundle import decode, read_sections
from .detail import Level
from .evaluate import Pose, joint_transforms, mlp_inputs
from .wgpu_device import GpuContext


class AvatarModel:
    """An avatar file on the device; instances share it."""

    def __init__(self, context: GpuContext, avatar: bytes):
        """`avatar` is the content of an avatar file. Raises BundleError on a bad file, ValueError on one that does not
        fit WebGPU's default limits."""
        self.context = context
        self.header, sections = read_sections(avatar)
        layout.check_header(self.header)
        self.arrays = decode(avatar)
        whole = Level(self.header["num_gaussians"], 1.0, float("inf"))
        self.levels = (*self.arrays.levels, whole)
        """All that can be drawn, coarsest first; the last is the whole avatar."""
        self.dimensions = layout.dimensions(self.header)
        self.buffers = {
            b.name: context.make_buffer(b, self.dimensions[b.dimension], self._content(b, sections))
            for b in layout.BUFFERS
            if b.scope == "model"
        }

    def _content(self, b: layout.Buffer, sections: dict[str, np.ndarray]) -> bytes:
        if b.fill == "section":
            return sections[b.name].tobytes()
        if b.fill == "joined":
            return b"".join(sections[name].tobytes() for name in layout.JOINED)
        if b.fill == "kept":
            kept = (sections["rotation_index"], sections["scale_index"], sections["color_index"])
            return layout.kept_table(self.header["num_gaussians"], kept).tobytes()
        return layout.struct_bytes("Model", layout.model_struct(self.header))


class AvatarInstance:
    """One person: a model, a pose, a place."""

    def __init__(self, model: AvatarModel):
        self.model = model
        self.T_world_avatar = np.eye(4)
        """[4, 4] where the avatar's own world lies in the scene: rigid, or with one scale for all axes."""
        self.visible = True
        self.level = len(model.levels) - 1
        """Index into the model's `levels`: how many Gaussians are drawn."""
        self.is_posed = False
        """Whether the passes of stage `pose` have run since the last `set_pose`."""
        context = model.context
        self.buffers = {
            b.name: context.make_buffer(b, model.dimensions[b.dimension])
            for b in layout.BUFFERS
            if b.scope == "instance"
        }

    @property
    def num_splats(self) -> int:
        """Gaussians that are drawn."""
        return self.model.levels[self.level].count

    def set_pose(self, pose: Pose) -> None:
        """Upload joint transforms and network inputs of a pose."""
        arrays = self.model.arrays
        values = {"joints": joint_transforms(arrays, pose), "inputs": mlp_inputs(arrays, pose)}
        queue = self.model.context.device.queue
        queue.write_buffer(self.buffers["pose_input"], 0, layout.struct_bytes("PoseInput", values))
        self.is_posed = False


class SceneRenderer:
    """Draws instances into one picture, their splats sorted together.

    Unlike the page's renderer it runs `project` and the sort for every picture: files, videos and tests ask for another
    pose or camera each time, and a picture that never depends on the one before is the better twin.
    """

    def __init__(self, context: GpuContext):
        self.context = context
        self.instances: list[AvatarInstance] = []
        self.num_splats = 0
        self.dimensions = layout.scene_dimensions(0)
        self.buffers: dict[str, Any] = {}
        self._capacity = -1
        self._groups: dict[tuple[str, AvatarInstance | None], Any] = {}
        self._targets: dict[tuple[int, int], Any] = {}

    def render_scene(
        self,
        instances: Sequence[AvatarInstance],
        T_cam_world: np.ndarray,
        K: np.ndarray,
        width: int,
        height: int,
        background: np.ndarray,
    ) -> np.ndarray:
        """[height, width, 3] uint8, linear rgb. `T_cam_world` [4, 4] OpenCV, `K` [3, 3] in pixels without skew."""
        self.set_scene(instances, T_cam_world, K, width, height)
        encoder = self.context.device.create_command_encoder()
        self.encode_compute(encoder)
        self.encode_draw(encoder, width, height, background)
        self.context.device.queue.submit([encoder.finish()])
        return self.read_picture(width, height)

    def set_scene(
        self,
        instances: Sequence[AvatarInstance],
        T_cam_world: np.ndarray,
        K: np.ndarray,
        width: int,
        height: int,
    ) -> None:
        """Upload who is to be drawn and through which camera. Raises ValueError where they are too many."""
        self.instances = [instance for instance in instances if instance.visible]
        self.num_splats = sum(instance.num_splats for instance in self.instances)
        layout.check_scene(self.num_splats)
        self.dimensions = layout.scene_dimensions(self.num_splats)
        self._reserve()
        first = 0
        for instance in self.instances:
            values = {
                "model_to_camera": (np.asarray(T_cam_world, np.float64) @ instance.T_world_avatar)[:3],
                "first_splat": first,
                "num_splats": instance.num_splats,
                "enlarge": instance.model.levels[instance.level].enlarge,
                "training_blur": layout.training_blur(instance.model.arrays.pixels_per_metre, instance.T_world_avatar),
            }
            first += instance.num_splats
            self._write(instance.buffers["instance"], layout.struct_bytes("Instance", values))
        values = {
            "world_to_camera": np.asarray(T_cam_world)[:3],
            "focal": [K[0, 0], K[1, 1]],
            "principal": [K[0, 2], K[1, 2]],
            "viewport": [width, height],
            "near_plane": layout.NEAR_PLANE,
            "blur": layout.BLUR,
            "pixel_filter": layout.PIXEL_FILTER,
            "num_splats": self.num_splats,
        }
        self._write(self.buffers["view"], layout.struct_bytes("View", values))

    def encode_compute(self, encoder: Any, only: str | None = None) -> None:
        """Record the compute passes that the scene needs, or the single pass named `only`."""
        if only in (None, "project"):
            encoder.clear_buffer(self.buffers["frame_state"])
        compute = encoder.begin_compute_pass()
        for p in layout.PASSES:
            if only not in (None, p.name):
                continue
            if p.stage == "sort":
                self._dispatch(compute, p, None)
                continue
            for instance in self.instances:
                if p.stage == "project" or only or not instance.is_posed:
                    self._dispatch(compute, p, instance)
        compute.end()
        for instance in self.instances:
            instance.is_posed = instance.is_posed or only is None

    def encode_draw(self, encoder: Any, width: int, height: int, background: np.ndarray) -> None:
        """Record the quads, blended over the background [3]."""
        pipeline, bind_layout = self.context.draw
        attachment = {
            "view": self._target(width, height).create_view(),
            "load_op": "clear",
            "store_op": "store",
            "clear_value": (*np.asarray(background, np.float64).tolist(), 1.0),
        }
        draw = encoder.begin_render_pass(color_attachments=[attachment])
        draw.set_pipeline(pipeline)
        draw.set_bind_group(0, self.context.bind(bind_layout, layout.DRAW_BINDINGS, self.buffers.__getitem__))
        draw.set_index_buffer(self.context.indices, "uint16")
        draw.draw_indexed_indirect(self.buffers["arguments"], 0)
        draw.end()

    def read_picture(self, width: int, height: int) -> np.ndarray:
        """[height, width, 3] uint8 of the last picture drawn at this size."""
        texture = self._target(width, height)
        data = self.context.device.queue.read_texture(
            {"texture": texture}, {"bytes_per_row": 4 * width, "rows_per_image": height}, (width, height, 1)
        )
        return np.frombuffer(data, np.uint8).reshape(height, width, 4)[..., :3].copy()

    def wait(self) -> None:
        """Block until the GPU has finished (by reading four bytes: wgpu-py 0.32's work-done callback is broken)."""
        self.context.device.queue.read_buffer(self.buffers["arguments"], 0, 4)

    def _reserve(self) -> None:
        """Make the scene's buffers where they are missing or too small."""
        if self.num_splats > self._capacity:
            self.buffers = {
                b.name: self.context.make_buffer(b, self.dimensions[b.dimension])
                for b in layout.BUFFERS
                if b.scope == "scene"
            }
            self._groups.clear()
            self._capacity = self.num_splats

    def _dispatch(self, compute: Any, p: layout.Pass, instance: AvatarInstance | None) -> None:
        pipeline, bind_layout = self.context.compute[p.name]
        if (p.name, instance) not in self._groups:
            owned = self.buffers | (instance.model.buffers | instance.buffers if instance else {})
            self._groups[p.name, instance] = self.context.bind(bind_layout, p.bindings, owned.__getitem__)
        compute.set_pipeline(pipeline)
        compute.set_bind_group(0, self._groups[p.name, instance])
        if not p.groups:
            compute.dispatch_workgroups_indirect(self.buffers["arguments"], layout.DISPATCH_OFFSET)
        elif p.groups == "instance_groups" and instance:
            compute.dispatch_workgroups(-(-instance.num_splats // layout.GROUP_SIZE))
        else:
            compute.dispatch_workgroups((instance.model.dimensions if instance else self.dimensions)[p.groups])

    def _target(self, width: int, height: int) -> Any:
        if (width, height) not in self._targets:
            self._targets[width, height] = self.context.make_target(width, height)
        return self._targets[width, height]

    def _write(self, buffer: Any, data: bytes) -> None:
        self.context.device.queue.write_buffer(buffer, 0, data)


class WgpuRenderer(SceneRenderer):
    """One avatar on one device of its own, with access to single passes and buffers for tests."""

    def __init__(self, avatar: bytes):
        """`avatar` is the content of an avatar file; see GpuContext and AvatarModel for errors."""
        super().__init__(GpuContext())
        self.model = AvatarModel(self.context, avatar)
        self.instance = AvatarInstance(self.model)
        self.arrays = self.model.arrays

    @property
    def adapter_name(self) -> str:
        """Name of the driver and device that draws."""
        return self.context.adapter_name

    def set_pose(self, pose: Pose) -> None:
        """Upload a pose."""
        self.instance.set_pose(pose)

    def set_view(self, T_cam_world: np.ndarray, K: np.ndarray, width: int, height: int) -> None:
        """Upload a camera."""
        self.set_scene([self.instance], T_cam_world, K, width, height)

    def render(
        self, pose: Pose, T_cam_world: np.ndarray, K: np.ndarray, width: int, height: int, background: np.ndarray
    ) -> np.ndarray:
        """`render_scene` of the one avatar in a pose."""
        self.set_pose(pose)
        return self.render_scene([self.instance], T_cam_world, K, width, height, background)

    def read(self, name: str, dtype: str = "uint32") -> np.ndarray:
        """The content of a buffer, flat."""
        return np.frombuffer(self.context.device.queue.read_buffer(self._named(name)), dtype).copy()

    def write(self, name: str, values: np.ndarray) -> None:
        """Overwrite the start of a buffer (tests feed single passes with it)."""
        self._write(self._named(name), np.ascontiguousarray(values).tobytes())

    def run(self, name: str) -> None:
        """Run one pass alone and wait for it."""
        encoder = self.context.device.create_command_encoder()
        self.encode_compute(encoder, only=name)
        self.context.device.queue.submit([encoder.finish()])
        self.wait()

    def _named(self, name: str) -> Any:
        return (self.model.buffers | self.instance.buffers | self.buffers)[name]
