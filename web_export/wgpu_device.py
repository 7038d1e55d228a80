"""A WebGPU device through wgpu-py and everything that is compiled for it once, whatever it draws.

The device is asked for WebGPU's default limits and no optional feature, so whatever runs here may run on a phone.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import wgpu

from . import layout
from .wgpu_selftest import check_sort

OUTPUT_FORMAT = "rgba8unorm"
NO_ADAPTER = "no WebGPU adapter: install a Vulkan driver (Debian: apt install mesa-vulkan-drivers)"


def shader_source(name: str) -> str:
    """Text of one of the package's `.wgsl` files."""
    return (Path(__file__).parent / "wgsl" / name).read_text()


def default_device() -> Any:
    """A device with exactly WebGPU's default limits and no optional feature. RuntimeError where there is no adapter."""
    adapters = [a for a in wgpu.gpu.enumerate_adapters_sync() if a.info["backend_type"] != "OpenGL"]
    if not adapters:  # wgpu's OpenGL backend is a best effort without several WebGPU features: never taken unasked
        raise RuntimeError(NO_ADAPTER)
    kinds = ("DiscreteGPU", "IntegratedGPU")
    adapter = min(adapters, key=lambda a: kinds.index(a.info["adapter_type"]) if a.info["adapter_type"] in kinds else 9)
    return adapter.request_device_sync(required_limits=dict(layout.DEFAULT_LIMITS))


class GpuContext:
    """The device, its pipelines, and what is needed to make buffers and bind groups.

    A shader error in wgpu-native (naga) may abort the process: run untrusted or changing shaders in a subprocess.
    """

    def __init__(self) -> None:
        """Raises RuntimeError where there is no adapter, or one whose driver sorts wrongly."""
        self.device = default_device()
        self.compute = {p.name: self._compute_pipeline(p) for p in layout.PASSES}
        self.draw = self._draw_pipeline()
        quads = 4 * np.arange(layout.QUADS_PER_INSTANCE)[:, None] + np.array([0, 1, 2, 2, 1, 3])
        data = quads.astype(np.uint16).tobytes()
        self.indices = self.device.create_buffer_with_data(data=data, usage=wgpu.BufferUsage.INDEX)
        problem = check_sort(self)
        if problem:
            raise RuntimeError(f"{self.adapter_name} computes wrongly ({problem}): update the graphics driver")

    @property
    def adapter_name(self) -> str:
        """Name of the driver and device that draws."""
        info = self.device.adapter.info
        return f"{info['device']} / {info['description']} ({info['backend_type']})"

    def make_buffer(self, b: layout.Buffer, dimension: int, data: bytes = b"") -> Any:
        """A buffer of the schema, filled with `data` if there is any."""
        size = max(len(data), b.stride * dimension, 16)  # empty bindings are not allowed
        usage = wgpu.BufferUsage.COPY_DST | wgpu.BufferUsage.COPY_SRC
        usage |= wgpu.BufferUsage.UNIFORM if b.fill == "uniform" else wgpu.BufferUsage.STORAGE
        if b.name == "arguments":
            usage |= wgpu.BufferUsage.INDIRECT
        buffer = self.device.create_buffer(label=b.name, size=-(-size // 16) * 16, usage=usage)
        if data:
            self.device.queue.write_buffer(buffer, 0, data + bytes(-len(data) % 4))
        return buffer

    def bind(self, bind_layout: Any, bindings: tuple[str, ...], buffer: Callable[[str], Any]) -> Any:
        """A bind group; `buffer` gives the buffer of a name."""
        entries = []
        for i, binding in enumerate(bindings):
            found = buffer(binding.split(":")[1])
            entries.append({"binding": i, "resource": {"buffer": found, "offset": 0, "size": found.size}})
        return self.device.create_bind_group(layout=bind_layout, entries=entries)

    def make_target(self, width: int, height: int) -> Any:
        """A texture to draw into and to read from."""
        usage = wgpu.TextureUsage.RENDER_ATTACHMENT | wgpu.TextureUsage.COPY_SRC
        return self.device.create_texture(size=(width, height, 1), format=OUTPUT_FORMAT, usage=usage)

    def _compute_pipeline(self, p: layout.Pass) -> tuple[Any, Any]:
        """(pipeline, bind group layout) of a pass."""
        bind_layout = self._bind_layout(p.bindings, wgpu.ShaderStage.COMPUTE)
        stage: dict[str, Any] = {
            "module": self.device.create_shader_module(code=shader_source(p.shader)),
            "entry_point": "main",
        }
        if p.digit >= 0:
            stage["constants"] = {"DIGIT": p.digit}
        pipeline = self.device.create_compute_pipeline(
            label=p.name,
            layout=self.device.create_pipeline_layout(bind_group_layouts=[bind_layout]),
            compute=stage,
        )
        return pipeline, bind_layout

    def _draw_pipeline(self) -> tuple[Any, Any]:
        bind_layout = self._bind_layout(layout.DRAW_BINDINGS, wgpu.ShaderStage.VERTEX | wgpu.ShaderStage.FRAGMENT)
        module = self.device.create_shader_module(code=shader_source("draw.wgsl"))
        over = {"src_factor": "one", "dst_factor": "one-minus-src-alpha", "operation": "add"}
        pipeline = self.device.create_render_pipeline(
            label="draw",
            layout=self.device.create_pipeline_layout(bind_group_layouts=[bind_layout]),
            vertex={"module": module, "entry_point": "vertex"},
            primitive={"topology": "triangle-list"},
            fragment={
                "module": module,
                "entry_point": "fragment",
                "targets": [{"format": OUTPUT_FORMAT, "blend": {"color": over, "alpha": over}}],
            },
        )
        return pipeline, bind_layout

    def _bind_layout(self, bindings: tuple[str, ...], visibility: int) -> Any:
        kinds = {"uniform": "uniform", "read": "read-only-storage", "write": "storage"}
        entries = []
        for i, binding in enumerate(bindings):
            buffer = {"type": kinds[binding.split(":")[0]]}
            entries.append({"binding": i, "visibility": visibility, "buffer": buffer})
        return self.device.create_bind_group_layout(entries=entries)
