"""Draws an avatar file with wgpu-py: the Python host of the `.wgsl` files, for tests, posters and parity benchmarks.

The browser's host (viewer/src) does the same steps in the same order; `wgsl/README.md` lists them. The device is asked
for WebGPU's default limits and no optional feature, so whatever runs here may run on a phone.
"""

from pathlib import Path
from typing import Any

import numpy as np
import wgpu

from . import layout
from .bundle import decode, read_sections
from .evaluate import Pose, joint_transforms, mlp_inputs

OUTPUT_FORMAT = "rgba8unorm"
NO_ADAPTER = "no WebGPU adapter: install a Vulkan driver (Debian: apt install mesa-vulkan-drivers)"


def shader_source(name: str) -> str:
    """Text of one of the package's `.wgsl` files."""
    return (Path(__file__).parent / "wgsl" / name).read_text()


class WgpuRenderer:
    """One avatar on one GPU device.

    A shader error in wgpu-native (naga) may abort the process: run untrusted or changing shaders in a subprocess.
    """

    def __init__(self, avatar: bytes, key_bits: int = layout.KEY_BITS, accumulation: str = layout.ACCUMULATION_FORMAT):
        """`avatar` is the content of an avatar file. `key_bits` 16 or 32 and the format of the texture that splats are
        blended in are parameters for measurements. Raises BundleError on a bad file, ValueError on one that does not
        fit WebGPU's default limits, RuntimeError where there is no adapter."""
        self.header, sections = read_sections(avatar)
        layout.check_header(self.header, key_bits)
        self.arrays = decode(avatar)
        self.device = _default_device()
        self.accumulation_format = accumulation
        self.passes = layout.passes(key_bits)
        self.dimensions = layout.dimensions(self.header, key_bits)
        self.buffers = {b.name: self._make_buffer(b, sections) for b in layout.BUFFERS}
        self._write("model", layout.struct_bytes("Model", layout.model_struct(self.header)))
        for digit in range(self.dimensions["digits"]):
            values = {"shift": digit * layout.DIGIT_BITS, "num_groups": self.dimensions["sort_groups"]}
            self._write("sort_digit", layout.struct_bytes("SortDigit", values), digit * layout.UNIFORM_ALIGN)
        self._compiled: dict[str, tuple[Any, Any]] = {}
        self._pipelines = [self._compute_pipeline(p, key_bits) for p in self.passes]
        self._indices = self._make_indices()
        self._draw = self._draw_pipeline("draw.wgsl", layout.DRAW_BINDINGS, accumulation, blend=True)
        self._composite = self._draw_pipeline("composite.wgsl", layout.COMPOSITE_BINDINGS, OUTPUT_FORMAT, blend=False)
        self._targets: dict[tuple[int, int], tuple[Any, Any]] = {}

    @property
    def adapter_name(self) -> str:
        """Name of the driver and device that draws."""
        info = self.device.adapter.info
        return f"{info['device']} / {info['description']} ({info['backend_type']})"

    def render(
        self, pose: Pose, T_cam_world: np.ndarray, K: np.ndarray, width: int, height: int, background: np.ndarray
    ) -> np.ndarray:
        """[height, width, 3] uint8, linear rgb. `T_cam_world` [4, 4] OpenCV, `K` [3, 3] in pixels without skew."""
        self.set_pose(pose)
        self.set_view(T_cam_world, K, width, height, background)
        encoder = self.device.create_command_encoder()
        self.encode_compute(encoder, "pose")
        self.encode_compute(encoder, "view")
        self.encode_draw(encoder, width, height)
        self.device.queue.submit([encoder.finish()])
        return self.read_picture(width, height)

    def set_pose(self, pose: Pose) -> None:
        """Upload joint transforms and network inputs of a pose."""
        values = {"joints": joint_transforms(self.arrays, pose), "inputs": mlp_inputs(self.arrays, pose)}
        self._write("pose_input", layout.struct_bytes("PoseInput", values))

    def set_view(self, T_cam_world: np.ndarray, K: np.ndarray, width: int, height: int, background: np.ndarray) -> None:
        """Upload a camera."""
        values = {
            "world_to_camera": np.asarray(T_cam_world)[:3],
            "background": [*np.asarray(background, np.float64), 1.0],
            "focal": [K[0, 0], K[1, 1]],
            "principal": [K[0, 2], K[1, 2]],
            "viewport": [width, height],
            "near_plane": layout.NEAR_PLANE,
            "blur": layout.BLUR,
        }
        self._write("view", layout.struct_bytes("View", values))

    def encode_compute(self, encoder: Any, rate: str, only: str | None = None) -> None:
        """Record the passes of one rate (`pose` or `view`), or the single pass named `only`."""
        if rate == "view" and only in (None, "project"):
            encoder.clear_buffer(self.buffers["frame_state"])
        compute = encoder.begin_compute_pass()
        for p, (pipeline, group) in zip(self.passes, self._pipelines):
            if p.rate == rate and only in (None, p.name):
                compute.set_pipeline(pipeline)
                compute.set_bind_group(0, group)
                compute.dispatch_workgroups(self.dimensions[p.groups])
        compute.end()

    def encode_draw(self, encoder: Any, width: int, height: int) -> None:
        """Record the blended quads and the composition over the background."""
        accumulation, output = self._target(width, height)
        pipeline, bind_layout = self._draw
        draw = encoder.begin_render_pass(color_attachments=[_attachment(accumulation)])
        draw.set_pipeline(pipeline)
        draw.set_bind_group(0, self._bind(bind_layout, layout.DRAW_BINDINGS))
        draw.set_index_buffer(self._indices, "uint16")
        draw.draw_indexed_indirect(self.buffers["draw_arguments"], 0)
        draw.end()
        pipeline, bind_layout = self._composite
        final = encoder.begin_render_pass(color_attachments=[_attachment(output)])
        final.set_pipeline(pipeline)
        final.set_bind_group(0, self._bind(bind_layout, layout.COMPOSITE_BINDINGS, texture=accumulation))
        final.draw(3)
        final.end()

    def read(self, name: str, dtype: str = "uint32") -> np.ndarray:
        """The content of a buffer, flat."""
        return np.frombuffer(self.device.queue.read_buffer(self.buffers[name]), dtype).copy()

    def write(self, name: str, values: np.ndarray) -> None:
        """Overwrite the start of a buffer (tests feed single passes with it)."""
        self._write(name, np.ascontiguousarray(values).tobytes())

    def run(self, name: str) -> None:
        """Run one pass alone and wait for it."""
        encoder = self.device.create_command_encoder()
        rate = next(p.rate for p in self.passes if p.name == name)
        self.encode_compute(encoder, rate, only=name)
        self.device.queue.submit([encoder.finish()])
        self.wait()

    def wait(self) -> None:
        """Block until the GPU has finished (by reading four bytes: wgpu-py 0.32's work-done callback is broken)."""
        self.device.queue.read_buffer(self.buffers["draw_arguments"], 0, 4)

    def read_picture(self, width: int, height: int) -> np.ndarray:
        """[height, width, 3] uint8 of the last picture drawn at this size."""
        texture = self._target(width, height)[1]
        data = self.device.queue.read_texture(
            {"texture": texture}, {"bytes_per_row": 4 * width, "rows_per_image": height}, (width, height, 1)
        )
        return np.frombuffer(data, np.uint8).reshape(height, width, 4)[..., :3].copy()

    def _write(self, name: str, data: bytes, offset: int = 0) -> None:
        self.device.queue.write_buffer(self.buffers[name], offset, data)

    def _make_buffer(self, b: layout.Buffer, sections: dict[str, np.ndarray]) -> Any:
        data = b""
        if b.fill == "section":
            data = sections[b.name].tobytes()
        elif b.fill == "table":
            kept = (sections["rotation_index"], sections["scale_index"], sections["color_index"])
            data = layout.kept_table(self.header["num_gaussians"], kept).tobytes()
        size = max(len(data), b.stride * self.dimensions[b.dimension], 16)  # empty bindings are not allowed
        usage = wgpu.BufferUsage.COPY_DST | wgpu.BufferUsage.COPY_SRC
        usage |= wgpu.BufferUsage.UNIFORM if b.fill == "uniform" else wgpu.BufferUsage.STORAGE
        if b.name == "draw_arguments":
            usage |= wgpu.BufferUsage.INDIRECT
        buffer = self.device.create_buffer(label=b.name, size=-(-size // 16) * 16, usage=usage)
        if data:
            self.device.queue.write_buffer(buffer, 0, data + bytes(-len(data) % 4))
        return buffer

    def _make_indices(self) -> Any:
        quads = 4 * np.arange(layout.QUADS_PER_INSTANCE)[:, None] + np.array([0, 1, 2, 2, 1, 3])
        data = quads.astype(np.uint16).tobytes()
        return self.device.create_buffer_with_data(data=data, usage=wgpu.BufferUsage.INDEX)

    def _compute_pipeline(self, p: layout.Pass, key_bits: int) -> tuple[Any, Any]:
        """(pipeline, bind group) of a pass; the digits of the sort share their pipelines."""
        if p.shader not in self._compiled:
            bind_layout = self._bind_layout(p.bindings, wgpu.ShaderStage.COMPUTE)
            stage = {"module": self.device.create_shader_module(code=shader_source(p.shader)), "entry_point": p.entry}
            if p.shader == "sort_keys.wgsl":
                stage["constants"] = {"KEY_BITS": key_bits}
            pipeline = self.device.create_compute_pipeline(
                label=p.shader,
                layout=self.device.create_pipeline_layout(bind_group_layouts=[bind_layout]),
                compute=stage,
            )
            self._compiled[p.shader] = (pipeline, bind_layout)
        pipeline, bind_layout = self._compiled[p.shader]
        return pipeline, self._bind(bind_layout, p.bindings, digit=max(p.digit, 0))

    def _draw_pipeline(self, shader: str, bindings: tuple[str, ...], target: str, blend: bool) -> tuple[Any, Any]:
        bind_layout = self._bind_layout(bindings, wgpu.ShaderStage.VERTEX | wgpu.ShaderStage.FRAGMENT)
        module = self.device.create_shader_module(code=shader_source(shader))
        over = {"src_factor": "one", "dst_factor": "one-minus-src-alpha", "operation": "add"}
        pipeline = self.device.create_render_pipeline(
            label=shader,
            layout=self.device.create_pipeline_layout(bind_group_layouts=[bind_layout]),
            vertex={"module": module, "entry_point": "vertex"},
            primitive={"topology": "triangle-list"},
            fragment={
                "module": module,
                "entry_point": "fragment",
                "targets": [{"format": target, **({"blend": {"color": over, "alpha": over}} if blend else {})}],
            },
        )
        return pipeline, bind_layout

    def _bind_layout(self, bindings: tuple[str, ...], visibility: int) -> Any:
        kinds = {"uniform": "uniform", "read": "read-only-storage", "write": "storage"}
        entries = []
        for i, binding in enumerate(bindings):
            kind = binding.split(":")[0]
            if kind == "texture":
                entry = {"texture": {"sample_type": "unfilterable-float"}}
            else:
                entry = {"buffer": {"type": kinds[kind]}}
            entries.append({"binding": i, "visibility": visibility, **entry})
        return self.device.create_bind_group_layout(entries=entries)

    def _bind(self, bind_layout: Any, bindings: tuple[str, ...], digit: int = 0, texture: Any = None) -> Any:
        entries = []
        for i, binding in enumerate(bindings):
            kind, name = binding.split(":")
            if kind == "texture":
                resource = texture.create_view()
            elif name == "sort_digit":
                size = layout.struct_size("SortDigit")
                resource = {"buffer": self.buffers[name], "offset": digit * layout.UNIFORM_ALIGN, "size": size}
            else:
                resource = {"buffer": self.buffers[name], "offset": 0, "size": self.buffers[name].size}
            entries.append({"binding": i, "resource": resource})
        return self.device.create_bind_group(layout=bind_layout, entries=entries)

    def _target(self, width: int, height: int) -> tuple[Any, Any]:
        if (width, height) not in self._targets:
            usage = wgpu.TextureUsage.RENDER_ATTACHMENT
            make = self.device.create_texture
            self._targets[width, height] = (
                make(
                    size=(width, height, 1),
                    format=self.accumulation_format,
                    usage=usage | wgpu.TextureUsage.TEXTURE_BINDING,
                ),
                make(size=(width, height, 1), format=OUTPUT_FORMAT, usage=usage | wgpu.TextureUsage.COPY_SRC),
            )
        return self._targets[width, height]


def _attachment(texture: Any) -> dict[str, Any]:
    return {
        "view": texture.create_view(),
        "load_op": "clear",
        "store_op": "store",
        "clear_value": (0.0, 0.0, 0.0, 0.0),
    }


def _default_device() -> Any:
    """A device with exactly WebGPU's default limits and no optional feature."""
    adapters = [a for a in wgpu.gpu.enumerate_adapters_sync() if a.info["backend_type"] != "OpenGL"]
    if not adapters:  # wgpu's OpenGL backend is a best effort without several WebGPU features: never taken unasked
        raise RuntimeError(NO_ADAPTER)
    kinds = ("DiscreteGPU", "IntegratedGPU")
    adapter = min(adapters, key=lambda a: kinds.index(a.info["adapter_type"]) if a.info["adapter_type"] in kinds else 9)
    return adapter.request_device_sync(required_limits=dict(layout.DEFAULT_LIMITS))
