// Radix sort, first of three dispatches per 8-bit digit: how often each digit value occurs in each block of 2048 items.
// The first digit reads the depths of all splats of the scene and leaves out what is culled: from then on only visible
// splats are sorted, in an order that does not depend on how invocations were scheduled.
// Reads:  view, frame_state, items (digit 0: depths; digit 1: second digit << 24 | splat)
// Writes: histogram [256 digit values][blocks]
// One workgroup per block. Twin: histogram in tests/wgsl/twins.py

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

const THREADS = 128u;
const ITEMS = 16u;
const BLOCK = 2048u;
const CULLED = 0xffffffffu;

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var<storage, read> frame_state: vec4u;
@group(0) @binding(2) var<storage, read> items: array<u32>;
@group(0) @binding(3) var<storage, read_write> histogram: array<u32>;

var<workgroup> counters: array<atomic<u32>, 256>;

// 16 bits of depth over the range of what is visible (the same in sort_scatter.wgsl)
fn sort_key(depth_bits: u32) -> u32 {
  let nearest = bitcast<f32>(~frame_state.y);
  let range = max(bitcast<f32>(frame_state.z) - nearest, 1e-9);
  let step = (bitcast<f32>(depth_bits) - nearest) / range * 65535.0;
  return min(u32(max(step, 0.0)), 65535u);
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  atomicStore(&counters[thread], 0u);
  atomicStore(&counters[thread + THREADS], 0u);
  workgroupBarrier();
  let count = select(frame_state.x, view.num_splats, DIGIT == 0u);
  for (var i = 0u; i < ITEMS; i++) {
    let at = group.x * BLOCK + i * THREADS + thread;
    if (at < count) {
      let item = items[at];
      if (DIGIT == 1u) {
        atomicAdd(&counters[item >> 24u], 1u);
      } else if (item != CULLED) {
        atomicAdd(&counters[sort_key(item) & 255u], 1u);
      }
    }
  }
  workgroupBarrier();
  let blocks = (count + BLOCK - 1u) / BLOCK;
  histogram[thread * blocks + group.x] = atomicLoad(&counters[thread]);
  histogram[(thread + THREADS) * blocks + group.x] = atomicLoad(&counters[thread + THREADS]);
}
