"use strict";

// The page computes what microgd computes, with the network's numbers: forward from the pixels to
// ten outputs, backward from a slope of the outputs to all weights and pixels, and steps.

const part = id => document.getElementById(id);
const data = JSON.parse(part("data").textContent);
const edge = 28; // pixels
const svgNamespace = "http://www.w3.org/2000/svg";

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

// What comes out of each layer; the pixels are the first, the ten outputs the last.
function forward(layers, image) {
  const results = [image];
  for (const layer of layers) {
    const given = results.at(-1);
    const result = new Float32Array(layer.outputs);
    for (let output = 0; output < layer.outputs; output++) {
      let sum = layer.bias[output];
      const row = output * layer.inputs;
      for (let input = 0; input < layer.inputs; input++) {
        sum += layer.weight[row + input] * given[input];
      }
      result[output] = bends[layer.bend](sum);
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

// The negative logarithm of the label's probability.
function lossOf(outputs, label) {
  const largest = Math.max(...outputs);
  const sum = outputs.reduce((total, output) => total + Math.exp(output - largest), 0);
  return largest + Math.log(sum) - outputs[label];
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

function howManyAreRead(layers) {
  let right = 0;
  for (let place = 0; place < labels.length; place++) {
    if (answerOf(forward(layers, testDigit(place)).at(-1)) === labels[place]) right++;
  }
  return right;
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

// ── Pictures ───────────────────────────────────────────────────────────────────────────────────

// Black on white is ink on paper, also on a dark page.
function paintInk(canvas, image) {
  paint(canvas, image, amount => {
    const shade = Math.round(255 * (1 - amount));
    return [shade, shade, shade];
  });
}

// White is 0, orange above and blue below.
function paintSigned(canvas, numbers, largest) {
  paint(canvas, numbers, number => {
    const part = largest > 0 ? Math.min(Math.abs(number) / largest, 1) : 0;
    const colour = number > 0 ? [196, 70, 1] : [31, 111, 180];
    return colour.map(channel => Math.round(255 + part * (channel - 255)));
  });
}

function paint(canvas, numbers, colourOf) {
  const context = canvas.getContext("2d");
  const picture = context.createImageData(edge, edge);
  numbers.forEach((number, i) => picture.data.set([...colourOf(number), 255], 4 * i));
  context.putImageData(picture, 0, 0);
}

const largestOf = numbers => numbers.reduce((most, x) => Math.max(most, Math.abs(x)), 0);

function shape(name, attributes, text) {
  const made = document.createElementNS(svgNamespace, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const size = { width: 700, height: 400, top: 34, bottom: 10 };

function unitPlace(layer, unit) {
  const count = network[layer].outputs;
  const room = (size.height - size.top - size.bottom) / count;
  const across = network.length === 1 ? 300 : 60 + (layer * 370) / (network.length - 1);
  return [across, size.top + (unit + 0.5) * room];
}

// The inputs that matter most for a unit: weight times what comes through it.
function strongest(layer, unit, given, count) {
  const { weight, inputs } = network[layer];
  const shares = Array.from(given, (x, input) => ({
    input,
    share: x * weight[unit * inputs + input],
  }));
  shares.sort((a, b) => Math.abs(b.share) - Math.abs(a.share));
  return shares.slice(0, count).filter(({ share }) => share !== 0);
}

function drawLines(picture, results) {
  for (let layer = 1; layer < network.length; layer++) {
    const given = results[layer];
    const lines = [];
    for (let unit = 0; unit < network[layer].outputs; unit++) {
      for (const found of strongest(layer, unit, given, 3)) lines.push({ unit, ...found });
    }
    const most = Math.max(...lines.map(({ share }) => Math.abs(share)), 1e-30);
    for (const { unit, input, share } of lines) {
      const [x1, y1] = unitPlace(layer - 1, input);
      const [x2, y2] = unitPlace(layer, unit);
      const strength = Math.abs(share) / most;
      const line = shape("line", { x1, y1, x2, y2, "stroke-width": 0.4 + 3 * strength });
      line.setAttribute("class", share > 0 ? "raises" : "lowers");
      line.setAttribute("opacity", 0.25 + 0.75 * strength);
      picture.append(line);
    }
  }
}

function drawUnits(picture, results) {
  network.forEach((layer, n) => {
    const shown = results[n + 1];
    const most = largestOf(shown);
    for (let unit = 0; unit < layer.outputs; unit++) {
      const [cx, cy] = unitPlace(n, unit);
      const brightness = most > 0 ? Math.max(shown[unit], 0) / most : 0;
      const circle = shape("circle", { cx, cy, r: 9, "fill-opacity": brightness });
      circle.append(shape("title", {}, shown[unit].toPrecision(4)));
      picture.append(shape("circle", { cx, cy, r: 9, class: "ground" }), circle);
    }
    const caption = n + 1 < network.length ? `layer ${n + 1}: ${layer.outputs}` : "outputs";
    const [x] = unitPlace(n, 0);
    picture.append(shape("text", { x, y: 16, "text-anchor": "middle", class: "caption" }, caption));
  });
}

function drawBars(picture, results) {
  const probabilities = softmax(results.at(-1));
  const answer = answerOf(results.at(-1));
  const last = network.length - 1;
  const [start] = unitPlace(last, 0);
  picture.append(shape("text", { x: start + 42, y: 16, class: "caption" }, "probabilities"));
  probabilities.forEach((p, digit) => {
    const [x, y] = unitPlace(last, digit);
    const look = { class: digit === answer ? "said" : "" };
    picture.append(
      shape("text", { x: x + 16, y: y + 5, ...look }, digit),
      shape("rect", { x: x + 42, y: y - 8, width: 140, height: 16, class: "room" }),
      shape("rect", { x: x + 42, y: y - 8, width: 140 * p, height: 16 }),
      shape("text", { x: x + 190, y: y + 5, ...look }, percent(p)),
    );
  });
}

function percent(p) {
  if (p > 0.9995) return "> 99.9 %";
  if (p < 0.0005) return "< 0.1 %";
  return `${(100 * p).toFixed(p > 0.995 || p < 0.005 ? 1 : 0)} %`;
}

// ── What is shown now ──────────────────────────────────────────────────────────────────────────

let network = trainedLayers();
let image = null; // the 784 pixels
let from = ""; // where they come from, in words
let history = []; // the steps on this image
let updates = null; // of the last step
const readBefore = howManyAreRead(network);

function show() {
  const blank = new Float32Array(edge * edge);
  const results = forward(network, image ?? blank);
  const outputs = results.at(-1);
  const answer = answerOf(outputs);
  paintInk(part("prepared"), image ?? blank);
  const picture = part("network");
  picture.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
  picture.replaceChildren();
  drawLines(picture, results);
  drawUnits(picture, results);
  drawBars(picture, results);
  const probability = percent(softmax(outputs)[answer]);
  const said = `The network says ${answer}, with a probability of ${probability}`;
  picture.setAttribute("aria-label", said);
  part("line").textContent = image ? `${from} ${said}.` : "Draw a digit, or take a test digit.";
  showWhy(results, answer);
  showSteps();
}

function showWhy(results, answer) {
  const chosen = part("which").value === "answer" ? answer : Number(part("which").value);
  const start = new Float32Array(10);
  start[chosen] = 1;
  const gradient = backward(network, results, start).image;
  paintSigned(part("why"), gradient, largestOf(gradient));
  part("why-caption").textContent =
    `The slopes of output ${chosen}, from −${largestOf(gradient).toPrecision(2)} (blue) to ` +
    `${largestOf(gradient).toPrecision(2)} (orange)`;
}

function showSteps() {
  const rows = history.map(({ loss, probability, answer, length }, n) => {
    const row = document.createElement("tr");
    const moved = n ? length.toPrecision(3) : "";
    const cells = [n, loss.toFixed(4), percent(probability), answer, moved];
    for (const text of cells) row.insertCell().textContent = text;
    return row;
  });
  document.querySelector("#steps tbody").replaceChildren(...rows);
  part("steps").hidden = rows.length === 0;
  part("updates").replaceChildren();
  part("update-words").textContent = "";
  if (updates) showUpdate();
}

function showUpdate() {
  const first = updates[0].weight;
  const inputs = network[0].inputs;
  const most = largestOf(first);
  const all = updates.flatMap(({ weight, bias }) => [...weight, ...bias]);
  const sorted = all.map(Math.abs).sort((a, b) => b - a);
  const squares = numbers => numbers.reduce((sum, x) => sum + x * x, 0);
  const share = squares(sorted.slice(0, Math.round(all.length / 100))) / squares(all);
  const zeros = all.filter(x => x === 0).length;
  part("update-words").textContent =
    `The last update has the length ${Math.sqrt(squares(all)).toPrecision(3)}. Its largest ` +
    `element is ${sorted[0].toPrecision(3)}; the largest 1 % of them hold ${percent(share)} of the ` +
    `length squared, and ${zeros.toLocaleString("en")} are 0.`;
  for (let unit = 0; unit < network[0].outputs; unit++) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = edge;
    canvas.title = `unit ${unit}`;
    paintSigned(canvas, first.subarray(unit * inputs, (unit + 1) * inputs), most);
    part("updates").append(canvas);
  }
}

function use(newImage, words, label) {
  image = newImage;
  from = words;
  if (label !== undefined) part("label").value = label;
  history = [];
  updates = null;
  show();
}

// ── Drawing ────────────────────────────────────────────────────────────────────────────────────

const drawing = part("drawing");
const pen = drawing.getContext("2d", { willReadFrequently: true });
const thickness = 22; // of the pen, in pixels of the drawing
let isDrawing = false;
let place = [drawing.width / 2, drawing.height / 2]; // of the pen

function clear() {
  pen.fillStyle = "white";
  pen.fillRect(0, 0, drawing.width, drawing.height);
}

function drawTo(x, y) {
  pen.fillStyle = "black";
  pen.beginPath();
  pen.arc(x, y, thickness / 2, 0, 2 * Math.PI); // a line from a point to itself would draw nothing
  pen.fill();
  pen.strokeStyle = "black";
  pen.lineWidth = thickness;
  pen.lineCap = "round";
  pen.lineJoin = "round";
  pen.beginPath();
  pen.moveTo(...place);
  pen.lineTo(x, y);
  pen.stroke();
  place = [x, y];
}

function readDrawing() {
  const { data: colours } = pen.getImageData(0, 0, drawing.width, drawing.height);
  const ink = new Float32Array(drawing.width * drawing.height);
  for (let i = 0; i < ink.length; i++) ink[i] = 1 - colours[4 * i] / 255;
  use(prepared(ink, drawing.width, drawing.height), "");
}

function placeOf(event) {
  const box = drawing.getBoundingClientRect();
  const scale = drawing.width / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
}

drawing.onpointerdown = event => {
  if (from !== "") clear(); // a test digit is not drawn on
  part("place").value = "";
  isDrawing = true;
  drawing.setPointerCapture(event.pointerId);
  place = placeOf(event);
  drawTo(...place);
  readDrawing();
};
drawing.onpointermove = event => {
  if (!isDrawing) return;
  drawTo(...placeOf(event));
  readDrawing();
};
drawing.onpointerup = drawing.onpointercancel = () => (isDrawing = false);

const arrows = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] };
drawing.onkeydown = event => {
  if (!(event.key in arrows)) return;
  event.preventDefault();
  const [right, down] = arrows[event.key];
  const x = Math.min(Math.max(place[0] + right, 0), drawing.width);
  const y = Math.min(Math.max(place[1] + down, 0), drawing.height);
  if (!event.shiftKey) {
    place = [x, y];
    part("line").textContent = `The pen is at ${x} of ${drawing.width} across, ${y} down.`;
    return;
  }
  drawTo(x, y);
  readDrawing();
};

// ── Controls ───────────────────────────────────────────────────────────────────────────────────

function take(number) {
  const count = labels.length;
  const chosen = ((Math.round(number) % count) + count) % count;
  part("place").value = chosen;
  const digit = testDigit(chosen);
  paintOnDrawing(digit);
  use(digit, `Test digit ${chosen} is a ${labels[chosen]}.`, labels[chosen]);
}

function paintOnDrawing(digit) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = edge;
  paintInk(canvas, digit);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(canvas, 0, 0, drawing.width, drawing.height);
}

part("clear").onclick = () => {
  clear();
  part("place").value = "";
  use(null, "");
};
part("random").onclick = () => take(Math.floor(Math.random() * labels.length));
const placeShown = () => (part("place").value === "" ? -1 : Number(part("place").value));
part("previous").onclick = () => take(placeShown() - 1);
part("next").onclick = () => take(placeShown() + 1);
part("place").onchange = () => take(Number(part("place").value));
part("which").onchange = show;
part("label").onchange = () => use(image, from);

part("teach").onclick = () => {
  if (!image) {
    part("line").textContent = "There is no digit to learn from: draw one, or take a test digit.";
    return;
  }
  const rate = Number(part("rate").value);
  if (!(rate > 0 && rate <= 1000)) {
    part("line").textContent = "A learning rate is a number above 0.";
    return;
  }
  const label = Number(part("label").value);
  if (history.length === 0) remember(label, 0);
  updates = step(network, image, label, rate);
  const squares = numbers => numbers.reduce((sum, x) => sum + x * x, 0);
  const parts = updates.flatMap(({ weight, bias }) => [squares(weight), squares(bias)]);
  remember(label, Math.sqrt(parts.reduce((sum, x) => sum + x, 0)));
  show();
  const [before, after] = history.slice(-2);
  part("line").textContent =
    `One step: the loss went from ${before.loss.toFixed(3)} to ${after.loss.toFixed(3)}, and the ` +
    `probability of ${label} from ${percent(before.probability)} to ${percent(after.probability)}.`;
};

function remember(label, length) {
  const outputs = forward(network, image).at(-1);
  history.push({
    loss: lossOf(outputs, label),
    probability: softmax(outputs)[label],
    answer: answerOf(outputs),
    length,
  });
}

part("reset").onclick = () => {
  network = trainedLayers();
  part("price").textContent = "The network is again as it was after training.";
  use(image, from);
};

part("count").onclick = () => {
  const read = howManyAreRead(network);
  part("price").textContent =
    `It reads ${read} of ${labels.length}; after training it read ${readBefore}.`;
};

for (let digit = 0; digit < 10; digit++) {
  part("label").append(new Option(digit, digit));
  part("which").append(new Option(digit, digit));
}
part("which").prepend(new Option("the network's answer", "answer", true, true));
clear();
show();
