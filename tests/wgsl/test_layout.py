"""The layout schema against the shaders' text and against WGSL's rules. Needs no GPU."""

import re
from pathlib import Path

import numpy as np
import pytest

from nerfstudio_mobavatar.web_export import bundle, layout
from nerfstudio_mobavatar.web_export.wgpu_device import shader_source
from tests.synthetic_avatar import SyntheticAvatar

WGSL = Path(layout.__file__).parent / "wgsl"
SHADERS = sorted(p.name for p in WGSL.glob("*.wgsl"))


@pytest.fixture(scope="module")
def header() -> dict:
    data = bundle.encode(SyntheticAvatar(num_gaussians=300, num_parts=5, num_nodes=20, num_kept=30).build())
    return bundle.read_sections(data)[0]


@pytest.mark.parametrize("shader", SHADERS)
def test_shaders_declare_the_structs_of_the_schema(shader: str):
    text = shader_source(shader)
    for name in layout.STRUCTS:
        if re.search(rf"\b{name}\b", text):
            assert layout.struct_wgsl(name) in text


@pytest.mark.parametrize("shader", SHADERS)
def test_shaders_use_the_constants_of_the_schema(shader: str):
    text = shader_source(shader)
    expected = {
        "QUADS_PER_INSTANCE": layout.QUADS_PER_INSTANCE,
        "ITEMS": layout.SORT_ITEMS,
        "WIDTH": layout.MAX_WIDTH,
        "BLOCK": layout.SORT_BLOCK,
    }
    if shader.startswith("sort_"):
        expected["THREADS"] = layout.SORT_THREADS
    for name, value in re.findall(r"(?:const|override) ([A-Z_]+)(?:: u32)? = (\d+)u;", text):
        assert int(value) == expected.get(name, int(value)), f"{shader}: {name}"


@pytest.mark.parametrize("shader", SHADERS)
def test_shaders_say_what_they_read_and_write(shader: str):
    head = shader_source(shader).split("\n\n")[0]
    assert all(line.startswith("//") for line in head.splitlines())
    assert re.search(r"^// Reads: ", head, re.M)
    assert re.search(r"^// Writes: ", head, re.M)
    assert re.search(r"^// One ", head, re.M)


@pytest.mark.parametrize("shader", SHADERS)
def test_shaders_need_no_optional_feature(shader: str):
    code = re.sub(r"//.*", "", shader_source(shader))
    assert not re.search(r"\benable\b|\bsubgroup|\bf16\b|ptr<", code)


def test_every_shader_is_used():
    used = {p.shader for p in layout.PASSES} | {"draw.wgsl"}
    assert used == set(SHADERS)


def test_bindings_match_the_declarations_and_the_default_limits():
    for p in layout.PASSES:
        declared = re.findall(r"@binding\((\d+)\) var<(\w+)(?:, (\w+))?> \w+", shader_source(p.shader))
        kinds = ["uniform" if space == "uniform" else {"read": "read", "read_write": "write"}[access]
                 for _, space, access in declared]  # fmt: skip
        assert [int(i) for i, _, _ in declared] == list(range(len(p.bindings))), p.name
        assert kinds == [b.split(":")[0] for b in p.bindings], p.name
        assert sum(kind != "uniform" for kind in kinds) <= 8, p.name


def test_struct_offsets_follow_wgsl_rules(monkeypatch: pytest.MonkeyPatch):
    fields = {k: offset for k, (offset, _) in layout.struct_fields("Model").items()}
    assert (fields["num_gaussians"], fields["leaky_relu_slope"], fields["layers"]) == (32, 56, 80)
    assert layout.struct_size("Model") == 80 + 8 * 16
    assert layout.struct_size("View") == 96
    for name in layout.STRUCTS:
        for offset, f in layout.struct_fields(name).values():
            assert offset % layout._TYPES[f.type][1] == 0
    gaps = (layout.Field("a", "u32"), layout.Field("b", "vec2f"), layout.Field("c", "u32"), layout.Field("d", "vec4f"))
    monkeypatch.setitem(layout.STRUCTS, "Gaps", gaps)
    assert [offset for offset, _ in layout.struct_fields("Gaps").values()] == [0, 8, 16, 32]


def test_struct_bytes_lie_at_their_offsets_and_refuse_what_does_not_fit():
    values = {
        "model_to_camera": np.arange(12),
        "first_splat": 4,
        "num_splats": 7,
        "enlarge": 1.5,
        "training_blur": 0.25,
    }
    found = np.frombuffer(layout.struct_bytes("Instance", values), "<f4")
    np.testing.assert_array_equal(found[[0, 11, 14, 15]], [0, 11, 1.5, 0.25])
    np.testing.assert_array_equal(found[12:14].view("<u4"), [4, 7])
    with pytest.raises(ValueError, match="Instance has the fields"):
        layout.struct_bytes("Instance", {"first_splat": 4})
    with pytest.raises(ValueError, match=r"PoseInput\.inputs holds 512 bytes, found 516"):
        layout.struct_bytes("PoseInput", {"joints": np.zeros((55, 3, 4)), "inputs": np.zeros(129)})


def test_kept_table_finds_the_row_of_every_kept_gaussian():
    rng = np.random.default_rng(0)
    first, second, third = (np.sort(rng.choice(333, k, replace=False)) for k in (0, 100, 333))
    kept = (first, second, third)
    table = layout.kept_table(333, kept)
    for slot, index in enumerate(kept):
        rows = {}
        for n in range(333):
            mask, first = (int(v) for v in table[n // 32, 2 * slot : 2 * slot + 2])
            if mask >> (n % 32) & 1:
                rows[n] = first + (mask & ((1 << (n % 32)) - 1)).bit_count()
        assert rows == {int(n): row for row, n in enumerate(index)}


def test_check_header_refuses_what_the_shaders_cannot_do(header: dict):
    layout.check_header(header)
    with pytest.raises(ValueError, match=r"at most 128 numbers, found \[73, 129, 32\]"):
        layout.check_header(header | {"layer_sizes": [73, 129, 32]})
    with pytest.raises(ValueError, match="basis size must be even"):
        layout.check_header(header | {"basis_size": 15, "layer_sizes": [73, 30]})
    narrow = {"basis_size": 2, "layer_sizes": [2, 4]}
    with pytest.raises(ValueError, match="buffer 'node_displacement' needs 144000000 bytes"):
        layout.check_header(header | narrow | {"num_nodes": 9_000_000})
    with pytest.raises(ValueError, match="4194304 Gaussians at most, found 5000000: show fewer avatars"):
        layout.check_header(header | {"num_gaussians": 5_000_000})
    with pytest.raises(ValueError, match="pass 'features' needs 65536 workgroups"):
        layout.check_header(header | narrow | {"num_parts": 65536})
