"""What the GPU hosts share, as data: uniform structs, buffers, passes. numpy only; TypeScript is generated from it.

`STRUCTS` fixes the uniform structs byte by byte (the `.wgsl` files repeat the declarations, a test compares them),
`BUFFERS` says how large each buffer is, who fills it and who owns it, `PASSES` is the compute part of a frame in order.
A host (wgpu_renderer.py, viewer/src) allocates the buffers, uploads the file's sections, and dispatches the passes.

A *model* is an uploaded avatar file, an *instance* one posed and placed person of a model, the *scene* what one picture
shows: the splats of all its instances lie one instance after the other in the same buffers and are sorted together.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .schema import array_bytes

NUM_JOINTS = 55
MAX_LAYERS = 8
MAX_WIDTH = 128
"""Widest layer of the part networks, input included (workgroup memory of features.wgsl)."""
GROUP_SIZE = 256
SORT_THREADS = 128
SORT_ITEMS = 16
SORT_BLOCK = SORT_THREADS * SORT_ITEMS
"""Items that one workgroup of the sort handles."""
DIGIT_BITS = 8
"""A sort key has two digits."""
MAX_SPLATS = 1 << 22
"""Gaussians of a whole scene: 32 bytes each in one binding. (Sorted items have 24 bits for the index.)"""
DISPATCH_OFFSET = 32
"""Byte of the buffer `arguments` at which the sizes of the second digit's dispatches stand; the draw's are at 0."""
QUADS_PER_INSTANCE = 128
"""One quad per instance is pathological on tilers and software drivers; 128 keeps 16-bit indices."""
NEAR_PLANE = 0.01
BLUR = 0.3
"""Square pixels added to the diagonal of the 2D covariance (gsplat's eps2d)."""
PIXEL_FILTER = 0.1
"""Square pixels added instead where the picture is much coarser than the training pictures (a pixel itself: 1/12)."""
UNKNOWN_BLUR = 1e20
"""Square metres of the training pictures' blur where their fineness is not known: every picture counts as finer."""
MAX_BINDING_BYTES = 128 << 20
MAX_GROUPS = 65535

DEFAULT_LIMITS: dict[str, int] = {
    "max-bind-groups": 4,
    "max-bindings-per-bind-group": 1000,
    "max-buffer-size": 256 << 20,
    "max-color-attachment-bytes-per-sample": 32,
    "max-compute-invocations-per-workgroup": 256,
    "max-compute-workgroup-size-x": 256,
    "max-compute-workgroup-size-y": 256,
    "max-compute-workgroup-size-z": 64,
    "max-compute-workgroup-storage-size": 16384,
    "max-compute-workgroups-per-dimension": MAX_GROUPS,
    "max-inter-stage-shader-variables": 16,
    "max-sampled-textures-per-shader-stage": 16,
    "max-storage-buffer-binding-size": MAX_BINDING_BYTES,
    "max-storage-buffers-per-shader-stage": 8,
    "max-texture-dimension-2d": 8192,
    "max-uniform-buffer-binding-size": 65536,
    "max-uniform-buffers-per-shader-stage": 12,
    "min-storage-buffer-offset-alignment": 256,
    "min-uniform-buffer-offset-alignment": 256,
}
"""What WebGPU promises on every device; tests ask for exactly this, so that going beyond it fails."""

# name of the WGSL type -> (bytes, alignment, numpy base type)
_TYPES: dict[str, tuple[int, int, str]] = {
    "u32": (4, 4, "<u4"),
    "f32": (4, 4, "<f4"),
    "vec2f": (8, 8, "<f4"),
    "vec4u": (16, 16, "<u4"),
    "vec4f": (16, 16, "<f4"),
}


@dataclass(frozen=True)
class Field:
    """One member of a uniform struct."""

    name: str
    type: Literal["u32", "f32", "vec2f", "vec4u", "vec4f"]
    count: int = 0
    """0 for a plain member, else the length of an array of 16-byte items."""


STRUCTS: dict[str, tuple[Field, ...]] = {
    # written once, when the avatar is loaded
    "Model": (
        Field("position_low", "vec4f"),
        Field("position_step", "vec4f"),
        Field("num_gaussians", "u32"),
        Field("num_nodes", "u32"),
        Field("num_head_parts", "u32"),
        Field("num_pose_inputs", "u32"),
        Field("basis_size", "u32"),
        Field("num_layers", "u32"),
        Field("leaky_relu_slope", "f32"),
        Field("scale_basis", "u32"),  # word of `bases` at which the scale's begin; the rotation's begin at 0
        Field("color_basis", "u32"),
        Field("layers", "vec4u", MAX_LAYERS),  # fan in, fan out, first weight word, first bias
    ),
    # written when the pose changes
    "PoseInput": (
        Field("joints", "vec4f", 3 * NUM_JOINTS),  # rows of canonical -> world
        Field("inputs", "vec4f", MAX_WIDTH // 4),  # of the part networks
    ),
    # written when the camera or the instance moves, or when another level of detail is shown
    "Instance": (
        Field("model_to_camera", "vec4f", 3),  # rows
        Field("first_splat", "u32"),
        Field("num_splats", "u32"),  # the first so many Gaussians of the model are drawn
        Field("enlarge", "f32"),  # factor of all standard deviations
        Field("training_blur", "f32"),  # what BLUR was in the training pictures, square metres of the scene
    ),
    # written when the camera changes
    "View": (
        Field("world_to_camera", "vec4f", 3),  # rows
        Field("focal", "vec2f"),
        Field("principal", "vec2f"),
        Field("viewport", "vec2f"),
        Field("near_plane", "f32"),
        Field("blur", "f32"),
        Field("pixel_filter", "f32"),
        Field("num_splats", "u32"),  # of all instances, visible or not
    ),
}


@dataclass(frozen=True)
class Buffer:
    """A GPU buffer of `stride * dimension` bytes; `dimension` is a key of `dimensions()` or `scene_dimensions()`."""

    name: str
    scope: Literal["model", "instance", "scene"]
    """Who owns it: the uploaded file, one instance of it, or the renderer."""
    fill: Literal["section", "joined", "kept", "uniform", "work"]
    """`section`: the file section of that name as stored. `joined`: the sections of `JOINED` one after the other.
    `kept`: `kept_table()`. `uniform`: a struct that the host writes. `work`: written by passes only."""
    stride: int = 0
    dimension: str = "one"


def struct_fields(name: str) -> dict[str, tuple[int, Field]]:
    """Field name -> (byte offset, field) by WGSL's uniform layout rules."""
    offset, out = 0, {}
    for f in STRUCTS[name]:
        size, align, _ = _TYPES[f.type]
        if f.count and size != 16:
            raise ValueError(f"{name}.{f.name}: uniform arrays need 16-byte items, {f.type} has {size}")
        offset = -(-offset // align) * align
        out[f.name] = (offset, f)
        offset += size * max(f.count, 1)
    return out


def struct_size(name: str) -> int:
    """Bytes of the struct, a multiple of 16."""
    offset, last = list(struct_fields(name).values())[-1]
    return -(-(offset + _TYPES[last.type][0] * max(last.count, 1)) // 16) * 16


def struct_wgsl(name: str) -> str:
    """The WGSL declaration that shaders must contain word for word."""
    lines = [f"  {f.name}: {f'array<{f.type}, {f.count}>' if f.count else f.type}," for f in STRUCTS[name]]
    return "\n".join([f"struct {name} {{", *lines, "}"])


def struct_bytes(name: str, values: dict[str, Any]) -> bytes:
    """Pack a uniform struct; every field must be given, arrays may be shorter than declared (rest is zero)."""
    fields = struct_fields(name)
    if values.keys() != fields.keys():
        raise ValueError(f"{name} has the fields {sorted(fields)}, found {sorted(values)}")
    out = bytearray(struct_size(name))
    for key, (offset, f) in fields.items():
        size, _, base = _TYPES[f.type]
        raw = np.ascontiguousarray(values[key], base).tobytes()
        if len(raw) > size * max(f.count, 1):
            raise ValueError(f"{name}.{key} holds {size * max(f.count, 1)} bytes, found {len(raw)}")
        out[offset : offset + len(raw)] = raw
    return bytes(out)


JOINED = ("rotation_basis", "scale_basis", "color_basis")
"""Sections that share the buffer `bases`: a stage is promised eight storage buffers only."""

BUFFERS: tuple[Buffer, ...] = (
    Buffer("model", "model", "uniform", struct_size("Model")),
    *(
        Buffer(name, "model", "section")
        for name in ("gaussians", "node_part", "node_basis", "mlp_weights", "mlp_biases")
    ),
    Buffer("bases", "model", "joined"),
    Buffer("kept", "model", "kept", 24, "kept_groups"),
    Buffer("pose_input", "instance", "uniform", struct_size("PoseInput")),
    Buffer("instance", "instance", "uniform", struct_size("Instance")),
    Buffer("features", "instance", "work", 4, "features"),  # f32 [P, 2K]
    Buffer("node_displacement", "instance", "work", 16, "nodes"),  # xyz, 0
    Buffer("view", "scene", "uniform", struct_size("View")),
    Buffer("splats", "scene", "work", 32, "splats"),  # see project.wgsl
    Buffer("depths", "scene", "work", 4, "splats"),  # bits of the f32 camera z, 0xffffffff where culled
    Buffer("frame_state", "scene", "work", 16),  # visible, ~nearest, farthest, fragments; cleared before each frame
    Buffer("arguments", "scene", "work", 48),  # of drawIndexedIndirect, and at DISPATCH_OFFSET of the second digit
    Buffer("items", "scene", "work", 4, "splats"),  # sorted by the first digit: second digit << 24 | splat
    Buffer("order", "scene", "work", 4, "splats"),  # the visible splats, nearest first
    Buffer("histogram", "scene", "work", 4, "histogram"),  # [256 digits, sort groups]
    Buffer("digit_totals", "scene", "work", 4, "digit_values"),
)


@dataclass(frozen=True)
class Pass:
    """One compute dispatch. `bindings` are group 0 in order: `uniform:name`, `read:name` or `write:name`."""

    name: str
    shader: str
    bindings: tuple[str, ...]
    groups: str
    """Key of `dimensions()` (`instance_groups`: of the instance's level) or `scene_dimensions()`: the number of
    workgroups. Empty where the GPU knows it: `arguments` at DISPATCH_OFFSET."""
    stage: Literal["pose", "project", "sort"]
    """`pose`: for every instance whose pose changed. `project`: for every instance when anything changed. `sort`: once
    then."""
    digit: int = -1
    """For sort passes the pipeline constant DIGIT."""


def _sort_passes(digit: int) -> list[Pass]:
    source, target = ("depths", "items") if digit == 0 else ("items", "order")
    common = ("uniform:view", "read:frame_state")
    groups = "sort_groups" if digit == 0 else ""
    return [
        Pass(f"sort_{name}_{digit}", f"sort_{name}.wgsl", common + bindings, count, "sort", digit)
        for name, bindings, count in (
            ("histogram", (f"read:{source}", "write:histogram"), groups),
            ("scan", ("write:histogram", "write:digit_totals", "write:arguments"), "digit_values"),
            ("scatter", (f"read:{source}", "read:histogram", "read:digit_totals", f"write:{target}"), groups),
        )
    ]


PASSES: tuple[Pass, ...] = (
    Pass("features", "features.wgsl",
         ("uniform:model", "uniform:pose_input", "read:mlp_weights", "read:mlp_biases", "write:features"),
         "parts", "pose"),
    Pass("nodes", "nodes.wgsl",
         ("uniform:model", "read:node_part", "read:node_basis", "read:features", "write:node_displacement"),
         "node_groups", "pose"),
    Pass("project", "project.wgsl",
         ("uniform:model", "uniform:pose_input", "uniform:instance", "uniform:view", "read:gaussians", "read:kept",
          "read:bases", "read:features", "read:node_displacement", "write:splats", "write:depths", "write:frame_state"),
         "instance_groups", "project"),
    *_sort_passes(0),
    *_sort_passes(1),
)  # fmt: skip
"""The compute passes of a frame in order."""

DRAW_BINDINGS = ("uniform:view", "read:splats", "read:order", "read:frame_state")


def dimensions(header: dict[str, Any]) -> dict[str, int]:
    """Counts that sizes and dispatches of a model and its instances are made of, from the file's header."""
    n = header["num_gaussians"]
    return {
        "one": 1,
        "gaussians": n,
        "instance_groups": -(-n // GROUP_SIZE),
        "parts": header["num_parts"],
        "features": header["num_parts"] * 2 * header["basis_size"],
        "nodes": header["num_nodes"],
        "node_groups": -(-4 * header["num_nodes"] // GROUP_SIZE),
        "kept_groups": -(-n // 32),
    }


def scene_dimensions(num_splats: int) -> dict[str, int]:
    """Counts that sizes and dispatches of a scene are made of, from the Gaussians of all its instances."""
    sort_groups = -(-num_splats // SORT_BLOCK)
    return {
        "one": 1,
        "splats": num_splats,
        "sort_groups": sort_groups,
        "histogram": sort_groups << DIGIT_BITS,
        "digit_values": 1 << DIGIT_BITS,
    }


def model_struct(header: dict[str, Any]) -> dict[str, Any]:
    """Values of the `Model` uniform."""
    low, high = np.array(header["position_low"]), np.array(header["position_high"])
    sizes, parts = header["layer_sizes"], header["num_parts"]
    layers, word, bias = [], 0, 0
    for fan_in, fan_out in zip(sizes[:-1], sizes[1:]):
        layers.append([fan_in, fan_out, word, bias])
        word, bias = word + parts * fan_out * (-(-fan_in // 2)), bias + parts * fan_out
    stored = array_bytes(header)
    plain = ("num_gaussians", "num_nodes", "num_head_parts", "num_pose_inputs", "basis_size", "leaky_relu_slope")
    return {
        "position_low": low,
        "position_step": (high - low) / 65535,
        **{k: header[k] for k in plain},
        "num_layers": len(layers),
        "scale_basis": stored["rotation_basis"] // 4,
        "color_basis": (stored["rotation_basis"] + stored["scale_basis"]) // 4,
        "layers": layers,
    }


def kept_table(num_gaussians: int, kept: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """[ceil(N / 32), 6] uint32: for rotation, scale, colour a bit mask of 32 Gaussians and the row of the first kept.

    Gaussian `i` keeps a corrective where its bit is set; the row of its basis is the first row plus the number of set
    bits below its own. One small table instead of an index per Gaussian, and no search on the GPU.
    """
    groups = -(-num_gaussians // 32)
    table = np.zeros((groups, 6), np.uint32)
    for slot, index in enumerate(kept):
        flags = np.zeros(groups * 32, np.uint32)
        flags[index] = 1
        flags = flags.reshape(groups, 32)
        table[:, 2 * slot] = (flags << np.arange(32, dtype=np.uint32)).sum(1, dtype=np.uint32)
        count = flags.sum(1)
        table[:, 2 * slot + 1] = np.cumsum(count) - count
    return table


def check_header(header: dict[str, Any]) -> None:
    """Raise ValueError where an avatar does not fit the shaders or WebGPU's promised limits."""
    sizes, d = header["layer_sizes"], dimensions(header)
    if len(sizes) - 1 > MAX_LAYERS or max(sizes) > MAX_WIDTH:
        raise ValueError(f"part networks may have {MAX_LAYERS} layers of at most {MAX_WIDTH} numbers, found {sizes}")
    if header["basis_size"] % 2 or sizes[-1] != 2 * header["basis_size"]:
        raise ValueError(f"the basis size must be even and half of the last layer, found {header['basis_size']}")
    check_scene(header["num_gaussians"])
    stored = array_bytes(header)
    joined = sum(stored[name] for name in JOINED)
    for b in BUFFERS:
        if b.scope != "scene":
            size = {"section": stored.get(b.name, 0), "joined": joined}.get(b.fill, b.stride * d[b.dimension])
            if size > MAX_BINDING_BYTES:
                raise ValueError(
                    f"buffer '{b.name}' needs {size} bytes, WebGPU promises {MAX_BINDING_BYTES}: prune more"
                )
    for p in PASSES:
        if d.get(p.groups, 0) > MAX_GROUPS:
            raise ValueError(f"pass '{p.name}' needs {d[p.groups]} workgroups, WebGPU promises {MAX_GROUPS}")


def training_blur(pixels_per_metre: float | None, T_world_avatar: np.ndarray) -> float:
    """Of an instance that stands at `T_world_avatar` [4, 4]: BLUR of the training pictures, square metres."""
    if pixels_per_metre is None:
        return UNKNOWN_BLUR
    return BLUR / pixels_per_metre**2 * float((np.asarray(T_world_avatar)[:3, 0] ** 2).sum())


def check_scene(num_splats: int) -> None:
    """Raise ValueError where a scene holds more Gaussians than one picture can show."""
    if num_splats > MAX_SPLATS:
        raise ValueError(f"one picture shows {MAX_SPLATS} Gaussians at most, found {num_splats}: show fewer avatars")
