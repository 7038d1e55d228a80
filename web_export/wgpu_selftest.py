"""Sorts a known scene once: some graphics drivers compile the shaders and then compute nonsense.

Twin of viewer/src/selftest.ts: both hosts run it whenever they open a device.
"""

from typing import Any

import numpy as np

from . import layout

COUNT = 5000
"""Splats of the scene: three blocks of the sort, the last one not full."""
CULLED = 0xFFFFFFFF


def scene() -> tuple[np.ndarray, np.ndarray]:
    """(depth bits [COUNT] uint32, expected order of what is visible).

    Depths between 1 and 2 that lie in the middle of their sort key, so that no driver's rounding moves them: all
    digits, many equal keys, a third culled. The first two are the ends of the range.
    """
    i = np.arange(COUNT)
    key = np.where(i < 2, i * 65535, (i * 7919) % 3001 * 21 + 5)
    depth = np.where(i < 2, 1.0 + i, 1 + (key + 0.5) / 65535).astype(np.float32)
    is_visible = (i < 2) | (i % 3 != 0)
    bits = np.where(is_visible, depth.view(np.uint32), CULLED).astype(np.uint32)
    visible = i[is_visible]
    return bits, visible[np.argsort(key[is_visible], kind="stable")]


def check_sort(context: Any) -> str | None:
    """None where the device of a `GpuContext` sorts as it should, else what it did instead."""
    bits, order = scene()
    visible = len(order)
    buffers = _sorted(context, bits, visible)
    arguments, found = (
        np.frombuffer(context.device.queue.read_buffer(buffers[name]), np.uint32) for name in ("arguments", "order")
    )
    quads, blocks = -(-visible // layout.QUADS_PER_INSTANCE), -(-visible // layout.SORT_BLOCK)
    drawn, dispatched = arguments[1], arguments[layout.DISPATCH_OFFSET // 4]
    if (drawn, dispatched) != (quads, blocks):
        return f"it would draw {drawn} groups of splats and sort {dispatched}, expected {quads} and {blocks}"
    wrong = np.flatnonzero(found[:visible] != order)
    if len(wrong) == 0:
        return None
    return f"item {wrong[0]} of {visible} sorted ones is {found[wrong[0]]}, expected {order[wrong[0]]}"


def _sorted(context: Any, bits: np.ndarray, visible: int) -> dict[str, Any]:
    """The scene's buffers after the passes of stage `sort`."""
    counts = layout.scene_dimensions(COUNT)
    nearest, farthest = np.array([1, 2], np.float32).view(np.uint32)
    nothing = {f.name: [] for f in layout.STRUCTS["View"]}
    content = {
        "view": layout.struct_bytes("View", nothing | {"num_splats": COUNT}),
        "depths": bits.tobytes(),
        "frame_state": np.array([visible, ~nearest, farthest, 0], np.uint32).tobytes(),
    }
    buffers = {
        b.name: context.make_buffer(b, counts[b.dimension], content.get(b.name, b""))
        for b in layout.BUFFERS
        if b.scope == "scene" and b.name != "splats"
    }
    encoder = context.device.create_command_encoder()
    compute = encoder.begin_compute_pass()
    for p in layout.PASSES:
        if p.stage == "sort":
            pipeline, bind_layout = context.compute[p.name]
            compute.set_pipeline(pipeline)
            compute.set_bind_group(0, context.bind(bind_layout, p.bindings, buffers.__getitem__))
            if p.groups:
                compute.dispatch_workgroups(counts[p.groups])
            else:
                compute.dispatch_workgroups_indirect(buffers["arguments"], layout.DISPATCH_OFFSET)
    compute.end()
    context.device.queue.submit([encoder.finish()])
    return buffers
