// Radix sort, third of three dispatches per digit: every item goes to its place, equal digits keep their order.
// A block is first sorted by the low half of the digit within workgroup memory; then the place of an item among its
// equals follows from the high half alone.
// Reads:  view, frame_state, items (digit 0: depths; digit 1: second digit << 24 | splat), histogram and digit_totals
//         (after the scan)
// Writes: sorted (digit 0: second digit << 24 | splat; digit 1: splat)
// One workgroup per block, 16 consecutive items per invocation. Twin: scatter in tests/wgsl/twins.py

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
@group(0) @binding(3) var<storage, read> histogram: array<u32>;
@group(0) @binding(4) var<storage, read> digit_totals: array<u32>;
@group(0) @binding(5) var<storage, read_write> sorted: array<u32>;

var<workgroup> counters: array<u32, 1024>;  // [8 pairs of half digits][128 threads], two 16-bit counters per word
var<workgroup> partial: array<u32, 128>;  // [8 pairs][16 segments of 8 threads]
var<workgroup> half_start: array<u32, 16>;  // items of the block with a smaller half digit
var<workgroup> local_items: array<u32, 2048>;  // sorted by the low half: key << 11 | place in the block, or the item
var<workgroup> digit_start: array<u32, 256>;  // place in `sorted` of a digit's first item, less its place in the block
var<workgroup> sums: array<vec2u, 128>;
var<workgroup> num_local: u32;

// 16 bits of depth over the range of what is visible (the same in sort_histogram.wgsl)
fn sort_key(depth_bits: u32) -> u32 {
  let nearest = bitcast<f32>(~frame_state.y);
  let range = max(bitcast<f32>(frame_state.z) - nearest, 1e-9);
  let step = (bitcast<f32>(depth_bits) - nearest) / range * 65535.0;
  return min(u32(max(step, 0.0)), 65535u);
}

fn digit_of(local_item: u32) -> u32 {
  if (DIGIT == 1u) {
    return local_item >> 24u;
  }
  return (local_item >> 11u) & 255u;
}

// what the item `at` of the block's source becomes in `local_items`; CULLED where it is not sorted
fn local_item(at: u32, place: u32) -> u32 {
  let item = items[at];
  if (DIGIT == 1u || item == CULLED) {
    return item;
  }
  return (sort_key(item) << 11u) | place;
}

fn clear_counters(thread: u32) {
  for (var pair = 0u; pair < 8u; pair++) {
    counters[pair * THREADS + thread] = 0u;
  }
}

fn count_half(half_digit: u32, thread: u32) {
  counters[(half_digit / 2u) * THREADS + thread] += 1u << (16u * (half_digit % 2u));
}

// From counts to places: exclusive prefix over the threads (both counters of a word at once: a block has 2048 items, so
// neither overflows), and over the half digits. Every invocation of the workgroup must call it.
fn sum_counters(thread: u32) {
  workgroupBarrier();
  let column = (thread / 16u) * THREADS + (thread % 16u) * 8u;
  var sum = 0u;
  for (var i = 0u; i < 8u; i++) {
    let value = counters[column + i];
    counters[column + i] = sum;
    sum += value;
  }
  partial[thread] = sum;
  workgroupBarrier();
  if (thread < 8u) {
    var total = 0u;
    for (var i = 0u; i < 16u; i++) {
      let value = partial[thread * 16u + i];
      partial[thread * 16u + i] = total;
      total += value;
    }
    half_start[2u * thread] = total & 0xffffu;
    half_start[2u * thread + 1u] = total >> 16u;
  }
  workgroupBarrier();
  if (thread == 0u) {
    var total = 0u;
    for (var i = 0u; i < 16u; i++) {
      let value = half_start[i];
      half_start[i] = total;
      total += value;
    }
    num_local = total;
  }
  workgroupBarrier();
}

// the next place of a half digit among the items of the block
fn place_of(half_digit: u32, thread: u32) -> u32 {
  let column = (half_digit / 2u) * THREADS + thread;
  let bit = 16u * (half_digit % 2u);
  let before = counters[column] + partial[(half_digit / 2u) * 16u + thread / 8u];
  counters[column] += 1u << bit;
  return half_start[half_digit] + ((before >> bit) & 0xffffu);
}

// fills digit_start; every invocation of the workgroup must call it
fn find_digit_starts(group: u32, blocks: u32, thread: u32) {
  // of two digit values each: items of the whole sort, items of this block
  var values: array<vec2u, 2>;
  for (var i = 0u; i < 2u; i++) {
    let digit = 2u * thread + i;
    let at = digit * blocks + group;
    let total = digit_totals[digit];
    var next = total;
    if (group + 1u < blocks) {
      next = histogram[at + 1u];
    }
    values[i] = vec2u(total, next - histogram[at]);
  }
  sums[thread] = values[0] + values[1];
  workgroupBarrier();
  if (thread < 8u) {
    var total = vec2u(0u);
    for (var i = 0u; i < 16u; i++) {
      let value = sums[thread * 16u + i];
      sums[thread * 16u + i] = total;
      total += value;
    }
    digit_start[thread] = total.x;
    digit_start[thread + 8u] = total.y;
  }
  workgroupBarrier();
  var before = sums[thread];
  for (var i = 0u; i < thread / 16u; i++) {
    before += vec2u(digit_start[i], digit_start[i + 8u]);
  }
  workgroupBarrier();
  for (var i = 0u; i < 2u; i++) {
    let digit = 2u * thread + i;
    digit_start[digit] = before.x + histogram[digit * blocks + group] - before.y;  // may wrap below zero and back
    before += values[i];
  }
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let count = select(frame_state.x, view.num_splats, DIGIT == 0u);
  find_digit_starts(group.x, (count + BLOCK - 1u) / BLOCK, thread);

  clear_counters(thread);
  let block = group.x * BLOCK;
  let first = thread * ITEMS;
  let end = min(first + ITEMS, count - min(count, block));
  for (var i = first; i < end; i++) {
    let item = local_item(block + i, i);
    if (item != CULLED) {
      count_half(digit_of(item) & 15u, thread);
    }
  }
  sum_counters(thread);
  for (var i = first; i < end; i++) {
    let item = local_item(block + i, i);
    if (item != CULLED) {
      local_items[min(place_of(digit_of(item) & 15u, thread), BLOCK - 1u)] = item;
    }
  }
  workgroupBarrier();

  clear_counters(thread);
  let local_end = min(first + ITEMS, num_local);
  for (var i = first; i < local_end; i++) {
    count_half(digit_of(local_items[i]) >> 4u, thread);
  }
  sum_counters(thread);
  for (var i = first; i < local_end; i++) {
    let item = local_items[i];
    let digit = digit_of(item);
    let target_ = digit_start[digit] + place_of(digit >> 4u, thread);
    var out = item & 0xffffffu;
    if (DIGIT == 0u) {
      out = ((item >> 19u) << 24u) | (block + (item & 2047u));
    }
    sorted[min(target_, view.num_splats - 1u)] = out;
  }
}
