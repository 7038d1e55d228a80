// Local pose features: one small MLP per part, leaky ReLU between layers, none after the last.
// Reads:  model, pose_input.inputs, mlp_weights and mlp_biases (halves, two per word)
// Writes: features, f32 [parts, 2K]
// One workgroup per part, four invocations per output of a layer: what takes time is waiting for weights, one after the
// other, so that each sums a quarter of a row. Twin: evaluate.features

struct Model {
  position_low: vec4f,
  position_step: vec4f,
  num_gaussians: u32,
  num_nodes: u32,
  num_head_parts: u32,
  num_pose_inputs: u32,
  basis_size: u32,
  num_layers: u32,
  leaky_relu_slope: f32,
  scale_basis: u32,
  color_basis: u32,
  layers: array<vec4u, 8>,
}

struct PoseInput {
  joints: array<vec4f, 165>,
  inputs: array<vec4f, 32>,
}

const THREADS = 128u;
const LANES = 4u;  // invocations per output
const OUTPUTS = THREADS / LANES;  // outputs at a time
const WIDTH = 128u;

@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<uniform> pose_input: PoseInput;
@group(0) @binding(2) var<storage, read> mlp_weights: array<u32>;
@group(0) @binding(3) var<storage, read> mlp_biases: array<u32>;
@group(0) @binding(4) var<storage, read_write> features: array<f32>;

// two halves used in turn, so that a layer never overwrites what it reads
var<workgroup> activations: array<f32, 256>;
var<workgroup> partial: array<f32, 128>;

fn input_number(part: u32, i: u32) -> f32 {
  let is_used = i < model.num_pose_inputs || part < model.num_head_parts;  // the expression reaches the head only
  let value = pose_input.inputs[min(i, WIDTH - 1u) / 4u][i % 4u];
  return select(0.0, value, is_used && i < model.layers[0].x);
}

fn bias(index: u32) -> f32 {
  let pair = unpack2x16float(mlp_biases[index / 2u]);
  return select(pair.x, pair.y, index % 2u == 1u);
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let part = group.x;
  let lane = thread % LANES;
  activations[thread] = input_number(part, thread);
  for (var l = 0u; l < model.num_layers; l++) {
    let layer = model.layers[l];
    let words = (layer.x + 1u) / 2u;
    let is_last = l + 1u == model.num_layers;
    let source = (l % 2u) * WIDTH;
    let target_ = WIDTH - source;
    // beyond the layer's width stay zeros: the next layer reads one of them if its width is odd
    activations[target_ + thread] = 0.0;
    for (var first = 0u; first < layer.y; first += OUTPUTS) {
      workgroupBarrier();
      let o = first + thread / LANES;
      var sum = 0.0;
      if (o < layer.y) {
        let row = layer.z + (part * layer.y + o) * words;
        for (var i = lane; i < words; i += LANES) {
          let w = unpack2x16float(mlp_weights[row + i]);
          sum += w.x * activations[source + 2u * i] + w.y * activations[source + 2u * i + 1u];
        }
      }
      partial[thread] = sum;
      workgroupBarrier();
      if (lane == 0u && o < layer.y) {
        let total = bias(layer.w + part * layer.y + o)
          + ((partial[thread] + partial[thread + 1u]) + (partial[thread + 2u] + partial[thread + 3u]));
        if (is_last) {
          features[part * layer.y + o] = total;
        } else {
          activations[target_ + o] = select(model.leaky_relu_slope * total, total, total > 0.0);
        }
      }
    }
    workgroupBarrier();
  }
}
