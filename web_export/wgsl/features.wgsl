// Local pose features: one small MLP per part, leaky ReLU between layers, none after the last.
// Reads:  model, pose_input.inputs, mlp_weights and mlp_biases (halves, two per word)
// Writes: features, f32 [parts, 2K]
// One workgroup per part, one invocation per output of a layer. Twin: evaluate.features

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

const THREADS = 64u;
const WIDTH = 128u;

@group(0) @binding(0) var<uniform> model: Model;
@group(0) @binding(1) var<uniform> pose_input: PoseInput;
@group(0) @binding(2) var<storage, read> mlp_weights: array<u32>;
@group(0) @binding(3) var<storage, read> mlp_biases: array<u32>;
@group(0) @binding(4) var<storage, read_write> features: array<f32>;

// two halves used in turn, so that a layer never overwrites what it reads
var<workgroup> activations: array<f32, 256>;

fn input_number(part: u32, i: u32) -> f32 {
  let is_used = i < model.num_pose_inputs || part < model.num_head_parts;  // the expression reaches the head only
  let value = pose_input.inputs[min(i, WIDTH - 1u) / 4u][i % 4u];
  return select(0.0, value, is_used && i < model.layers[0].x);
}

fn bias(index: u32) -> f32 {
  let pair = unpack2x16float(mlp_biases[index / 2u]);
  return select(pair.x, pair.y, index % 2u == 1u);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let part = group.x;
  for (var i = thread; i < WIDTH; i += THREADS) {
    activations[i] = input_number(part, i);
  }
  for (var l = 0u; l < model.num_layers; l++) {
    workgroupBarrier();
    let layer = model.layers[l];
    let words = (layer.x + 1u) / 2u;
    let is_last = l + 1u == model.num_layers;
    let source = (l % 2u) * WIDTH;
    let target_ = WIDTH - source;
    for (var o = thread; o < WIDTH; o += THREADS) {
      var sum = 0.0;
      if (o < layer.y) {
        sum = bias(layer.w + part * layer.y + o);
        let row = layer.z + (part * layer.y + o) * words;
        for (var i = 0u; i < words; i++) {
          let w = unpack2x16float(mlp_weights[row + i]);
          sum += w.x * activations[source + 2u * i] + w.y * activations[source + 2u * i + 1u];
        }
        if (is_last) {
          features[part * layer.y + o] = sum;
        }
      }
      // beyond the layer's width stay zeros: the next layer reads one of them if its width is odd
      activations[target_ + o] = select(model.leaky_relu_slope * sum, sum, sum > 0.0);
    }
  }
}
