"""Writes `viewer/src/generated.ts` and `viewer/src/posing/table.ts` from Python, so that the two cannot drift apart.

Run `python -m nerfstudio_mobavatar.web_export.gen_ts`; a test compares the committed file with what this prints.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nerfstudio_mobavatar import integer_tables
from nerfstudio_mobavatar.motion import pose_binary
from nerfstudio_mobavatar.motion.joint_names import NAMES
from nerfstudio_mobavatar.motion.types import MAX_FRAMES
from nerfstudio_mobavatar.posing import edit, ik, landmarks, limits, smoothing

from . import bundle, container, header, layout, quantise, schema

GENERATED = Path(__file__).parent / "viewer" / "src" / "generated.ts"
POSING = GENERATED.parent / "posing" / "table.ts"

_HEADER = "// Made by nerfstudio_mobavatar.web_export.gen_ts from bundle.py and layout.py. Do not edit.\n"


def _constant(name: str, value: object, why: str) -> str:
    return f"/** {why} */\nexport const {name} = {json.dumps(value)} as const;\n"


def _arrays() -> str:
    rows = "".join(f"  {name}: {json.dumps(dtype)}, // {what}\n" for name, (dtype, what) in schema.ARRAYS.items())
    return f"/** What readers hand out. */\nexport const ARRAYS = {{\n{rows}}} as const;\n"


def _structs() -> str:
    """Byte size of each uniform struct, and offset and number type of each field."""
    lines = []
    for name in layout.STRUCTS:
        fields = ", ".join(
            f"{key}: [{offset}, {json.dumps('u32' if f.type.endswith('u') or f.type == 'u32' else 'f32')}]"
            for key, (offset, f) in layout.struct_fields(name).items()
        )
        lines.append(f"  {name}: {{ size: {layout.struct_size(name)}, fields: {{ {fields} }} }},\n")
    why = "/** Uniform structs: bytes, and per field its byte offset and kind of number. */\n"
    return why + "export const STRUCTS = {\n" + "".join(lines) + "} as const;\n"


def _rows(name: str, why: str, rows: list[dict[str, Any]]) -> str:
    lines = "".join(f"  {json.dumps(row)},\n" for row in rows)
    return f"/** {why} */\nexport const {name} = [\n{lines}] as const;\n"


def generate() -> str:
    """The text of generated.ts."""
    constants = {
        "NUM_JOINTS": "Joints of a pose.",
        "MAX_LAYERS": "Most layers of a part network.",
        "MAX_WIDTH": "Widest layer of a part network.",
        "GROUP_SIZE": "Invocations per workgroup of the per-item passes.",
        "SORT_BLOCK": "Keys that one workgroup of the sort handles.",
        "DIGIT_BITS": "Bits per digit of the sort.",
        "DISPATCH_OFFSET": "Byte of the buffer `arguments` where the second digit's dispatch sizes stand.",
        "MAX_SPLATS": "Most Gaussians of a scene.",
        "QUADS_PER_INSTANCE": "Quads per instance.",
        "NEAR_PLANE": "Metres.",
        "BLUR": "Square pixels added to the diagonal of the projected covariance.",
        "PIXEL_FILTER": "The same where the picture is much coarser than the training pictures.",
        "UNKNOWN_BLUR": "Square metres of the training pictures' blur where their fineness is not known.",
        "MAX_BINDING_BYTES": "Largest buffer binding that WebGPU promises.",
        "MAX_GROUPS": "Most workgroups of a dispatch that WebGPU promises.",
        "JOINED": "Sections that share the buffer `bases`.",
        "DRAW_BINDINGS": "Bindings of draw.wgsl.",
    }
    return "\n".join(
        [
            _HEADER,
            _constant("MAGIC", bundle.MAGIC.decode("ascii"), "First bytes of an avatar file."),
            _constant("VERSION", bundle.VERSION, "Newest format version that this page reads."),
            _constant("PREAMBLE_BYTES", bundle.PREAMBLE_BYTES, "Magic, version and header length."),
            _constant("MAX_HEADER_BYTES", bundle.MAX_HEADER_BYTES, "Longest header that is believed."),
            _constant("MAX_SECTION_BYTES", bundle.MAX_SECTION_BYTES, "Largest section that is expanded."),
            _constant("CHECKSUM_BYTES", container.CHECKSUM_BYTES, "Checksum of the header, from version 2 on."),
            _constant("MAX_DEFLATE_RATIO", container.MAX_DEFLATE_RATIO, "Deflate cannot expand data further."),
            _constant("COUNT_LIMITS", schema.COUNT_LIMITS, "Counts of every header: the smallest and the largest."),
            _constant("MAX_BASIS", schema.MAX_BASIS, "Widest basis."),
            _constant("MAX_METRES", schema.MAX_METRES, "Farthest place of a Gaussian that is believed."),
            _constant("STEPS", schema.STEPS, "What is rounded to steps."),
            _constant("WHOLES", schema.WHOLES, "What is a share of a whole, in levels that divide this number."),
            _constant("MAX_INPUT", schema.MAX_INPUT, "Largest network input that is believed."),
            _constant("MAX_DEPTH", header.MAX_DEPTH, "Lists and objects inside each other."),
            _constant("MAX_SECTIONS", header.MAX_SECTIONS, "Most sections."),
            _constant("MAX_SHUFFLE", header.MAX_SHUFFLE, "Most bytes of a row in version 1."),
            _constant("CODINGS", integer_tables.CODINGS, "How the integers of a stream may lie."),
            _constant("MAX_PLANES", integer_tables.MAX_PLANES, "Most bytes of an integer."),
            _constant("MOTION_MAGIC", pose_binary.MAGIC.decode("ascii"), "First bytes of a motion in binary."),
            _constant("MOTION_VERSION", pose_binary.VERSION, "Newest that this page reads."),
            _constant("MOTION_HEADER_BYTES", pose_binary.HEADER.size, "Before its numbers."),
            _constant("MOTION_STEPS", pose_binary.STEPS, "What its integers count."),
            _constant("MOTION_NORM", [pose_binary.NORM, pose_binary.NORM_SLACK], "Square of a quaternion, in steps."),
            _constant("MAX_FRAMES", MAX_FRAMES, "Longest motion."),
            _constant("MAX_EXPRESSIONS", pose_binary.MAX_EXPRESSIONS, "Of a frame."),
            _constant("GRID", quantise.GRID, "Steps of the box of positions."),
            _constant("MAX_REACH", quantise.MAX_REACH, "Largest integer that stands for a real number."),
            _constant("RECORD_WORDS", bundle.RECORD_WORDS, "32-bit words per Gaussian."),
            _arrays(),
            "export type ArrayName = keyof typeof ARRAYS;\n",
            *(_constant(name, getattr(layout, name), why) for name, why in constants.items()),
            _structs(),
            _rows(
                "BUFFERS",
                "GPU buffers of `stride * dimension` bytes, or of a section.",
                [asdict(b) for b in layout.BUFFERS],
            ),
            _rows("PASSES", "Compute passes of a frame in order.", [asdict(p) for p in layout.PASSES]),
        ]
    )


def _retarget() -> dict[str, float]:
    return {
        "hidden": landmarks.HIDDEN,
        "seen": landmarks.SEEN,
        "nose_down_deg": landmarks.NOSE_DOWN_DEG,
        "min_cutoff_hz": smoothing.MIN_CUTOFF_HZ,
        "beta": smoothing.BETA,
        "speed_cutoff_hz": smoothing.SPEED_CUTOFF_HZ,
        "forget_s": smoothing.FORGET_S,
    }


def generate_posing() -> str:
    """The text of posing/table.ts."""
    table = limits.LIMITS
    rows = [
        {"bone": bone, "low": low.tolist(), "high": high.tolist()}
        for bone, low, high in zip(table.bone, table.low, table.high)
    ]
    constants = {
        "straight_deg": ik.STRAIGHT_DEG,
        "plane_from_deg": ik.PLANE_FROM_DEG,
        "plane_fully_deg": ik.PLANE_FULLY_DEG,
        "calm_rad": ik.CALM_RAD,
        "calm_rad_per_length": ik.CALM_RAD_PER_LENGTH,
        "swivel_steps": ik.SWIVEL_STEPS,
        "refinements": ik.REFINEMENTS,
        "valleys": ik.VALLEYS,
    }
    return "\n".join(
        [
            "// Made by nerfstudio_mobavatar.web_export.gen_ts from nerfstudio_mobavatar/posing. Do not edit.\n",
            _constant("JOINT_NAMES", NAMES, "SMPL-X's joints in order."),
            _constant("MIRRORED", edit.MIRRORED, "The joint on the other side."),
            _constant("GROUPS", edit.GROUPS, "Joints by part of the body."),
            _constant("CURL_DEG", edit.CURL_DEG, "Bend of a finger's three joints in a fist."),
            _constant("HINGES", limits.HINGES, "Axis about which a straight elbow or knee bends."),
            _constant("LIMBS", {name: limb._asdict() for name, limb in ik.LIMBS.items()}, "Limbs by their handle."),
            "export type LimbName = keyof typeof LIMBS;\n",
            _constant("IK", constants, "See ik.py."),
            _constant("MARKS", landmarks.MARKS, "The body's landmarks that are used, see landmarks.py."),
            _constant("FINGER_ROOTS", landmarks.FINGER_ROOTS, "First of a finger's four landmarks."),
            _constant("RETARGET", _retarget(), "See landmarks.py and smoothing.py."),
            _rows("LIMITS", "Bone axis and range (degrees) of every joint, see limits.py.", rows),
        ]
    )


if __name__ == "__main__":
    GENERATED.write_text(generate())
    POSING.write_text(generate_posing())
