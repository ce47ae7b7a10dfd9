
// What the page draws: images of 28 × 28 numbers, and the network with its units, lines and bars.

const svgNamespace = "http://www.w3.org/2000/svg";

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
    ? { width: 330, height: 400, first: 32, last: 156, bar: 30, barWidth: 70, radius: 8 }
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

// Beside each circle stands its unit's number; if there is no room for all, beside some.
function drawUnitNumbers(picture, layer) {
  const { outputs } = network[layer];
  const [[x, first], [, second]] = [unitPlace(layer, 0), unitPlace(layer, 1)];
  const every = Math.ceil(12 / (second - first));
  for (let unit = 0; unit < outputs; unit += every) {
    const [, y] = unitPlace(layer, unit);
    const look = { x: x - radiusOf(layer) - 6, y: y + 4, class: "number" };
    picture.append(shape("text", look, unit));
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
      const value = results ? `: ${number(shown[unit])}` : "";
      circle.append(shape("title", {}, unitName(layer, unit) + value));
      picture.append(shape("circle", { cx, cy, r, class: "ground" }), circle);
    }
    if (layer + 1 < network.length) drawUnitNumbers(picture, layer); // outputs are by the bars
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
