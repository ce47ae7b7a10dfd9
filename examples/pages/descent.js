"use strict";

// The loss is a bowl: least + ½ d · H d, where d is the distance from the lowest point, and H, the
// Hessian, holds the second derivatives. The slopes are H d. microgd computed the lowest point, H
// and its largest curvature λ, for each bowl with one weight (w, at the best b) and with two.
//
// What the page shows follows from `state` alone. Each change of it ends in `show`.

const part = id => document.getElementById(id);
const { bowls, x: xName, yUnit } = JSON.parse(part("data").textContent);
const names = Object.keys(bowls);
const most = 200; // steps
const [smallestRate, largestRate] = [1e-9, 1e6];
const pace = 450; // milliseconds from step to step, while it runs
const state = { view: "one", bowl: names[0], rate: 1, w: 0, b: 0, steps: 0, zone: false };
let timer = null; // null unless it runs

// ── The bowl in numbers ────────────────────────────────────────────────────────────────────────

const isOne = () => state.view === "one";
const unit = () => bowls[state.bowl].unit;
const loss = () => bowls[state.bowl][state.view];
const zoneEnd = ({ curvature }) => 2 / curvature;
const bestRate = ({ curvature }) => 1 / curvature; // a step is as long as the distance

function slopesAt(point) {
  const { w, b, hessian } = loss();
  const [dw, db] = [point.w - w, point.b - b];
  return {
    w: hessian[0][0] * dw + hessian[0][1] * db,
    b: hessian[1][0] * dw + hessian[1][1] * db,
  };
}

// How far the loss is above the smallest.
function heightAt(point) {
  const { w, b } = loss();
  const slopes = slopesAt(point);
  return 0.5 * ((point.w - w) * slopes.w + (point.b - b) * slopes.b);
}

const lossAt = point => loss().least + heightAt(point);

// With one weight, b stays where it belongs.
function updateAt(point, rate) {
  const slopes = slopesAt(point);
  return { w: -rate * slopes.w, b: isOne() ? 0 : -rate * slopes.b };
}

function next(point, rate) {
  const update = updateAt(point, rate);
  return { w: point.w + update.w, b: point.b + update.b };
}

function startPoint() {
  return { w: state.w, b: isOne() ? loss().b : state.b };
}

// Further away than this, numbers would soon be too large to compute with.
const isLost = point => !(lossAt(point) < 1e15);

function pathOf(rate, steps) {
  const path = [startPoint()];
  while (path.length <= steps && !isLost(path.at(-1))) path.push(next(path.at(-1), rate));
  return path;
}

const hasArrived = point => lossAt(point) <= 1.01 * loss().least;

// Which way a step led: "toward" the minimum, "away" from it, or neither: it "stays" as far.
// With one weight, the distance is smaller where the loss is.
function wayOf(before, after) {
  const [old, now] = [heightAt(before), heightAt(after)];
  const rounding = 1e-8 * Math.max(old, now) + 1e-26 * loss().least;
  if (Math.abs(now - old) <= rounding) return "stays";
  return now < old ? "toward" : "away";
}

function goesPast(before, after) {
  const [old, now] = [before.w - loss().w, after.w - loss().w];
  return old * now < 0 && Math.abs(now) > 1e-6 * Math.abs(old);
}

// The number of steps from the start, or infinity above a limit.
function stepsToArrive(rate) {
  let point = startPoint();
  for (let steps = 0; steps <= 100000 && !isLost(point); steps++) {
    if (hasArrived(point)) return steps;
    point = next(point, rate);
  }
  return Infinity;
}

// ── Words ──────────────────────────────────────────────────────────────────────────────────────

function short(x, digits = 4) {
  const size = Math.abs(x);
  if (size < 1e-12) return "0";
  const isLong = size >= 1e5 || size < 1e-4;
  const text = isLong ? x.toExponential(digits - 2) : String(Number(x.toPrecision(digits)));
  return text.replaceAll("-", "−").replace("+", "");
}

// As a factor: a negative number in brackets.
const factor = x => (short(x).startsWith("−") ? `(${short(x)})` : short(x));
const pair = ({ w, b }) => `(${short(w)}, ${short(b)})`;
const lossInWords = point => `Loss: ${short(lossAt(point))} ${yUnit}².`;
const stepsInWords = n => (n === 1 ? "1 step" : `${n.toLocaleString("en")} steps`);

function sentence(path) {
  const said = path.length === 1 ? startInWords(path[0]) : stepInWords(path);
  return [said, lossInWords(path.at(-1)), endInWords(path)].filter(Boolean).join(" ");
}

function startInWords(point) {
  const slopes = slopesAt(point);
  const update = updateAt(point, state.rate);
  if (!isOne()) {
    return (
      `Start: w = ${short(point.w)}, b = ${short(point.b)}. The gradient there is ` +
      `${pair(slopes)}. A step changes (w, b) by −${short(state.rate)} · gradient = ` +
      `${pair(update)}.`
    );
  }
  return (
    `Start: w = ${short(point.w)} ${yUnit} per ${unit()}. The slope there is ${short(slopes.w)}. ` +
    `A step moves w by −${short(state.rate)} · ${factor(slopes.w)} = ${short(update.w)}.`
  );
}

function stepInWords(path) {
  const [before, after] = path.slice(-2);
  const slopes = slopesAt(before);
  const update = updateAt(before, state.rate);
  const way = wayInWords(before, after);
  if (!isOne()) {
    return (
      `Step ${path.length - 1}: the gradient was ${pair(slopes)}, so (w, b) changes by ` +
      `−${short(state.rate)} · gradient = ${pair(update)}, to ${pair(after)}: ${way}.`
    );
  }
  return (
    `Step ${path.length - 1}: w was ${short(before.w)} and the slope ${short(slopes.w)}, so w ` +
    `moves by −${short(state.rate)} · ${factor(slopes.w)} = ${short(update.w)}, ` +
    `to ${short(after.w)}: ${way}.`
  );
}

const ways = {
  toward: "toward the minimum",
  away: "away from the minimum",
  stays: "it stays at the same distance from the minimum",
};
const waysPast = {
  toward: "past the minimum, but nearer to it",
  away: "past the minimum, and farther away from it",
  stays: "past the minimum, and it stays at the same distance",
};
const waysOfTwo = {
  toward: "downhill",
  away: "uphill, away from the minimum",
  stays: "the loss stays the same",
};

function wayInWords(before, after) {
  const way = wayOf(before, after);
  if (!isOne()) return waysOfTwo[way];
  return goesPast(before, after) ? waysPast[way] : ways[way];
}

function endInWords(path) {
  if (hasArrived(path.at(-1))) return "Arrived: that is within 1% of the smallest loss.";
  if (isLost(path.at(-1))) return "That is so far away that the page stops here.";
  if (path.length > most) return `The page stops after ${most} steps.`;
  return "";
}

function zoneInWords() {
  const { curvature } = loss();
  const share = state.rate / zoneEnd(loss());
  const kept = 1 - state.rate * curvature;
  const whose = isOne() ? "The curvature λ" : "In the bowl's steepest direction, the curvature λ";
  const where = isOne() ? "" : " in that direction";
  return (
    `${whose} is ${short(curvature)}: the slope is λ · distance from the minimum. So a step ` +
    `multiplies the distance${where} by 1 − rate · λ = ${short(kept)}. The zone ends where that ` +
    `is −1: at a rate of 2/λ = ${short(zoneEnd(loss()))}. Your rate is ${short(share)} times that.`
  );
}

function viewInWords() {
  if (isOne()) {
    return `Here, ${xName} counts from its mean, and b is the best there is.`;
  }
  const { below } = bowls[state.bowl];
  return (
    `Here, ${xName} counts from ${short(below)} ${unit()} below its mean. So the best b depends ` +
    "on w: the bowl is tilted, and it has another λ than with one weight. The axes have " +
    "different units, so an arrow straight downhill need not cross the lines at right angles."
  );
}

function keyInWords() {
  const arrows = "Solid blue arrows lead nearer to the minimum, dashed orange ones away from it.";
  if (isOne()) return `The short line on each dot has the slope there. ${arrows}`;
  return (
    `✕ is the minimum. All along a line, the loss is the same; its number is in ${yUnit}². The ` +
    "dotted lines are the elements of the last update. Solid blue arrows lead downhill, " +
    "dashed orange ones uphill."
  );
}

// ── Places in the picture ──────────────────────────────────────────────────────────────────────

let frame = { width: 640, height: 420, left: 62, right: 626, top: 14, bottom: 372 };

// The picture is as wide as the page has room for, so that its words have their true size.
function measure() {
  const width = Math.round(Math.min(Math.max(part("stage").clientWidth, 280), 1000));
  const height = Math.round(Math.min(Math.max(0.66 * width, 300), 520));
  frame = { width, height, left: 58, right: width - 14, top: 14, bottom: height - 48 };
  part("picture").setAttribute("viewBox", `0 0 ${width} ${height}`);
}

// What there is room for: weights around the minimum, and in height the loss of one weight.
function ranges() {
  const { w, b, scale } = loss();
  const around = (middle, reach) => [middle - reach, middle + reach];
  const found = { w: around(w, 2.6 * scale.w), b: around(b, 2.6 * scale.b) };
  return { ...found, loss: [0, 1.05 * lossAt({ w: found.w[0], b })] };
}

function place(x, y) {
  const { w: across, [isOne() ? "loss" : "b"]: up } = ranges();
  const right = (x - across[0]) / (across[1] - across[0]);
  const high = (y - up[0]) / (up[1] - up[0]);
  return [
    frame.left + right * (frame.right - frame.left),
    frame.bottom - high * (frame.bottom - frame.top),
  ];
}

// A drawing cannot go much further out than it is large.
function placeOf(point) {
  const [x, y] = place(point.w, isOne() ? lossAt(point) : point.b);
  const within = pixels => Math.min(Math.max(pixels, -20000), 20000);
  return [within(x), within(y)];
}

function isOutside(point) {
  const [x, y] = placeOf(point);
  return x < frame.left || x > frame.right || y < frame.top || y > frame.bottom;
}

// Round numbers between two, at most seven of them.
function ticks([low, high]) {
  const power = 10 ** Math.floor(Math.log10((high - low) / 7));
  const size = [1, 2, 5, 10].map(n => n * power).find(size => (high - low) / size <= 7);
  const found = [];
  for (let n = Math.ceil(low / size); n * size <= high; n++) found.push(n * size);
  return found;
}

// ── Drawing ────────────────────────────────────────────────────────────────────────────────────

function shape(within, name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  within.append(made);
  return made;
}

const draw = (name, attributes, text) => shape(part("drawing"), name, attributes, text);

function drawLine([x1, y1], [x2, y2], kind) {
  draw("line", { x1, y1, x2, y2, class: kind, "clip-path": "url(#inside)" });
}

function drawPicture(path, isNew) {
  part("drawing").replaceChildren();
  drawClip();
  drawAxes();
  if (isOne()) drawCurve();
  else drawContours();
  drawMoves(path, isNew);
  if (isOne()) path.forEach((point, n) => drawTangent(point, n === path.length - 1));
  drawDots(path);
  if (!isOne() && path.length > 1) drawElements(path.at(-2), path.at(-1));
  if (path.length === 1) drawHint(path[0]);
  drawNote(path);
}

function drawHint(point) {
  const [x, y] = placeOf(point);
  const isLeft = x < (frame.left + frame.right) / 2;
  const look = { y: y - 16, "text-anchor": isLeft ? "start" : "end", class: "number" };
  draw("text", { x: x + (isLeft ? 14 : -14), ...look }, "start: drag it");
}

function drawClip() {
  const { left, right, top, bottom } = frame;
  const size = { width: right - left, height: bottom - top };
  shape(draw("clipPath", { id: "inside" }), "rect", { x: left, y: top, ...size });
}

function drawAxes() {
  const { left, right, top, bottom } = frame;
  const { w: across, [isOne() ? "loss" : "b"]: up } = ranges();
  draw("line", { x1: left, y1: bottom, x2: right, y2: bottom, class: "axis" });
  draw("line", { x1: left, y1: bottom, x2: left, y2: top, class: "axis" });
  for (const w of ticks(across)) {
    const [x] = place(w, up[0]);
    draw("line", { x1: x, y1: bottom, x2: x, y2: bottom + 5, class: "tick" });
    draw("text", { x, y: bottom + 19, "text-anchor": "middle" }, short(w));
  }
  for (const value of ticks(up)) {
    const [, y] = place(across[0], value);
    draw("line", { x1: left - 5, y1: y, x2: left, y2: y, class: "tick" });
    draw("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, short(value));
  }
  const middle = { x: (left + right) / 2, y: bottom + 40, "text-anchor": "middle" };
  draw("text", middle, `w (${yUnit} per ${unit()})`);
  const height = (top + bottom) / 2;
  const turned = { "text-anchor": "middle", transform: `rotate(-90 13 ${height})` };
  draw("text", { x: 13, y: height, ...turned }, isOne() ? `loss (${yUnit}²)` : `b (${yUnit})`);
}

function drawCurve() {
  const { w, b } = loss();
  const [low, high] = ranges().w;
  const points = [];
  for (let n = 0; n <= 120; n++) {
    const at = low + (n / 120) * (high - low);
    points.push(place(at, lossAt({ w: at, b })).join());
  }
  draw("polyline", { points: points.join(" "), class: "curve" });
  const [x] = place(w, 0);
  drawLine([x, frame.top + 16], [x, frame.bottom], "minimum");
  const above = { x, y: frame.top + 11, "text-anchor": "middle", class: "number" };
  draw("text", above, `minimum: w = ${short(w)}`);
}

// Ellipses on which the loss is the same.
function drawContours() {
  const { w, b, least } = loss();
  const highest = heightAt({ w: ranges().w[0], b: ranges().b[0] });
  const numbered = [];
  for (const share of [0.01, 0.04, 0.09, 0.16, 0.3, 0.5, 0.75]) {
    const ellipse = ellipseAt(share * highest);
    const points = ellipse.map(point => placeOf(point).join()).join(" ");
    draw("polyline", { points, class: "contour", "clip-path": "url(#inside)" });
    numbered.push([ellipse, short(least + share * highest, 2)]);
  }
  for (const [ellipse, height] of numbered) {
    const [x, y] = ellipse.map(placeOf).reduce((one, two) => (one[1] < two[1] ? one : two));
    if (y > frame.top + 12 && x < frame.right - 30) {
      const at = { x, y: y + 4, "text-anchor": "middle", class: "height number" };
      draw("text", at, height);
    }
  }
  const [x, y] = place(w, b);
  draw("text", { x, y: y + 5, "text-anchor": "middle" }, "✕");
}

// With H = L Lᵀ, the points are at d = L⁻ᵀ (cos, sin) · √(2 · height) from the lowest point.
function ellipseAt(height) {
  const { w, b, hessian } = loss();
  const l11 = Math.sqrt(hessian[0][0]);
  const l21 = hessian[0][1] / l11;
  const l22 = Math.sqrt(hessian[1][1] - l21 * l21);
  const radius = Math.sqrt(2 * height);
  const points = [];
  for (let n = 0; n <= 120; n++) {
    const angle = (2 * Math.PI * n) / 120;
    const db = (radius * Math.sin(angle)) / l22;
    const dw = (radius * Math.cos(angle) - l21 * db) / l11;
    points.push({ w: w + dw, b: b + db });
  }
  return points;
}

function drawTangent(point, isLast) {
  if (isOutside(point)) return;
  const [x, y] = placeOf(point);
  const [perWeight, perLoss] = perUnit();
  const rise = (slopesAt(point).w * perLoss) / perWeight;
  const reach = (isLast ? 40 : 28) / Math.hypot(1, rise);
  const ends = [[x - reach, y + reach * rise], [x + reach, y - reach * rise]];
  drawLine(...ends, isLast ? "tangent last" : "tangent");
}

// How many pixels long one unit of each axis is.
function perUnit() {
  const [x0, y0] = place(0, 0);
  const [x1, y1] = place(1, 1);
  return [x1 - x0, y0 - y1];
}

function drawMoves(path, isNew) {
  path.slice(1).forEach((after, n) => drawMove(path[n], after, isNew && n === path.length - 2));
}

function drawMove(before, after, isNew) {
  const [x1, y1] = placeOf(before);
  const [x2, y2] = placeOf(after);
  const length = Math.hypot(x2 - x1, y2 - y1);
  const kind = ["move", wayOf(before, after), isNew ? "new" : ""].join(" ");
  const clipped = draw("g", { "clip-path": "url(#inside)" });
  const move = shape(clipped, "g", { class: kind });
  move.style.transformOrigin = `${x1}px ${y1}px`; // it grows from there
  shape(move, "line", { x1, y1, x2, y2 });
  if (length < 14) return; // too short for a head
  const [dx, dy] = [(x2 - x1) / length, (y2 - y1) / length];
  const back = [x2 - 15 * dx, y2 - 15 * dy];
  const corners = [
    [x2 - 5 * dx, y2 - 5 * dy],
    [back[0] - 5 * dy, back[1] + 5 * dx],
    [back[0] + 5 * dy, back[1] - 5 * dx],
  ];
  shape(move, "polygon", { points: corners.map(corner => corner.join()).join(" ") });
}

function drawDots(path) {
  path.forEach((point, n) => {
    if (isOutside(point)) return;
    const [cx, cy] = placeOf(point);
    const isAway = n > 0 && wayOf(path[n - 1], point) === "away";
    draw("circle", { cx, cy, r: 4.5, class: isAway ? "dot away" : "dot" });
  });
  drawNumbers(path);
}

// The last one first, and those after it only where there is room.
function drawNumbers(path) {
  const taken = [];
  const order = [path.length - 1, ...path.keys()].slice(0, path.length);
  for (const n of order) {
    if (isOutside(path[n])) continue;
    const [x, y] = placeOfNumber(path[n]);
    if (taken.some(other => Math.hypot(other[0] - x, other[1] - y) < 17)) continue;
    taken.push([x, y]);
    const kind = n === path.length - 1 ? "number last" : "number";
    draw("text", { x, y: y + 4, "text-anchor": "middle", class: kind }, n);
  }
}

// Outside the curve, or above the dot.
function placeOfNumber(point) {
  const [x, y] = placeOf(point);
  if (!isOne()) return [x, y - 14];
  const isLeft = point.w < loss().w;
  const outside = x + (isLeft ? -17 : 17);
  const hasRoom = outside > frame.left + 8 && outside < frame.right - 8;
  return [hasRoom ? outside : x + (isLeft ? 20 : -20), Math.min(y + 8, frame.bottom - 6)];
}

// The two elements of an update: how far it goes to the right, and how far up. They are legs of a
// triangle, and their numbers stand outside it, where there is room.
function drawElements(before, after) {
  if (isOutside(before) || isOutside(after)) return;
  const [x1, y1] = placeOf(before);
  const [x2, y2] = placeOf(after);
  const isRight = x2 > x1;
  const hasRoom = isRight ? x2 < frame.right - 85 : x2 > frame.left + 85;
  const corner = hasRoom ? [x2, y1] : [x1, y2];
  drawLine([x1, y1], corner, "leg");
  drawLine(corner, [x2, y2], "leg");
  if (Math.abs(x2 - x1) > 70) {
    const isAbove = hasRoom === y2 > y1;
    const at = { x: (x1 + x2) / 2, y: corner[1] + (isAbove ? -8 : 18), "text-anchor": "middle" };
    draw("text", { ...at, class: "element" }, `w: ${signed(after.w - before.w)}`);
  }
  if (Math.abs(y2 - y1) > 16) {
    const goesRight = hasRoom === isRight;
    const anchor = goesRight ? "start" : "end";
    const at = { x: corner[0] + (goesRight ? 8 : -8), y: (y1 + y2) / 2 + 4, "text-anchor": anchor };
    draw("text", { ...at, class: "element" }, `b: ${signed(after.b - before.b)}`);
  }
}

const signed = x => (x > 0 ? `+${short(x)}` : short(x));

// Where the last point is, if it has left the picture.
function drawNote(path) {
  const point = path.at(-1);
  if (!isOutside(point)) return;
  const [x] = placeOf(point);
  const isLeft = x < (frame.left + frame.right) / 2;
  const at = isLeft
    ? { x: frame.left + 6, "text-anchor": "start" }
    : { x: frame.right - 4, "text-anchor": "end" };
  const where = isOne() ? `w = ${short(point.w)}` : pair(point);
  const text = `step ${path.length - 1}: ${where}`;
  draw("text", { ...at, y: frame.top + 30, class: "note" }, isLeft ? `← ${text}` : `${text} →`);
}

function drawHandle() {
  const [x, y] = placeOf(startPoint());
  const handle = part("handle");
  handle.setAttribute("transform", `translate(${x} ${y})`);
  const [low, high] = ranges().w;
  const words = isOne() ? `w = ${short(state.w)}` : `w = ${short(state.w)}, b = ${short(state.b)}`;
  const values = { valuemin: low, valuemax: high, valuenow: state.w, valuetext: words };
  for (const [name, value] of Object.entries(values)) handle.setAttribute(`aria-${name}`, value);
}

// ── The scale below the slider of the learning rate ────────────────────────────────────────────

// Powers of 10, from far below the end of all zones to far above it.
function powers() {
  const ends = names.flatMap(name => [zoneEnd(bowls[name].one), zoneEnd(bowls[name].two)]);
  const low = Math.floor(Math.log10(Math.min(...ends))) - 1;
  return { low, high: Math.ceil(Math.log10(Math.max(...ends))) + 1 };
}

function drawScale() {
  const scale = part("scale");
  const width = Math.max(part("controls").clientWidth, 200);
  const { low, high } = powers();
  const inset = 8; // half of the slider's thumb
  const at = power => inset + ((power - low) / (high - low)) * (width - 2 * inset);
  scale.setAttribute("viewBox", `0 0 ${width} ${state.zone ? 50 : 22}`);
  scale.replaceChildren();
  for (let power = low; power <= high; power++) {
    const anchor = power === low ? "start" : power === high ? "end" : "middle";
    const x = power === low ? 0 : power === high ? width : at(power);
    shape(scale, "line", { x1: at(power), y1: 0, x2: at(power), y2: 5, class: "tick" });
    shape(scale, "text", { x, y: 18, "text-anchor": anchor, class: "power" }, short(10 ** power));
  }
  if (state.zone) drawZone(scale, at);
}

function drawZone(scale, at) {
  const { low, high } = powers();
  const end = at(Math.log10(zoneEnd(loss())));
  const [left, right] = [at(low), at(high)];
  shape(scale, "rect", { x: left, y: 24, width: end - left, height: 5, class: "inside" });
  shape(scale, "rect", { x: end, y: 26, width: right - end, height: 1.5, class: "outside" });
  shape(scale, "line", { x1: end, y1: 21, x2: end, y2: 32, class: "end" });
  shape(scale, "text", { x: end - 6, y: 44, "text-anchor": "end" }, "arrives");
  shape(scale, "text", { x: end + 6, y: 44 }, "diverges");
  shape(scale, "text", { x: end, y: 44, "text-anchor": "middle" }, "|");
}

// ── All together ───────────────────────────────────────────────────────────────────────────────

// Show the state. `isNew` says that the last step has just been made.
function show(isNew = false) {
  const path = pathOf(state.rate, state.steps);
  state.steps = path.length - 1;
  drawPicture(path, isNew);
  drawHandle();
  drawScale();
  // Read out every step by hand, but of a run only where it ends.
  part("line").setAttribute("aria-live", timer === null ? "polite" : "off");
  part("line").textContent = sentence(path);
  part("key").textContent = keyInWords();
  part("view-words").textContent = viewInWords();
  part("zone-words").textContent = state.zone ? zoneInWords() : "";
  document.body.className = `ready ${path.length > 1 ? wayOf(...path.slice(-2)) : ""}`;
  showControls();
  writeAddress();
}

function showControls() {
  const { low, high } = powers();
  const range = ranges();
  setRange("rate-slider", low, high, Math.log10(state.rate), short(state.rate));
  const rate = part("rate");
  // Leave what is being typed alone.
  if (Number(rate.value) !== state.rate) rate.value = Number(state.rate.toPrecision(4));
  const starts = { w: `${yUnit} per ${unit()}`, b: yUnit };
  for (const [name, itsUnit] of Object.entries(starts)) {
    setRange(name, ...range[name], state[name], short(state[name]));
    part(`${name}-value`).textContent = `${short(state[name])} ${itsUnit}`;
  }
  part("b-row").hidden = isOne();
  part("zone").checked = state.zone;
  for (const input of document.querySelectorAll("input[type=radio]")) {
    input.checked = input.value === state[input.name];
  }
  // (Not `disabled`: a disabled button would lose the keyboard's focus.)
  for (const id of ["back", "restart"]) part(id).setAttribute("aria-disabled", state.steps === 0);
  part("step").setAttribute("aria-disabled", !canStep());
  part("run").textContent = timer === null ? "Run" : "Pause";
  part("count").textContent = stepsInWords(state.steps);
}

function setRange(id, low, high, value, words) {
  const slider = part(id);
  [slider.min, slider.max, slider.value] = [low, high, value];
  slider.setAttribute("aria-valuetext", words);
}

// A change by the reader's hand. Other steps follow from it, so they begin again, unless it says
// how many there are.
function change(changes) {
  pause();
  Object.assign(state, { steps: 0 }, changes);
  show();
}

// A start on the left. (The bowls have different units, so a start in one is none in the other.)
function defaultStart(bowl, view) {
  const { w, b, scale } = bowls[bowl][view];
  return {
    w: rounded(w - 1.3 * scale.w, 2),
    b: rounded(b - 0.6 * scale.b, 2),
  };
}

const rounded = (x, digits) => Number(x.toPrecision(digits));
const clamped = (x, [low, high]) => Math.min(Math.max(x, low), high);

// ── Steps ──────────────────────────────────────────────────────────────────────────────────────

const canStep = () => state.steps < most && !isLost(pathOf(state.rate, state.steps).at(-1));

function step() {
  if (!canStep()) return;
  state.steps++;
  show(true);
}

// A run ends at the minimum, or where further steps would show nothing new.
function isDone() {
  const path = pathOf(state.rate, state.steps);
  const last = path.at(-1);
  if (hasArrived(last) || !canStep()) return true;
  if (path.length === 1) return false;
  const way = wayOf(path.at(-2), last);
  return (way === "away" && isOutside(last)) || (way === "stays" && state.steps >= 6);
}

function pause() {
  clearTimeout(timer);
  timer = null;
}

function run() {
  if (isDone()) state.steps = 0;
  // Without motion, there is only the end to see.
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
    while (!isDone()) state.steps++;
    show();
    return;
  }
  timer = setTimeout(goOn, pace);
  show();
}

function goOn() {
  if (!isDone()) state.steps++;
  timer = isDone() ? null : setTimeout(goOn, pace);
  show(true);
}

// ── The address ────────────────────────────────────────────────────────────────────────────────

let writing = null;

// Browsers refuse to write it at every move of a slider, so it waits for a moment of rest.
function writeAddress() {
  clearTimeout(writing);
  // (A page within a notebook has no address.)
  if (location.protocol === "about:") return;
  writing = setTimeout(() => history.replaceState(null, "", `#${address()}`), 200);
}

function address() {
  const { view, bowl, rate, w, b, steps, zone } = state;
  const all = { view, bowl, rate, w, steps };
  if (!isOne()) all.b = b;
  if (zone) all.zone = 1;
  return new URLSearchParams(all).toString();
}

// What the address says, as far as it makes sense; the rest is as at first.
function readAddress() {
  clearTimeout(writing);
  pause();
  const given = new URLSearchParams(location.hash.slice(1));
  const number = (name, range) => {
    const text = given.get(name) ?? "";
    const value = text.trim() === "" ? NaN : Number(text);
    return Number.isFinite(value) ? clamped(value, range) : null;
  };
  state.view = given.get("view") === "two" ? "two" : "one";
  state.bowl = names.includes(given.get("bowl")) ? given.get("bowl") : names[0];
  const start = defaultStart(state.bowl, state.view);
  const small = rounded(0.15 * bestRate(bowls[names[0]].one), 1); // many steps can be seen
  state.rate = number("rate", [smallestRate, largestRate]) ?? small;
  state.w = number("w", ranges().w) ?? start.w;
  state.b = number("b", ranges().b) ?? start.b;
  state.steps = Math.round(number("steps", [0, most]) ?? 0);
  state.zone = given.get("zone") === "1";
  show();
}

// ── Controls ───────────────────────────────────────────────────────────────────────────────────

part("step").onclick = () => {
  pause();
  step();
};
part("run").onclick = () => {
  if (timer === null) return run();
  pause();
  show();
};
part("back").onclick = () => change({ steps: Math.max(0, state.steps - 1) });
part("restart").onclick = () => change({});
part("zone").onchange = () => change({ steps: state.steps, zone: part("zone").checked });
part("rate-slider").oninput = () => {
  change({ rate: rounded(10 ** Number(part("rate-slider").value), 3) });
};
part("rate").oninput = () => {
  const rate = Number(part("rate").value);
  if (rate >= smallestRate && rate <= largestRate) change({ rate });
};
part("rate").onchange = () => {
  const rate = Number(part("rate").value);
  if (rate >= smallestRate && rate <= largestRate) return;
  part("rate").value = rounded(state.rate, 4);
  part("line").textContent = "A learning rate is a number above 0, such as 0.1.";
};
for (const name of ["w", "b"]) {
  part(name).oninput = () => change({ [name]: rounded(Number(part(name).value), 4) });
}
// The rate stays: what is good in one bowl may be too large in the other.
for (const input of document.querySelectorAll("input[type=radio]")) {
  input.onchange = () => {
    const shown = { bowl: state.bowl, view: state.view, [input.name]: input.value };
    change({ ...shown, ...defaultStart(shown.bowl, shown.view) });
  };
}

// ── The handle ─────────────────────────────────────────────────────────────────────────────────

let grip = null; // how far from the middle of the handle it is held, while it is dragged

// A place in the picture, in its own pixels.
function placeOfPointer(event) {
  const box = part("picture").getBoundingClientRect();
  const scale = frame.width / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
}

function moveStart(w, b) {
  const range = ranges();
  const start = { w: rounded(clamped(w, range.w), 4), b: rounded(clamped(b, range.b), 4) };
  change(isOne() ? { w: start.w } : start);
}

part("handle").onpointerdown = event => {
  const [x, y] = placeOfPointer(event);
  const [atX, atY] = placeOf(startPoint());
  grip = [x - atX, y - atY];
  part("handle").setPointerCapture(event.pointerId);
};
// A finger on the handle moves the start, not the page.
part("handle").addEventListener("touchstart", event => event.preventDefault(), { passive: false });
part("handle").onpointermove = event => {
  if (grip === null) return;
  const [x, y] = placeOfPointer(event);
  const [perRight, perUp] = perUnit();
  const [x0, y0] = place(0, 0);
  moveStart((x - grip[0] - x0) / perRight, (y0 - y + grip[1]) / perUp);
};
part("handle").onpointerup = part("handle").onpointercancel = () => {
  grip = null;
};
part("handle").onkeydown = event => {
  const range = ranges();
  const [stepW, stepB] = [range.w, range.b].map(([low, high]) => (high - low) / 50);
  const up = isOne() ? [stepW, 0] : [0, stepB];
  const moves = {
    ArrowRight: [stepW, 0],
    ArrowLeft: [-stepW, 0],
    ArrowUp: up,
    ArrowDown: up.map(x => -x),
    Home: [-Infinity, 0],
    End: [Infinity, 0],
  };
  if (event.ctrlKey || event.altKey || event.metaKey || !(event.key in moves)) return;
  event.preventDefault();
  const [w, b] = moves[event.key];
  moveStart(state.w + w, state.b + b);
};

// ── Predictions ────────────────────────────────────────────────────────────────────────────────

// How far off a prediction was, in words and as a factor.
function offBy(given, right) {
  const times = given / right;
  const off = Math.max(times, 1 / times);
  if (off < 1.02) return "Right, to within 2%.";
  const words = off < 1.25 ? "Close" : off < 3 ? "Not far off" : "Far off";
  const way = times > 1 ? "too large" : "too small";
  return `${words}: ${short(given)} is ${way} by a factor of ${short(off, 3)}.`;
}

function whatItTakes(rate) {
  if (rate > zoneEnd(loss())) return "never arrives";
  if (rate === zoneEnd(loss())) return "goes to and fro, always at the same distance";
  const steps = stepsToArrive(rate);
  return steps === Infinity ? "takes more than 100,000 steps" : `takes ${stepsInWords(steps)}`;
}

// The second bowl's largest rate, as a share of the first bowl's, and how many times as large the
// inputs are there. (The curvature is twice the mean of their squares.)
function comparison() {
  const [first, second] = names.map(name => bowls[name].one.curvature);
  return { share: first / second, times: Math.sqrt(second / first) };
}

// What a prediction is compared with, and the reply to it. Each is about one weight.
const tasks = {
  fewest: {
    bowl: names[0],
    right: () => bestRate(loss()),
    rateOf: given => given,
    name: "1/λ",
    reply(given, right) {
      const isRight = stepsToArrive(given) === stepsToArrive(right);
      const verdict = isRight ? "Right." : offBy(given, right);
      return (
        `${verdict} Your rate ${whatItTakes(given)}. The rate ${short(right)}, which is 1/λ, ` +
        `${whatItTakes(right)}: there, rate · slope is the whole distance to the minimum.`
      );
    },
  },
  largest: {
    bowl: names[0],
    right: () => zoneEnd(loss()),
    rateOf: given => given,
    name: "2/λ",
    reply(given, right) {
      return (
        `${offBy(given, right)} Your rate ${whatItTakes(given)}. All rates below 2/λ = ` +
        `${short(right)} arrive. ` +
        "At 2/λ a step is twice as long as the distance, so w goes to and " +
        "fro. Above it, each step leads farther away."
      );
    },
  },
  other: {
    bowl: names[1],
    right: () => comparison().share,
    rateOf: share => share * zoneEnd(bowls[names[0]].one),
    name: "2/λ",
    reply(given, right) {
      const { times } = comparison();
      const [first, second] = names.map(name => bowls[name].one.curvature);
      const rates = names.map(name => short(zoneEnd(bowls[name].one)));
      return (
        `${offBy(given, right).replace(short(given), choiceInWords(given))} The inputs are ` +
        `${short(times)} times as large, and the curvature is twice the mean of their squares, ` +
        `so it is ${short(times)}² = ${short(second / first)} times as large: ${short(second)}, ` +
        `not ${short(first)}. The largest rate, 2/λ, is ${rates[1]}, not ${rates[0]}.`
      );
    },
  },
};

function choiceInWords(share) {
  if (Math.abs(share - 1) < 1e-9) return "the same";
  return share > 1 ? `${short(share)} times as large` : `1/${short(1 / share)} of it`;
}

function addChoices() {
  const { times } = comparison();
  const shares = [times, 1, 1 / times, 1 / times ** 2].sort((one, two) => two - one);
  part("other-guess").append(new Option("choose", ""));
  for (const share of shares) {
    part("other-guess").append(new Option(choiceInWords(share), share));
  }
}

// Show one of the predictions to make; the answer goes with the one before.
function showTask(id) {
  Object.keys(tasks).forEach((name, n) => {
    part(name).hidden = name !== id;
    document.querySelectorAll(".choose")[n].setAttribute("aria-pressed", name === id);
  });
  part("answer").textContent = "";
  part("see").hidden = true;
}

function compare(id) {
  const task = tasks[id];
  const given = Number(part(`${id}-guess`).value);
  if (!(given >= smallestRate && given <= largestRate)) {
    part("see").hidden = true;
    part("answer").textContent =
      id === "other" ? "Choose one." : "Enter a number above 0, such as 0.1.";
    return;
  }
  goTo(task.bowl, task.rateOf(given));
  const right = task.right();
  part("answer").textContent = task.reply(given, right);
  offerRun("run-mine", "Run yours", task.bowl, task.rateOf(given));
  offerRun("run-right", `Run ${task.name}`, task.bowl, task.rateOf(right));
  part("see").hidden = false;
}

function offerRun(id, words, bowl, rate) {
  part(id).textContent = `${words}: ${short(rate)}`;
  part(id).onclick = () => {
    goTo(bowl, rate);
    part("stage").scrollIntoView({ block: "nearest" });
    run();
  };
}

function goTo(bowl, rate) {
  change({ view: "one", bowl, rate, ...defaultStart(bowl, "one") });
}

document.querySelectorAll(".choose").forEach((button, n) => {
  button.onclick = () => showTask(Object.keys(tasks)[n]);
});
for (const id of Object.keys(tasks)) {
  part(id).onsubmit = event => {
    event.preventDefault();
    compare(id);
  };
}

// ── The beginning ──────────────────────────────────────────────────────────────────────────────

document.body.className = "ready"; // now it can be measured
addChoices();
showTask("fewest");
measure();
window.onhashchange = readAddress;
window.onresize = () => {
  measure();
  show();
};
readAddress();
