
// What happens on the page: the reader draws, chooses, looks into the network, and teaches it.

// ── Numbers and names, as one reads them ───────────────────────────────────────────────────────

const withDecimals = (x, count) =>
  x.toLocaleString("en", { minimumFractionDigits: count, maximumFractionDigits: count });
const inThousands = count => withDecimals(count, 0);

// Such as 0.0123, −4.56, 12,345 and 7.89 × 10⁻¹².
function number(x, digits = 3) {
  const isPlain = Math.abs(x) >= 1e-3 && Math.abs(x) < 1e6;
  if (x === 0) return "0";
  if (isPlain) return withDecimals(x, decimalsOf(x, digits)).replace("-", "−");
  const [factor, power] = x.toExponential(digits - 1).split("e");
  return `${factor.replace("-", "−")}\u00a0×\u00a0${powerOfTen(power)}`;
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

const scaleInWords = most =>
  `from −${number(most)} (blue) over 0 (white) to ${number(most)} (orange)`;

const withArticle = digit => (digit === 8 ? "an 8" : `a ${digit}`);

// The units are counted from 0, as their rows in the matrix of weights are.
function unitName(layer, unit) {
  if (layer === network.length - 1) return `output ${unit}`;
  return `unit ${unit} of layer ${layer + 1}`;
}

const bendNames = { relu: "ReLU", tanh: "tanh", sigmoid: "sigmoid" };

// ── What is shown now ──────────────────────────────────────────────────────────────────────────

let network = trainedLayers();
let image = null; // the 784 pixels; null, if there is no digit
let testPlace = null; // the number of the test digit; null, if the digit is drawn
let lessons = []; // the network on this image, before and after each step
let updates = null; // of the last step
let stepsSinceTraining = 0;
let countedAfter = null; // how many steps; null, if the test digits are not counted
const readAfterTraining = countRead(answersOnTestDigits(network));

// Words, or also links to the sections.
function say(...content) {
  part("line").replaceChildren(...content);
}

// A link does not change the address, which keeps the digit.
function goTo(title, control) {
  part(title).scrollIntoView();
  part(control).focus({ preventScroll: true });
}

function sectionLink(text, title, control) {
  const link = document.createElement("a");
  link.textContent = text;
  link.href = `#${title}`;
  link.onclick = event => {
    event.preventDefault();
    goTo(title, control);
  };
  return link;
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
    ? `Your steps since training: ${inThousands(stepsSinceTraining)}.`
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
  const link = sectionLink("Section 3", "inside-title", "unit");
  return say(link, ` shows what made ${unitName(layer, unit)}.`);
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
    signedFigure(weights, most, `its weights: the colour scale goes ${scaleInWords(most)}`),
    signedFigure(products, most, "ink × weight, on the same scale"),
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
    `The colour scale goes ${scaleInWords(most)}.`;
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
  const rate = typedRate();
  if (rate === null) return undefined;
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
  return say(...lessonInWords(label, rate, lengthOf(before)));
}

// The learning rate, or null, if it is none.
function typedRate() {
  const field = part("rate");
  const typed = field.value.trim();
  const rate = numberTyped(typed);
  if (rate > 0 && rate < Infinity && !isAmbiguous(typed)) {
    if (typed.includes(",")) field.value = rate;
    return rate;
  }
  field.focus();
  if (isAmbiguous(typed)) {
    say(ambiguityInWords(typed));
    return null;
  }
  const found = typed === "" ? "" : `, and not “${typed}”`;
  say(`A learning rate must be a number above 0, such as ${field.defaultValue}${found}.`);
  return null;
}

// What the network makes of the image now, after so many steps.
function lessonOn(label, length, steps) {
  const outputs = forward(network, image).at(-1);
  const probabilities = softmax(outputs);
  const [loss, answer] = [lossOf(outputs, label), answerOf(outputs)];
  return { label, length, steps, probabilities, loss, answer };
}

const isKnown = ({ loss }) => loss < 0.001; // a probability above 99.9%

function lessonInWords(label, rate, lengthOfWeights) {
  const [before, after] = lessons.slice(-2);
  const start = `Step ${stepsSinceTraining}:`;
  // As measured once: after a move of 0.01 it reads 1% fewer of the test digits, of 0.1 a quarter.
  const move = after.length / lengthOfWeights;
  const [length, moved] = [lengthOfWeights, after.length].map(each => number(each));
  const far = `the weights, of length ${length}, moved by ${moved}. `;
  const price = ["The cost: ", sectionLink("section 6", "price-title", "count"), "."];
  if (isKnown(before) && isKnown(after)) {
    if (move > 0.01) return [`${start} the loss was tiny, but at this rate ${far}`, ...price];
    return [`${start} the network knows this digit already, and the step hardly changed it.`];
  }
  const loss = `the loss ${changeInWords(before.loss, after.loss, number)}`;
  if (loss.includes("rose")) {
    const shorter = Number((rate / 10).toPrecision(2));
    return [`${start} ${loss}: the step was too long. Reset, and try a rate of ${shorter}.`];
  }
  if (move > 0.2) return [`${start} ${loss}, but ${far}`, ...price];
  const [from, to] = [before, after].map(({ probabilities }) => probabilities[label]);
  const change = changeInWords(from, to, percentInWords);
  return [`${start} ${loss}, the probability of ${label} ${change}.`];
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
    `scale goes ${scaleInWords(most)}. It is 0 where there is no ink, and in units that did not ` +
    "count for this image.";
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
  event.preventDefault();
  goTo("teach-title", "label");
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
    `${inThousands(times[most])} digits; ${really < times[most] ? "only " : ""}` +
    `${inThousands(really)} of the test digits really are ${withArticle(most)}.`;
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
