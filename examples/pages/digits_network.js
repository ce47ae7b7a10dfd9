
// The page computes what microgd computes, with the network's numbers: forward from the pixels to
// ten outputs, backward from a slope of the outputs to all weights and pixels, and steps.

const data = JSON.parse(part("data").textContent);
const edge = 28; // pixels

// ── The network ────────────────────────────────────────────────────────────────────────────────

function bytes(text) {
  return Uint8Array.from(atob(text), character => character.charCodeAt(0));
}

const floats = text => new Float32Array(bytes(text).buffer);

function trainedLayers() {
  return data.layers.map(layer => ({
    inputs: layer.inputs,
    outputs: layer.outputs,
    bend: layer.bend, // what its result goes through: "relu", "tanh", "sigmoid" or ""
    weight: floats(layer.weight), // weight[output * inputs + input]
    bias: floats(layer.bias),
  }));
}

const bends = {
  relu: x => (x > 0 ? x : 0),
  tanh: Math.tanh,
  sigmoid: x => 1 / (1 + Math.exp(-x)),
  "": x => x,
};

// The slope of each bend, by its result.
const slopes = {
  relu: result => (result > 0 ? 1 : 0),
  tanh: result => 1 - result * result,
  sigmoid: result => result * (1 - result),
  "": () => 1,
};

// What a unit adds up, before its result is bent.
function weightedSum(layer, unit, given) {
  const row = unit * layer.inputs;
  let sum = layer.bias[unit];
  for (let input = 0; input < layer.inputs; input++) {
    sum += layer.weight[row + input] * given[input];
  }
  return sum;
}

// What comes out of each layer; the pixels are the first, the ten outputs the last.
function forward(layers, image) {
  const results = [image];
  for (const layer of layers) {
    const given = results.at(-1);
    const result = new Float32Array(layer.outputs);
    for (let unit = 0; unit < layer.outputs; unit++) {
      result[unit] = bends[layer.bend](weightedSum(layer, unit, given));
    }
    results.push(result);
  }
  return results;
}

function softmax(outputs) {
  const largest = Math.max(...outputs);
  const powers = Array.from(outputs, output => Math.exp(output - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map(power => power / sum);
}

// The negative logarithm of the label's probability. The largest output adds the 1 of log1p: a loss
// near 0 would be lost in log(1 + …).
function lossOf(outputs, label) {
  const answer = answerOf(outputs);
  let others = 0;
  outputs.forEach((output, digit) => {
    if (digit !== answer) others += Math.exp(output - outputs[answer]);
  });
  return outputs[answer] - outputs[label] + Math.log1p(others);
}

// The slopes with respect to all weights, biases and pixels, from those of the ten outputs.
function backward(layers, results, slopeOfOutputs) {
  const gradients = [];
  let slope = slopeOfOutputs;
  for (let n = layers.length - 1; n >= 0; n--) {
    const layer = layers[n];
    const given = results[n];
    const weight = new Float32Array(layer.weight.length);
    const slopeOfGiven = new Float32Array(layer.inputs);
    const bias = Float32Array.from(slope, (s, i) => s * slopes[layer.bend](results[n + 1][i]));
    for (let output = 0; output < layer.outputs; output++) {
      const row = output * layer.inputs;
      for (let input = 0; input < layer.inputs; input++) {
        weight[row + input] = bias[output] * given[input];
        slopeOfGiven[input] += bias[output] * layer.weight[row + input];
      }
    }
    gradients.unshift({ weight, bias });
    slope = slopeOfGiven;
  }
  return { gradients, image: slope };
}

// Add −rate · slope to each weight and bias, and return what was added.
function step(layers, image, label, rate) {
  const results = forward(layers, image);
  const slopeOfOutputs = softmax(results.at(-1)).map((p, digit) => p - (digit === label ? 1 : 0));
  const { gradients } = backward(layers, results, slopeOfOutputs);
  const updates = gradients.map(gradient => ({
    weight: gradient.weight.map(slope => -rate * slope),
    bias: gradient.bias.map(slope => -rate * slope),
  }));
  layers.forEach((layer, n) => {
    updates[n].weight.forEach((change, i) => (layer.weight[i] += change));
    updates[n].bias.forEach((change, i) => (layer.bias[i] += change));
  });
  return updates;
}

function answerOf(outputs) {
  return outputs.indexOf(Math.max(...outputs));
}

// ── The test digits ────────────────────────────────────────────────────────────────────────────

const pixels = bytes(data.images);
const labels = bytes(data.labels);

function testDigit(place) {
  const start = place * edge * edge;
  return Float32Array.from(pixels.subarray(start, start + edge * edge), byte => byte / 255);
}

function answersOnTestDigits(layers) {
  return Array.from(labels, (_, place) => answerOf(forward(layers, testDigit(place)).at(-1)));
}

function countRead(answers) {
  return answers.filter((answer, place) => answer === labels[place]).length;
}

// ── A drawing becomes what the network has learned to read ─────────────────────────────────────

// How much of each pixel of a small image is ink, from a large one: a mean over its area.
function shrunk(ink, width, box, columns, rows) {
  const small = new Float32Array(columns * rows);
  const across = (box.right - box.left) / columns;
  const down = (box.bottom - box.top) / rows;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      let area = 0;
      const [y0, y1] = [box.top + row * down, box.top + (row + 1) * down];
      const [x0, x1] = [box.left + column * across, box.left + (column + 1) * across];
      for (let y = Math.floor(y0); y < y1; y++) {
        const high = Math.min(y + 1, y1) - Math.max(y, y0);
        for (let x = Math.floor(x0); x < x1; x++) {
          const share = high * (Math.min(x + 1, x1) - Math.max(x, x0));
          sum += share * ink[y * width + x];
          area += share;
        }
      }
      small[row * columns + column] = sum / area;
    }
  }
  return small;
}

function boxOfInk(ink, width, height) {
  const box = { left: width, top: height, right: 0, bottom: 0 };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (ink[y * width + x] <= 0.3) continue;
      box.left = Math.min(box.left, x);
      box.right = Math.max(box.right, x + 1);
      box.top = Math.min(box.top, y);
      box.bottom = Math.max(box.bottom, y + 1);
    }
  }
  return box;
}

// The ink in a box of 20 × 20, its centre of mass in the middle of 28 × 28; null without any ink.
function prepared(ink, width, height) {
  const box = boxOfInk(ink, width, height);
  if (box.right <= box.left) return null;
  const scale = 20 / Math.max(box.right - box.left, box.bottom - box.top);
  const columns = Math.max(1, Math.round((box.right - box.left) * scale));
  const rows = Math.max(1, Math.round((box.bottom - box.top) * scale));
  const small = shrunk(ink, width, box, columns, rows);
  let mass = 0;
  let downMass = 0;
  let acrossMass = 0;
  small.forEach((amount, i) => {
    mass += amount;
    downMass += amount * Math.floor(i / columns);
    acrossMass += amount * (i % columns);
  });
  const fit = (start, size) => Math.min(Math.max(Math.round(start), 0), edge - size);
  const top = fit(13.5 - downMass / mass, rows);
  const left = fit(13.5 - acrossMass / mass, columns);
  const image = new Float32Array(edge * edge);
  small.forEach((amount, i) => {
    image[(top + Math.floor(i / columns)) * edge + left + (i % columns)] = amount;
  });
  return image;
}
