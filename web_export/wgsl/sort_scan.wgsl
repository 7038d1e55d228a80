// Radix sort, second of three dispatches per digit: exclusive prefix sum over the blocks of each digit value, in place.
// Reads:  view, frame_state, histogram
// Writes: histogram: items of the same digit value in earlier blocks. digit_totals: items of each digit value.
//         arguments of the draw (drawIndexedIndirect) and of the second digit's dispatches
// One workgroup per digit value; an invocation sums a run of consecutive blocks. Twin: scan in tests/wgsl/twins.py

struct View {
  world_to_camera: array<vec4f, 3>,
  focal: vec2f,
  principal: vec2f,
  viewport: vec2f,
  near_plane: f32,
  blur: f32,
  pixel_filter: f32,
  num_splats: u32,
}

override DIGIT: u32 = 0u;

const LANES = 64u;
const BLOCK = 2048u;
const QUADS_PER_INSTANCE = 128u;

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<storage, read> frame_state: vec4u;
@group(0) @binding(2) var<storage, read_write> histogram: array<u32>;
@group(0) @binding(3) var<storage, read_write> digit_totals: array<u32>;
@group(0) @binding(4) var<storage, read_write> arguments: array<u32, 12>;

var<workgroup> sums: array<u32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let count = select(frame_state.x, view.num_splats, DIGIT == 0u);
  let blocks = (count + BLOCK - 1u) / BLOCK;
  let run = (blocks + LANES - 1u) / LANES;
  let row = group.x * blocks;
  let first = row + min(thread * run, blocks);
  let end = row + min((thread + 1u) * run, blocks);
  var sum = 0u;
  for (var i = first; i < end; i++) {
    sum += histogram[i];
  }
  sums[thread] = sum;
  workgroupBarrier();
  if (thread == 0u) {
    var total = 0u;
    for (var i = 0u; i < LANES; i++) {
      let value = sums[i];
      sums[i] = total;
      total += value;
    }
    digit_totals[group.x] = total;
    if (group.x == 0u) {
      arguments[0] = 6u * QUADS_PER_INSTANCE;
      arguments[1] = (frame_state.x + QUADS_PER_INSTANCE - 1u) / QUADS_PER_INSTANCE;
      arguments[2] = 0u;
      arguments[3] = 0u;
      arguments[4] = 0u;
      arguments[8] = (frame_state.x + BLOCK - 1u) / BLOCK;
      arguments[9] = 1u;
      arguments[10] = 1u;
    }
  }
  workgroupBarrier();
  var offset = sums[thread];
  for (var i = first; i < end; i++) {
    let value = histogram[i];
    histogram[i] = offset;
    offset += value;
  }
}
