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

// ── Numbers and names, as one reads them ───────────────────────────────────────────────────────

const raisedDigits = Array.from("⁰¹²³⁴⁵⁶⁷⁸⁹");
const raised = character => (character === "-" ? "⁻" : raisedDigits[character]);

// Such as 0.0123, −4.56 and 7.89 × 10⁻¹².
function number(x, digits = 3) {
  const isPlain = Math.abs(x) >= 1e-3 && Math.abs(x) < 1e6;
  if (x === 0) return "0";
  if (isPlain) return x.toFixed(decimalsOf(x, digits)).replace("-", "−");
  const [factor, power] = x.toExponential(digits - 1).split("e");
  const small = Array.from(power.replace("+", ""), raised).join("");
  return `${factor.replace("-", "−")}\u00a0×\u00a010${small}`;
}

// How many digits after the point make so many digits in all.
function decimalsOf(x, digits) {
  return Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(x))));
}

function percent(p) {
  if (p > 0.999) return ">\u00a099.9%"; // with a space that does not end a line
  if (p < 0.001) return "<\u00a00.1%";
  return `${(100 * p).toFixed(1)}%`;
}

const percentInWords = p => percent(p).replace(/>\s/, "more than ").replace(/<\s/, "less than ");

const withArticle = digit => (digit === 8 ? "an 8" : `a ${digit}`);
const inSteps = count => (count === 1 ? "1 step" : `${count} steps`);

// The units are counted from 0, as their rows in the matrix of weights are.
function unitName(layer, unit) {
  if (layer === network.length - 1) return `output ${unit}`;
  return `unit ${unit} of layer ${layer + 1}`;
}

const bendNames = { relu: "ReLU", tanh: "tanh", sigmoid: "sigmoid" };

// ── Pictures ───────────────────────────────────────────────────────────────────────────────────

// Black on white is ink on paper, also on a dark page.
function inkColour(amount) {
  const shade = Math.round(255 * (1 - amount));
  return [shade, shade, shade];
}

// White is 0, orange above and blue below.
function signedColour(number, largest) {
  const strength = largest > 0 ? Math.min(Math.abs(number) / largest, 1) : 0;
  const full = number > 0 ? [196, 70, 1] : [31, 111, 180];
  return full.map(channel => Math.round(255 + strength * (channel - 255)));
}

const tile = document.createElement("canvas"); // a pixel for each number
tile.width = tile.height = edge;

// A square for each of 28 × 28 numbers, as large as the canvas has room for.
function paint(canvas, numbers, colourOf) {
  const small = tile.getContext("2d");
  const picture = small.createImageData(edge, edge);
  numbers.forEach((number, i) => picture.data.set([...colourOf(number), 255], 4 * i));
  small.putImageData(picture, 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(tile, 0, 0, canvas.width, canvas.height);
}

function paintInk(canvas, image) {
  paint(canvas, image, inkColour);
}

function paintSigned(canvas, numbers, largest) {
  paint(canvas, numbers, number => signedColour(number, largest));
}

// A line around the pixels that are more than half ink.
function outline(canvas, image) {
  const context = canvas.getContext("2d");
  const side = canvas.width / edge;
  const isInk = (row, column) => image[row * edge + column] > 0.5;
  context.strokeStyle = "black";
  context.lineWidth = 1.5;
  context.beginPath();
  for (let row = 1; row < edge; row++) {
    for (let column = 1; column < edge; column++) {
      const [x, y] = [column * side, row * side];
      if (isInk(row, column) !== isInk(row, column - 1)) {
        context.moveTo(x, y);
        context.lineTo(x, y + side);
      }
      if (isInk(row, column) !== isInk(row - 1, column)) {
        context.moveTo(x, y);
        context.lineTo(x + side, y);
      }
    }
  }
  context.stroke();
}

// A small picture of 28 × 28 numbers with a line of text below it.
function signedFigure(numbers, largest, words) {
  const figure = document.createElement("figure");
  const canvas = document.createElement("canvas");
  const caption = document.createElement("figcaption");
  canvas.width = canvas.height = edge;
  canvas.className = "small";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", words);
  caption.textContent = words;
  paintSigned(canvas, numbers, largest);
  figure.append(canvas, caption);
  return figure;
}

const largestOf = numbers => numbers.reduce((most, x) => Math.max(most, Math.abs(x)), 0);

function shape(name, attributes, text) {
  const made = document.createElementNS(svgNamespace, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// ── The picture of the network ─────────────────────────────────────────────────────────────────

const narrow = matchMedia("(max-width: 40rem)");

// Where the layers stand, and the bars. A narrow window has its own picture, with text as large.
function places() {
  const layout = narrow.matches
    ? { width: 330, height: 400, first: 24, last: 156, bar: 30, barWidth: 70, radius: 8 }
    : { width: 700, height: 420, first: 50, last: 430, bar: 42, barWidth: 140, radius: 10 };
  if (network.length === 1) layout.last = layout.first;
  return layout;
}

const captions = 30; // the room for them, above the units

function unitPlace(layer, unit) {
  const { height, first, last } = places();
  const room = (height - captions) / network[layer].outputs;
  const between = network.length > 1 ? (last - first) / (network.length - 1) : 0;
  return [last - (network.length - 1 - layer) * between, captions + (unit + 0.5) * room];
}

function radiusOf(layer) {
  const { height, radius } = places();
  return Math.min(radius, (0.45 * (height - captions)) / network[layer].outputs);
}

// What goes into the unit's sum from each unit on its left, or each pixel: result times weight. The
// strongest come first.
function contributions(layer, unit, given) {
  const { weight, inputs } = network[layer];
  const found = Array.from(given, (result, input) => {
    const itsWeight = weight[unit * inputs + input];
    return { input, result, weight: itsWeight, amount: result * itsWeight };
  });
  return found.sort((a, b) => Math.abs(b.amount) - Math.abs(a.amount));
}

function drawLines(picture, results, chosen) {
  const lines = [];
  for (let layer = 1; layer < network.length; layer++) {
    const ofLayer = [];
    for (let unit = 0; unit < network[layer].outputs; unit++) {
      const isChosen = layer === chosen.layer && unit === chosen.unit;
      const found = contributions(layer, unit, results[layer]).slice(0, isChosen ? 6 : 3);
      for (const { input, amount } of found) {
        if (amount !== 0) ofLayer.push({ layer, unit, input, amount, isChosen });
      }
    }
    const most = largestOf(ofLayer.map(({ amount }) => amount));
    for (const line of ofLayer) lines.push({ ...line, strength: Math.abs(line.amount) / most });
  }
  lines.sort((a, b) => a.isChosen - b.isChosen); // the chosen unit's lines are on top
  for (const { layer, unit, input, amount, isChosen, strength } of lines) {
    const [x1, y1] = unitPlace(layer - 1, input);
    const [x2, y2] = unitPlace(layer, unit);
    const opacity = (0.2 + 0.8 * strength) * (isChosen ? 1 : 0.35);
    const look = { "stroke-width": 0.5 + 3 * strength, opacity };
    look.class = amount > 0 ? "raises" : "lowers";
    picture.append(shape("line", { x1, y1, x2, y2, ...look }));
  }
}

function drawUnits(picture, results, chosen) {
  for (let layer = 0; layer < network.length; layer++) {
    const shown = results ? results[layer + 1] : new Float32Array(network[layer].outputs);
    const most = largestOf(shown);
    const r = radiusOf(layer);
    for (let unit = 0; unit < shown.length; unit++) {
      const [cx, cy] = unitPlace(layer, unit);
      const fullness = most > 0 ? Math.abs(shown[unit]) / most : 0;
      const circle = shape("circle", { cx, cy, r, "fill-opacity": fullness });
      if (shown[unit] < 0) circle.setAttribute("class", "below");
      picture.append(shape("circle", { cx, cy, r, class: "ground" }), circle);
    }
    const words = layer + 1 < network.length ? `layer ${layer + 1}` : "outputs";
    const [x] = unitPlace(layer, 0);
    picture.append(shape("text", { x, y: 14, "text-anchor": "middle", class: "caption" }, words));
  }
  if (results) {
    const [cx, cy] = unitPlace(chosen.layer, chosen.unit);
    const r = radiusOf(chosen.layer) + 3;
    picture.append(shape("circle", { cx, cy, r, class: "chosen" }));
  }
}

function drawProbabilities(picture, results) {
  const { last, bar, barWidth } = places();
  const probabilities = results ? softmax(results.at(-1)) : new Array(10).fill(0);
  const answer = results ? answerOf(results.at(-1)) : -1;
  const x = last + bar;
  picture.append(shape("text", { x, y: 14, class: "caption" }, "probabilities"));
  probabilities.forEach((p, digit) => {
    const [, y] = unitPlace(network.length - 1, digit);
    const look = { class: digit === answer ? "said" : "" };
    picture.append(
      shape("text", { x: x - 13, y: y + 5, ...look }, digit),
      shape("rect", { x, y: y - 8, width: barWidth, height: 16, class: "room" }),
      shape("rect", { x, y: y - 8, width: barWidth * p, height: 16 }),
    );
    if (!results) return;
    picture.append(shape("text", { x: x + barWidth + 8, y: y + 5, ...look }, percent(p)));
  });
}

function drawNetwork(results, chosen) {
  const picture = part("network");
  const { width, height } = places();
  picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
  picture.replaceChildren();
  if (results) drawLines(picture, results, chosen);
  drawUnits(picture, results, chosen);
  drawProbabilities(picture, results);
}

// ── What is shown now ──────────────────────────────────────────────────────────────────────────

let network = trainedLayers();
let image = null; // the 784 pixels; null, if there is no digit
let testPlace = null; // the number of the test digit; null, if the digit is drawn
let lessons = []; // the network on this image, before and after each step
let updates = null; // of the last step
let stepsSinceTraining = 0;
let countedAfter = null; // how many steps; null, if the test digits are not counted
const readAfterTraining = countRead(answersOnTestDigits(network));

function say(words) {
  part("line").textContent = words;
}

// Which unit the reader looks into: the output for the network's answer, or the one chosen.
function chosenUnit(results) {
  if (part("unit").value === "answer") {
    return { layer: network.length - 1, unit: answerOf(results.at(-1)) };
  }
  const [layer, unit] = part("unit").value.split(" ").map(Number);
  return { layer, unit };
}

function chosenOutput(results) {
  if (part("which").value === "answer") return answerOf(results.at(-1));
  return Number(part("which").value);
}

function show() {
  const results = image ? forward(network, image) : null;
  const chosen = results ? chosenUnit(results) : null;
  paintInk(part("prepared"), image ?? new Float32Array(edge * edge));
  part("hint").hidden = image !== null;
  drawNetwork(results, chosen);
  showAnswer(results);
  showInside(results, chosen);
  showWhy(results);
  showChanged();
  showLesson();
}

// A network that was taught may read badly: this note says why, as long as it is changed.
function showChanged() {
  const isChanged = stepsSinceTraining > 0;
  part("changed-words").textContent = isChanged
    ? `You have changed the network by ${inSteps(stepsSinceTraining)}.`
    : "The network is as trained.";
  part("undo").hidden = !isChanged;
  part("stale").hidden = countedAfter === null || countedAfter === stepsSinceTraining;
}

function showAnswer(results) {
  const place = part("answer");
  if (!results) {
    place.replaceChildren();
    part("network").setAttribute("aria-label", "The network, without a digit");
    return;
  }
  const probabilities = softmax(results.at(-1));
  const answer = answerOf(results.at(-1));
  const said = document.createElement("strong");
  said.textContent = answer;
  place.replaceChildren("It says ", said, ` ${percent(probabilities[answer])}`);
  const listed = probabilities.map((p, digit) => `${digit} ${percent(p)}`).join(", ");
  part("network").setAttribute("aria-label", `The network. Probabilities: ${listed}.`);
}

// What the network says, and whether it is right, if that is known.
function answerInWords() {
  const outputs = forward(network, image).at(-1);
  const answer = answerOf(outputs);
  const sure = percentInWords(softmax(outputs)[answer]);
  const says = `The network says ${answer}, with a probability of ${sure}`;
  if (testPlace === null) return `${says}.`;
  const label = labels[testPlace];
  const verdict = label === answer ? "That is right." : "That is wrong.";
  return `Test digit ${testPlace} is ${withArticle(label)}. ${says}. ${verdict}`;
}

// ── What made a number ─────────────────────────────────────────────────────────────────────────

function showInside(results, chosen) {
  part("inside").replaceChildren();
  if (!results) {
    part("inside").textContent = "Draw a digit first, or take one.";
    return;
  }
  const { layer, unit } = chosen;
  const given = results[layer];
  const found = contributions(layer, unit, given);
  const table = document.createElement("table");
  table.createCaption().textContent = `How the network computes ${unitName(layer, unit)}`;
  const head = table.createTHead().insertRow();
  for (const text of ["from", layer === 0 ? "ink × weight" : "result × weight"]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = text;
    head.append(cell);
  }
  const body = table.createTBody();
  if (layer === 0) {
    addPixels(body, found);
    part("inside").append(...pixelFigures(unit, given));
  } else {
    addUnits(body, layer, found);
  }
  const sum = weightedSum(network[layer], unit, given);
  const bias = network[layer].bias[unit];
  addRow(body, ["the bias", number(bias)]);
  addRow(body, ["the sum", number(sum)], "sum");
  const { bend } = network[layer];
  if (bend) addRow(body, [`after ${bendNames[bend]}`, number(results[layer + 1][unit])], "sum");
  part("inside").append(table);
}

// Show the unit that the list names, and say so.
function lookInto() {
  show();
  if (!image) return say("Draw a digit first, or take one: section 3 shows what made its numbers.");
  const { layer, unit } = chosenUnit(forward(network, image));
  return say(`Section 3 shows what made ${unitName(layer, unit)}.`);
}

const total = found => found.reduce((sum, { amount }) => sum + amount, 0);

function addUnits(body, layer, found) {
  for (const { input, result, weight, amount } of found.slice(0, 4)) {
    const product = `${number(result)} × ${inBrackets(weight)} = ${number(amount)}`;
    addRow(body, [unitName(layer - 1, input), product]);
  }
  const others = found.slice(4);
  if (others.length) {
    addRow(body, [`the other ${others.length} units`, number(total(others))]);
  }
}

function addPixels(body, found) {
  const above = found.filter(({ amount }) => amount > 0);
  const below = found.filter(({ amount }) => amount < 0);
  addRow(body, [`${above.length} pixels that raise it, together`, number(total(above))]);
  addRow(body, [`${below.length} pixels that lower it, together`, number(total(below))]);
}

function pixelFigures(unit, pixels) {
  const start = unit * edge * edge;
  const weights = network[0].weight.subarray(start, start + edge * edge);
  const products = pixels.map((ink, pixel) => ink * weights[pixel]);
  const most = largestOf(weights);
  return [
    signedFigure(weights, most, "its weights: orange above 0, blue below"),
    signedFigure(products, most, "ink × weight"),
  ];
}

function addRow(body, texts, look = "") {
  const row = body.insertRow();
  row.className = look;
  for (const text of texts) row.insertCell().textContent = text;
}

const inBrackets = x => (x < 0 ? `(${number(x)})` : number(x));

// ── Which pixels matter ────────────────────────────────────────────────────────────────────────

function showWhy(results) {
  const canvas = part("why");
  const names = document.querySelectorAll(".which");
  if (!results) {
    paintInk(canvas, new Float32Array(edge * edge));
    canvas.setAttribute("aria-label", "The gradient, when there is a digit");
    part("why-caption").textContent = "Draw a digit first, or take one.";
    for (const name of names) name.textContent = "the digit";
    return;
  }
  const output = chosenOutput(results);
  const start = new Float32Array(10);
  start[output] = 1;
  const gradient = backward(network, results, start).image;
  const most = largestOf(gradient);
  paintSigned(canvas, gradient, most);
  outline(canvas, image);
  for (const name of names) name.textContent = output;
  if (most === 0) {
    part("why-caption").textContent = `All slopes of output ${output} are 0 for this digit.`;
    canvas.setAttribute("aria-label", part("why-caption").textContent);
    return;
  }
  const [least, greatest] = [Math.min(...gradient), Math.max(...gradient)].map(x => number(x));
  part("why-caption").textContent =
    `The slopes of output ${output}: the smallest is ${least}, the largest ${greatest}. ` +
    `The colour scale goes from −${number(most)} (blue) to ${number(most)} (orange).`;
  canvas.setAttribute(
    "aria-label",
    `The gradient of output ${output}. Ink raises it most ${pixelInWords(gradient, Math.max)}, ` +
      `and lowers it most ${pixelInWords(gradient, Math.min)}.`,
  );
}

function lookAtSlopes() {
  show();
  if (!image) return say("Draw a digit first, or take one: section 4 shows its slopes.");
  return say(`Section 4 shows the slopes of output ${chosenOutput(forward(network, image))}.`);
}

function pixelInWords(gradient, extreme) {
  const slope = gradient.reduce((a, b) => extreme(a, b));
  const pixel = gradient.indexOf(slope);
  const [row, column] = [Math.floor(pixel / edge), pixel % edge];
  return `in row ${row}, column ${column}, where the slope is ${number(slope)}`;
}

// ── Steps ──────────────────────────────────────────────────────────────────────────────────────

function teach() {
  if (!image) return say("There is no digit to learn from: draw one, or take a test digit.");
  if (part("label").value === "") {
    part("label").focus();
    return say("Say first which digit this is.");
  }
  const rate = Number(part("rate").value);
  if (!(rate > 0 && rate < Infinity)) return say("A learning rate must be a number above 0.");
  const label = Number(part("label").value);
  const before = network.map(layer => ({
    ...layer, weight: layer.weight.slice(), bias: layer.bias.slice(),
  }));
  const first = lessonOn(label, null, stepsSinceTraining);
  const update = step(network, image, label, rate);
  const after = lessonOn(label, lengthOf(update), stepsSinceTraining + 1);
  if (!after.probabilities.every(Number.isFinite)) {
    network = before;
    return say("With this rate the numbers become too large to compute with. The step is undone.");
  }
  if (lessons.length === 0) lessons.push(first);
  lessons.push(after);
  updates = update;
  stepsSinceTraining++;
  show();
  return say(lessonInWords(label, rate));
}

// What the network makes of the image now, after so many steps.
function lessonOn(label, length, steps) {
  const outputs = forward(network, image).at(-1);
  const probabilities = softmax(outputs);
  const [loss, answer] = [lossOf(outputs, label), answerOf(outputs)];
  return { label, length, steps, probabilities, loss, answer };
}

const isKnown = ({ loss }) => loss < 0.001; // a probability above 99.9%

function lessonInWords(label, rate) {
  const [before, after] = lessons.slice(-2);
  const start = `Step ${stepsSinceTraining}:`;
  if (isKnown(before) && isKnown(after)) {
    return `${start} the network knows this digit already, so there is hardly anything to learn.`;
  }
  const loss = `the loss ${changeInWords(before.loss, after.loss, number)}`;
  if (loss.includes("rose")) {
    const shorter = Number((rate / 10).toPrecision(2));
    return `${start} ${loss}: the step was too long. Reset, and try a rate of ${shorter}.`;
  }
  const [from, to] = [before, after].map(({ probabilities }) => probabilities[label]);
  const change = changeInWords(from, to, percentInWords);
  return `${start} ${loss}, the probability of ${label} ${change}.`;
}

// If both look alike, say "stays": a loss that goes "from 1.48 to 1.48" looks like a fault.
function changeInWords(from, to, inWords) {
  if (inWords(from) === inWords(to)) return `stays at ${inWords(from)}`;
  return `${to > from ? "rose" : "fell"} from ${inWords(from)} to ${inWords(to)}`;
}

// Steps toward another digit begin a table of their own.
function changeLabel() {
  use(image, testPlace);
  const label = part("label").value;
  if (label === "") return say("Say which digit this is, before you teach it.");
  return say(`A step will teach the network that this digit is ${withArticle(Number(label))}.`);
}

// All elements of an update, layer by layer, the weights before the biases.
const elementsOf = update => update.flatMap(({ weight, bias }) => [...weight, ...bias]);
const squares = numbers => numbers.reduce((sum, x) => sum + x * x, 0);
const lengthOf = update => Math.sqrt(squares(elementsOf(update)));

function showLesson() {
  part("lesson").hidden = lessons.length === 0;
  if (lessons.length === 0) return;
  const { label } = lessons[0];
  const [before, after] = lessons.slice(-2);
  part("taught-label").textContent = label;
  drawBars(before.probabilities, after);
  document.querySelector("#steps tbody").replaceChildren();
  addLesson(lessons[0]);
  const last = lessons.slice(1).slice(-5); // there is room for the first and the last
  if (last.length < lessons.length - 1) addLessonRow(["…", "", "", "", ""]);
  last.forEach(addLesson);
  showUpdate();
}

function addLesson({ label, length, steps, probabilities, loss, answer }) {
  const broken = x => number(x).replace("\u00a0×", " ×"); // the narrowest window needs two lines
  const moved = length === null ? "" : broken(length);
  addLessonRow([steps, broken(loss), percent(probabilities[label]), answer, moved]);
}

function addLessonRow(texts) {
  addRow(document.querySelector("#steps tbody"), texts);
}

function drawBars(before, after) {
  const picture = part("bars");
  picture.replaceChildren();
  const [left, width, room] = [20, 155, 23];
  const listed = [];
  before.forEach((p, digit) => {
    const q = after.probabilities[digit];
    const y = 3 + digit * room;
    const look = { class: digit === after.answer ? "said" : "" };
    const words = `${percent(p)} → ${percent(q)}`;
    const [wide, wideAfter] = [p, q].map(each => Math.max(width * each, 1));
    picture.append(
      shape("text", { x: 0, y: y + 14, ...look }, digit),
      shape("rect", { x: left, y, width: wide, height: 8, class: "before" }),
      shape("rect", { x: left, y: y + 9, width: wideAfter, height: 8, class: "after" }),
      shape("text", { x: left + width + 8, y: y + 14, ...look }, words),
    );
    listed.push(`${digit}: ${words}`);
  });
  picture.setAttribute("aria-label", `Probabilities before and after: ${listed.join(", ")}`);
}

function showUpdate() {
  const all = elementsOf(updates);
  const order = all.map((_, i) => i).sort((a, b) => Math.abs(all[b]) - Math.abs(all[a]));
  const length = Math.sqrt(squares(all));
  if (length === 0) {
    part("update-words").textContent = "All its numbers are 0: the step changed nothing.";
    part("updates").replaceChildren();
    part("updates-caption").textContent = "";
    return;
  }
  const hundredth = order.slice(0, Math.round(all.length / 100)).map(i => all[i]);
  const share = percentInWords(squares(hundredth) / squares(all));
  const zeros = all.filter(x => x === 0).length;
  const largest = order.slice(0, 3).map(i => `${number(all[i])} (${elementName(i)})`);
  part("update-words").textContent =
    `The update is what the step added: ${inThousands(all.length)} numbers, one for each weight ` +
    "and bias. Its length is the square root of the sum of their squares, as the length of an " +
    `arrow is in a plane: ${number(length)}. The largest numbers are ${largest.join(", ")}. They ` +
    `do not count alike: the largest 1% make up ${share} of the sum of squares, and ` +
    `${inThousands(zeros)} are 0.`;
  showImagesOfUpdate();
}

const inThousands = count => count.toLocaleString("en");

// What the element of an update belongs to.
function elementName(i) {
  let left = i;
  for (let layer = 0; layer < network.length; layer++) {
    const { inputs, outputs } = network[layer];
    if (left < inputs * outputs) {
      const unit = Math.floor(left / inputs);
      return `weight from ${inputName(layer, left % inputs)} to ${unitName(layer, unit)}`;
    }
    left -= inputs * outputs;
    if (left < outputs) return `bias of ${unitName(layer, left)}`;
    left -= outputs;
  }
  return "";
}

function inputName(layer, input) {
  if (layer > 0) return unitName(layer - 1, input);
  return `the pixel in row ${Math.floor(input / edge)}, column ${input % edge}`;
}

function showImagesOfUpdate() {
  const { weight } = updates[0];
  const most = largestOf(weight);
  const figures = [];
  for (let unit = 0; unit < network[0].outputs; unit++) {
    const row = weight.subarray(unit * edge * edge, (unit + 1) * edge * edge);
    figures.push(signedFigure(row, most, network.length > 1 ? `unit ${unit}` : `output ${unit}`));
  }
  part("updates").replaceChildren(...figures);
  if (most === 0) {
    part("updates-caption").textContent = "It changed none of the weights from the 784 pixels.";
    return;
  }
  part("updates-caption").textContent =
    "What the step added to the weights from the 784 pixels to each of these units. The colour " +
    `scale goes from −${number(most)} (blue) over 0 (white) to ${number(most)} (orange). It is ` +
    "0 where there is no ink, and in units that did not count for this image.";
}

// ── A digit is there ───────────────────────────────────────────────────────────────────────────

function use(newImage, newPlace) {
  image = newImage;
  testPlace = newPlace;
  part("place").value = newPlace ?? "";
  lessons = [];
  updates = null;
  writeAddress();
  show();
}

function take(count) {
  const digits = labels.length;
  const chosen = (count + digits) % digits; // before the first comes the last
  const digit = testDigit(chosen);
  paintOnPaper(digit);
  part("label").value = labels[chosen];
  use(digit, chosen);
  say(answerInWords());
}

function takeTyped() {
  const typed = part("place").value;
  part("place").value = testPlace ?? ""; // what is shown, if there is no such digit
  takeNumber(typed);
}

function takeNumber(text) {
  const asked = text.trim() === "" ? NaN : Number(text);
  if (labels[asked] !== undefined) return take(asked);
  const still = testPlace === null ? "" : ` This is still test digit ${testPlace}.`;
  return say(`Test digits have the whole numbers from 0 to ${labels.length - 1}.${still}`);
}

// The address names the test digit, so that it can be sent to somebody. (A page within a notebook
// has no address.)
function writeAddress() {
  if (location.protocol === "about:") return;
  const wanted = testPlace === null ? "" : `#digit=${testPlace}`;
  if (location.hash === wanted) return;
  history.replaceState(null, "", location.href.split("#")[0] + wanted);
}

function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1)).get("digit");
  if (asked !== null) takeNumber(asked);
}

function takeMisread() {
  const answers = answersOnTestDigits(network);
  const wrong = [...labels.keys()].filter(place => answers[place] !== labels[place]);
  if (wrong.length === 0) return say("The network reads all test digits.");
  return take(wrong[Math.floor(Math.random() * wrong.length)]);
}

// ── Drawing ────────────────────────────────────────────────────────────────────────────────────

const drawing = part("drawing");
const pen = drawing.getContext("2d", { willReadFrequently: true });
const thickness = 22; // of the pen, in pixels of the drawing
const margin = 20; // which the arrow keys leave, so that the pen stays on the paper
let isDrawing = false;
let isWaiting = false; // to read the drawing
let penAt = [drawing.width / 2, drawing.height / 2];

function clearPaper() {
  pen.fillStyle = "white";
  pen.fillRect(0, 0, drawing.width, drawing.height);
}

function paintOnPaper(digit) {
  paintInk(drawing, digit);
}

// A test digit is not drawn on: the drawing begins on new paper.
function beginToDraw() {
  if (testPlace === null && image !== null) return;
  clearPaper();
  part("label").value = "";
  testPlace = null;
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
  pen.moveTo(...penAt);
  pen.lineTo(x, y);
  pen.stroke();
  penAt = [x, y];
}

function readDrawing() {
  const { data: colours } = pen.getImageData(0, 0, drawing.width, drawing.height);
  const ink = new Float32Array(drawing.width * drawing.height);
  for (let i = 0; i < ink.length; i++) ink[i] = 1 - colours[4 * i] / 255;
  use(prepared(ink, drawing.width, drawing.height), null);
}

// A pen moves more often than a screen can show.
function readSoon() {
  if (isWaiting) return;
  isWaiting = true;
  requestAnimationFrame(() => {
    isWaiting = false;
    if (isDrawing) readDrawing();
  });
}

function placeOf(event) {
  const box = drawing.getBoundingClientRect();
  const scale = drawing.width / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
}

drawing.onpointerdown = event => {
  if (!event.isPrimary || event.button !== 0) return; // a second finger, or another button
  beginToDraw();
  part("pen-mark").hidden = true;
  isDrawing = true;
  drawing.setPointerCapture(event.pointerId);
  penAt = placeOf(event);
  drawTo(...penAt);
  readDrawing();
};
drawing.onpointermove = event => {
  if (!isDrawing || !event.isPrimary) return;
  drawTo(...placeOf(event));
  readSoon();
};
// What it says at each move would be too much to listen to.
drawing.onpointerup = drawing.onpointercancel = event => {
  if (!isDrawing || !event.isPrimary) return;
  isDrawing = false;
  readDrawing();
  if (image) say(answerInWords());
};

const arrows = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] };
drawing.onkeydown = event => {
  if (event.ctrlKey || event.altKey || event.metaKey) return; // shortcuts of the browser
  const isDot = event.key === " ";
  if (!isDot && !(event.key in arrows)) return;
  event.preventDefault();
  const [right, down] = arrows[event.key] ?? [0, 0];
  const within = x => Math.min(Math.max(x, margin), drawing.width - margin);
  const [x, y] = [within(penAt[0] + right), within(penAt[1] + down)];
  if (isDot || event.shiftKey) {
    beginToDraw();
    drawTo(x, y);
    readDrawing();
    say(answerInWords());
  } else {
    penAt = [x, y];
    say(`The pen is at ${x} of ${drawing.width} across, ${y} down.`);
  }
  markPen();
};

// By keyboard one has to see where the pen is.
function markPen() {
  const mark = part("pen-mark");
  mark.hidden = false;
  mark.style.left = `${(100 * penAt[0]) / drawing.width}%`;
  mark.style.top = `${(100 * penAt[1]) / drawing.height}%`;
}

drawing.onfocus = () => {
  if (drawing.matches(":focus-visible")) markPen();
};
drawing.onblur = () => (part("pen-mark").hidden = true);

// ── Controls ───────────────────────────────────────────────────────────────────────────────────

part("clear").onclick = () => {
  clearPaper();
  part("label").value = "";
  use(null, null);
  say("The paper is empty. Draw a digit, or take a test digit.");
};
part("random").onclick = () => take(Math.floor(Math.random() * labels.length));
part("misread").onclick = takeMisread;
part("previous").onclick = () => take((testPlace ?? 0) - 1);
part("next").onclick = () => take((testPlace ?? -1) + 1);
part("place").onchange = takeTyped;
part("unit").onchange = lookInto;
part("which").onchange = lookAtSlopes;
part("label").onchange = changeLabel;
part("to-teach").onclick = event => {
  event.preventDefault(); // the address keeps the digit
  part("teach-title").scrollIntoView();
  part("label").focus({ preventScroll: true });
};
part("teach").onclick = teach;
part("reset").onclick = reset;
part("undo").onclick = () => {
  reset();
  drawing.focus(); // the button is gone
};

function reset() {
  network = trainedLayers();
  stepsSinceTraining = 0;
  countedAfter = null;
  part("price").textContent = "";
  use(image, testPlace);
  const answer = image ? ` It says ${answerOf(forward(network, image).at(-1))}.` : "";
  say(`The network is again as it was after training.${answer}`);
}

part("count").onclick = () => {
  const answers = answersOnTestDigits(network);
  const read = countRead(answers);
  const times = new Array(10).fill(0);
  for (const answer of answers) times[answer]++;
  const most = times.indexOf(Math.max(...times));
  const really = labels.filter(label => label === most).length;
  countedAfter = stepsSinceTraining;
  showChanged();
  const count = `It reads ${inThousands(read)} of ${inThousands(labels.length)}`;
  if (stepsSinceTraining === 0) {
    part("price").textContent = `${count}. Make steps, and count again.`;
    return;
  }
  part("price").textContent =
    `${count}, after ${inSteps(stepsSinceTraining)}. As trained, it read ` +
    `${inThousands(readAfterTraining)}. Its most frequent answer is ${most}, for ` +
    `${inThousands(times[most])} digits; ` +
    `${inThousands(really)} digits are ${withArticle(most)}.`;
};

part("network").onclick = event => {
  const picture = part("network");
  const corner = picture.getBoundingClientRect();
  const scale = places().width / corner.width;
  const [x, y] = [(event.clientX - corner.left) * scale, (event.clientY - corner.top) * scale];
  const distance = ({ layer, unit }) => {
    const [atX, atY] = unitPlace(layer, unit);
    return Math.hypot(atX - x, atY - y);
  };
  const units = network.flatMap(({ outputs }, layer) =>
    Array.from({ length: outputs }, (_, unit) => ({ layer, unit })),
  );
  units.sort((a, b) => distance(a) - distance(b));
  if (distance(units[0]) > 30) return;
  part("unit").value = `${units[0].layer} ${units[0].unit}`;
  lookInto();
};
narrow.onchange = show;

function fillChoices() {
  part("label").append(new Option("choose", ""));
  part("which").append(new Option("the network's answer", "answer"));
  part("unit").append(new Option("the output for its answer", "answer"));
  for (let digit = 0; digit < 10; digit++) {
    part("label").append(new Option(digit, digit));
    part("which").append(new Option(digit, digit));
  }
  for (let layer = network.length - 1; layer >= 0; layer--) {
    for (let unit = 0; unit < network[layer].outputs; unit++) {
      part("unit").append(new Option(unitName(layer, unit), `${layer} ${unit}`));
    }
  }
}

fillChoices();
clearPaper();
document.body.className = "ready";
show();
say("Draw a digit, or take a test digit.");
window.onhashchange = readAddress;
readAddress();
