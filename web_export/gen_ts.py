"""Writes `viewer/src/generated.ts` from the Python schema, so that the page and the exporter cannot drift apart.

Run `python -m nerfstudio_mobavatar.web_export.gen_ts`; a test compares the committed file with what this prints.
"""

import json
from pathlib import Path

from . import bundle

GENERATED = Path(__file__).parent / "viewer" / "src" / "generated.ts"

_HEADER = "// Made by nerfstudio_mobavatar.web_export.gen_ts from bundle.py and layout.py. Do not edit.\n"


def _constant(name: str, value: object, why: str) -> str:
    return f"/** {why} */\nexport const {name} = {json.dumps(value)} as const;\n"


def _sections() -> str:
    rows = "".join(f"  {name}: {json.dumps(dtype)}, // {what}\n" for name, (dtype, what) in bundle.SECTIONS.items())
    return f"export const SECTIONS = {{\n{rows}}} as const;\n"


def generate() -> str:
    """The text of generated.ts."""
    return "\n".join(
        [
            _HEADER,
            _constant("MAGIC", bundle.MAGIC.decode("ascii"), "First bytes of an avatar file."),
            _constant("VERSION", bundle.VERSION, "Newest format version that this page reads."),
            _constant("PREAMBLE_BYTES", bundle.PREAMBLE_BYTES, "Magic, version and header length."),
            _constant("MAX_HEADER_BYTES", bundle.MAX_HEADER_BYTES, "Longest header that is believed."),
            _constant("MAX_SECTION_BYTES", bundle.MAX_SECTION_BYTES, "Largest section that is expanded."),
            _constant("RECORD_WORDS", bundle.RECORD_WORDS, "32-bit words per Gaussian."),
            _sections(),
            "export type SectionName = keyof typeof SECTIONS;\n",
        ]
    )


if __name__ == "__main__":
    GENERATED.write_text(generate())
