"use strict";

// The loss is a bowl: least + ½ d · H d, where d is the distance from the lowest point, and H, the
// Hessian, holds the second derivatives. The slopes are H d. microgd computed the lowest point, H
// and its largest curvature λ, for each bowl with one weight (w, at the best b) and with two.
//
// What the page shows follows from `state` alone. Each change of it ends in `show`.

const part = id => document.getElementById(id);
const { bowls, x: xName, y: yName, yUnit } = JSON.parse(part("data").textContent);
const names = Object.keys(bowls);
const most = 200; // steps
const [smallestRate, largestRate] = [1e-9, 1e6];
const pace = 450; // milliseconds to the second step of a run; it becomes faster
const few = 6; // a run that diverges, or goes to and fro, shows so many steps
// `rates` has the rate of each step so far, and `rate` is that of the next.
const state = { view: "one", bowl: names[0], rate: 1, w: 0, b: 0, rates: [], zone: false };
let notice = ""; // what the line says first, until the next change
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
const isLost = point => !(lossAt(point) < 1e150);

// The start, and the point after each step.
function pathOf(rates) {
  const path = [startPoint()];
  for (const rate of rates) {
    if (isLost(path.at(-1))) break;
    path.push(next(path.at(-1), rate));
  }
  return path;
}

const hasArrived = point => lossAt(point) <= 1.01 * loss().least;

// Which way a step from here leads: "toward" the minimum, "away" from it, or neither: it "stays" as
// far. A step changes the height by −rate · |g|² + ½ rate² · g · H g. That is negative if half of
// the rate is below |g|² / (g · H g): 1/λ with one weight, where a smaller height is a smaller
// distance. (A difference of two heights would drown in rounding if the rate is small.)
function wayOf(point, rate) {
  if (heightAt(point) <= 1e-26 * loss().least) return "stays"; // at the minimum, but for rounding
  const { hessian } = loss();
  const g = slopesAt(point);
  if (isOne()) g.b = 0;
  const curved =
    g.w * g.w * hessian[0][0] + 2 * g.w * g.b * hessian[0][1] + g.b * g.b * hessian[1][1];
  const share = (0.5 * rate * curved) / (g.w * g.w + g.b * g.b);
  if (Math.abs(share - 1) < 1e-8) return "stays";
  return share < 1 ? "toward" : "away";
}

const waysOf = path => path.slice(1).map((_, n) => wayOf(path[n], state.rates[n]));

function goesPast(before, after) {
  const [old, now] = [before.w - loss().w, after.w - loss().w];
  return old * now < 0 && Math.abs(now) > 1e-6 * Math.abs(old);
}

// The number of steps, or infinity above a limit.
function stepsToArrive(rate, point = startPoint()) {
  for (let steps = 0; steps <= 100000 && !isLost(point); steps++) {
    if (hasArrived(point)) return steps;
    point = next(point, rate);
  }
  return Infinity;
}

// ── Words ──────────────────────────────────────────────────────────────────────────────────────

const raisedDigits = Array.from("⁰¹²³⁴⁵⁶⁷⁸⁹");
const raised = character => (character === "-" ? "⁻" : raisedDigits[character]);

// Such as 0.0123, −14,720, 10⁻⁴ and 7.89 × 10⁻¹².
function short(x, digits = 4) {
  const size = Math.abs(x);
  if (size < 1e-12) return "0";
  const sign = x < 0 ? "−" : "";
  const [first, power] = size.toExponential(digits - 1).split("e");
  if (power >= -3 && power < 6) {
    return sign + size.toLocaleString("en", { maximumSignificantDigits: digits });
  }
  const tens = `10${Array.from(power.replace("+", ""), raised).join("")}`;
  return sign + (Number(first) === 1 ? tens : `${Number(first)}\u00a0×\u00a0${tens}`);
}

// As a factor: a negative number in brackets.
const factor = x => (short(x).startsWith("−") ? `(${short(x)})` : short(x));
const pair = ({ w, b }) => `(${short(w)}, ${short(b)})`;
const lossInWords = point => `Loss: ${short(lossAt(point))} ${yUnit}².`;
const stepsInWords = n => (n === 1 ? "1 step" : `${n.toLocaleString("en")} steps`);

function sentence(path) {
  const said = path.length === 1 ? startInWords(path[0]) : stepInWords(path);
  return [notice, said, lossInWords(path.at(-1)), endInWords(path)].filter(Boolean).join(" ");
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
  const rate = state.rates.at(-1);
  const slopes = slopesAt(before);
  const update = updateAt(before, rate);
  const way = wayInWords(before, after);
  if (!isOne()) {
    return (
      `Step ${path.length - 1}: the gradient was ${pair(slopes)}, so (w, b) changes by ` +
      `−${short(rate)} · gradient = ${pair(update)}, to ${pair(after)}: ${way}.`
    );
  }
  return (
    `Step ${path.length - 1}: w was ${short(before.w)} and the slope ${short(slopes.w)}, so w ` +
    `moves by −${short(rate)} · ${factor(slopes.w)} = ${short(update.w)}, ` +
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
  const way = wayOf(before, state.rates.at(-1));
  const isTiny = way === "toward" && pair(before) === pair(after);
  const words = isOne() ? (goesPast(before, after) ? waysPast : ways) : waysOfTwo;
  return isTiny ? `${words[way]}, by too little to see in these digits` : words[way];
}

// What there is to say after the last step so far: how it ends, or what a new rate does.
function endInWords(path) {
  const last = path.at(-1);
  const isNew = path.length > 1 && state.rates.at(-1) !== state.rate;
  if (isLost(last)) return "It diverges. The page stops here: numbers would become too large.";
  if (path.length > most) return stopInWords(last, isNew);
  const arrived = hasArrived(last) ? "Arrived: that is within 1% of the smallest loss. " : "";
  if (isNew) return arrived + nextInWords(last);
  if (arrived) return arrived.trim();
  const way = waysOf(path).at(-1);
  if (way === "away" && isOutside(last)) {
    return "It has left the picture: it diverges. (Step goes on.)";
  }
  if (way === "stays" && path.length > few) {
    return "It goes to and fro like this for ever: it neither arrives nor diverges.";
  }
  return "";
}

function nextInWords(point) {
  const update = updateAt(point, state.rate);
  const moves = isOne() ? `moves w by ${short(update.w)}` : `changes (w, b) by ${pair(update)}`;
  const rate = short(state.rate);
  return `The next step, at the rate ${rate}, ${moves}. Restart goes back to the start.`;
}

function stopInWords(point, isNew) {
  const stop = `The page stops after ${most} steps.`;
  if (hasArrived(point)) return `Arrived: that is within 1% of the smallest loss. ${stop}`;
  if (isNew) return `${stop} Restart goes back to the start.`;
  const way = wayOf(point, state.rate);
  if (way === "away") return `${stop} It diverges: each step leads farther away.`;
  if (way === "stays") return `${stop} It neither arrives nor diverges.`;
  const steps = stepsToArrive(state.rate, point);
  const more = steps === Infinity ? "more than 100,000" : steps.toLocaleString("en");
  return `${stop} It has not arrived yet: that takes ${more} more.`;
}

function zoneInWords() {
  const { curvature } = loss();
  const share = state.rate / zoneEnd(loss());
  const kept = 1 - state.rate * curvature;
  const whose = isOne() ? "The curvature λ" : "In the bowl's steepest direction, the curvature λ";
  const where = isOne() ? "" : " in that direction";
  return (
    `${whose}, how fast the slope changes, is ${short(curvature)}: the slope is λ · distance ` +
    `from the minimum. So a step multiplies the distance${where} by ` +
    `1 − rate · λ = ${short(kept)}. It arrives if that is between −1 and 1: below the rate ` +
    `2/λ = ${short(zoneEnd(loss()))}. Your rate is ${short(share)} times that.`
  );
}

function viewInWords() {
  if (isOne()) {
    return (
      `Here, ${xName} counts from its mean. So the best b is the mean ${yName}, whatever w is: b ` +
      "stands there already and needs no steps."
    );
  }
  const { below } = bowls[state.bowl];
  return (
    `Here, ${xName} counts from ${short(below)} ${unit()} below its mean. Counted from the mean, ` +
    "the best b would be the same for each w. Counted from elsewhere it depends on w, as in most " +
    "data: the bowl is tilted, and it has another λ than with one weight. The axes have " +
    "different units, so an arrow straight downhill need not cross the lines at right angles."
  );
}

// The axis of w is scaled to the bowl, which hides how narrow the bowl is.
function bowlInWords() {
  const { times } = comparison();
  if (state.bowl === names[0]) return "";
  const width = times > 1 ? `${short(times)} times as narrow` : `${short(1 / times)} times as wide`;
  return `It looks like the ${names[0]} bowl, but it is ${width}: look at the numbers along w.`;
}

function keyInWords(path) {
  const stays = waysOf(path).includes("stays");
  if (isOne()) {
    return (
      "A short thick line has the slope at its dot. Solid blue arrows lead nearer to the " +
      "minimum, dashed orange ones away from it" +
      (stays ? ", and the dash-dotted one to a place as far from it." : ".")
    );
  }
  return (
    `✕ is the minimum. All along a line, the loss is the same; its number is in ${yUnit}². The ` +
    "dotted lines are the elements of the last update. Solid blue arrows lead downhill, " +
    `dashed orange ones uphill${stays ? ", and the dash-dotted one to the same loss." : "."}`
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
  // (Round numbers, so that the address can hold a start at the edge.)
  const around = (middle, reach) => [rounded(middle - reach, 4), rounded(middle + reach, 4)];
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
  const ellipses = isOne() ? [] : ellipsesToDraw();
  if (isOne()) drawCurve(path);
  else drawContours(ellipses);
  drawMoves(path, isNew);
  drawDots(path);
  const [x, y] = placeOf(path[0]);
  taken = [[x - 10, y - 10, x + 10, y + 10]]; // the ring of the start
  if (!isOne()) drawMinimum();
  drawNote(path);
  drawNumbers(path);
  if (path.length === 1) drawHint(path[0]);
  if (isOne()) return;
  keepClearOf(path);
  if (path.length > 1) drawElements(path.at(-2), path.at(-1));
  drawHeights(ellipses);
}

// ── Words in the picture: none covers another ──

let taken = []; // boxes where no more words can stand: [left, top, right, bottom]

// About as large as the words are. (To measure them would take long.)
function boxOf({ x, y, "text-anchor": anchor }, words) {
  const width = 7.5 * words.length;
  const left = { start: x, middle: x - width / 2, end: x - width }[anchor];
  return [left, y - 11, left + width, y + 3];
}

function isFree([left, top, right, bottom]) {
  const isIn = left > frame.left && right < frame.width && top > 0 && bottom < frame.bottom;
  const meets = other => {
    return left < other[2] + 3 && right > other[0] - 3 && top < other[3] && bottom > other[1];
  };
  return isIn && !taken.some(meets);
}

// At the first of these places that has room, or nowhere.
function drawWords(places, words, kind) {
  const at = places.find(place => isFree(boxOf(place, words)));
  if (at === undefined) return;
  taken.push(boxOf(at, words));
  draw("text", { ...at, class: kind }, words);
}

// No words on dots, nor along the last arrows.
function keepClearOf(path) {
  for (const point of path) {
    const [x, y] = placeOf(point);
    taken.push([x - 5, y - 5, x + 5, y + 5]);
  }
  const from = Math.max(1, path.length - 12);
  for (let n = from; n < path.length; n++) {
    const [x1, y1] = placeOf(path[n - 1]);
    const [x2, y2] = placeOf(path[n]);
    const count = Math.min(Math.ceil(Math.hypot(x2 - x1, y2 - y1) / 8), 500);
    for (let i = 0; i <= count; i++) {
      const [x, y] = [x1 + (i / count) * (x2 - x1), y1 + (i / count) * (y2 - y1)];
      taken.push([x - 2, y - 2, x + 2, y + 2]);
    }
  }
}

function drawHint(point) {
  const [x, y] = placeOf(point);
  const isLeft = x < (frame.left + frame.right) / 2;
  const above = { x: x + (isLeft ? 14 : -14), y: y - 16, "text-anchor": isLeft ? "start" : "end" };
  drawWords([above, { ...above, y: y + 26 }], "start: drag it", "number");
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

function drawCurve(path) {
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
  drawTangents(path);
}

// Ellipses on which the loss is the same, each with its loss.
function ellipsesToDraw() {
  const highest = heightAt({ w: ranges().w[0], b: ranges().b[0] });
  return [0.01, 0.04, 0.09, 0.16, 0.3, 0.5, 0.75].map(share => ({
    places: ellipseAt(share * highest).map(placeOf),
    loss: short(loss().least + share * highest, 2),
  }));
}

function drawContours(ellipses) {
  for (const { places } of ellipses) {
    const points = places.map(place => place.join()).join(" ");
    draw("polyline", { points, class: "contour", "clip-path": "url(#inside)" });
  }
}

function drawMinimum() {
  const [x, y] = place(loss().w, loss().b);
  drawWords([{ x, y: y + 5, "text-anchor": "middle" }], "✕", "");
}

// At the top of each ellipse, or else further along it.
function drawHeights(ellipses) {
  for (const { places, loss } of ellipses) {
    const top = places.reduce((best, at, n) => (at[1] < places[best][1] ? n : best), 0);
    const spots = [0, 15, -15, 30, -30, 45, -45, 60].map(n => {
      const [x, y] = places[(top + n + 120) % 120];
      return { x, y: y + 4, "text-anchor": "middle" };
    });
    drawWords(spots, loss, "height number");
  }
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

// On the last dot, and on those before it where there is room: they must not hide the arrows.
function drawTangents(path) {
  const marked = [];
  for (const point of [...path].reverse()) {
    if (isOutside(point)) continue;
    const [x, y] = placeOf(point);
    if (marked.some(other => Math.hypot(other[0] - x, other[1] - y) < 60)) continue;
    marked.push([x, y]);
    drawTangent(point, point === path.at(-1));
  }
}

function drawTangent(point, isLast) {
  const [x, y] = placeOf(point);
  const [perWeight, perLoss] = perUnit();
  const rise = (slopesAt(point).w * perLoss) / perWeight;
  const aboveAxis = (frame.bottom - 4 - y) / Math.abs(rise);
  const reach = Math.min((isLast ? 40 : 24) / Math.hypot(1, rise), aboveAxis);
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
  const ways = waysOf(path);
  ways.forEach((way, n) => {
    const age = ways.length - 1 - n;
    if (way === "stays" && age > 0) return; // to and fro, they would cover each other
    drawMove(path[n], path[n + 1], isNew && age === 0 ? `${way} new` : way, age);
  });
}

// Older steps are fainter, or many would be a single patch of colour.
const strengthAt = age => Math.max(0.1, Math.min(1, 10 / (age + 1)));

function drawMove(before, after, kind, age) {
  const [x1, y1] = placeOf(before);
  const [x2, y2] = placeOf(after);
  const length = Math.hypot(x2 - x1, y2 - y1);
  const strength = strengthAt(age);
  const clipped = draw("g", { "clip-path": "url(#inside)", opacity: strength });
  const move = shape(clipped, "g", { class: `move ${kind}` });
  move.style.transformOrigin = `${x1}px ${y1}px`; // it grows from there
  shape(move, "line", { x1, y1, x2, y2, "stroke-width": 1 + strength });
  if (length < 14 || age > 20) return; // too short for a head, or too faint
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
  const ways = ["", ...waysOf(path)];
  path.forEach((point, n) => {
    if (isOutside(point)) return;
    const [cx, cy] = placeOf(point);
    const opacity = n === 0 ? 1 : strengthAt(path.length - 1 - n);
    draw("circle", { cx, cy, r: 3 + 1.5 * opacity, opacity, class: `dot ${ways[n]}` });
  });
}

// The last one first, and those after it only where there is room.
function drawNumbers(path) {
  const order = [path.length - 1, ...path.keys()].slice(0, path.length);
  for (const n of order) {
    if (isOutside(path[n])) continue;
    const isLast = n === path.length - 1;
    const kind = isLast ? "number last" : "number";
    drawWords(placesOfNumber(path[n], n, isLast), `${n}`, kind);
  }
}

// Outside the curve; with two weights, above the dot. The last number must stand somewhere, so it
// has other places, too.
function placesOfNumber(point, n, isLast) {
  const [x, y] = placeOf(point);
  if (!isOne()) {
    const up = n === 0 ? 16 : 10; // 0 has a ring
    const above = { x, y: y - up, "text-anchor": "middle" };
    if (!isLast) return [above];
    const right = { x: x + 10, y: y + 5, "text-anchor": "start" };
    const left = { x: x - 10, y: y + 5, "text-anchor": "end" };
    return [above, { ...above, y: y + up + 11 }, right, left];
  }
  const low = Math.min(y + 12, frame.bottom - 4);
  const toLeft = { x: x - 14, y: low, "text-anchor": "end" };
  const toRight = { x: x + 14, y: low, "text-anchor": "start" };
  const isLeft = point.w < loss().w;
  const hasRoom = isLeft ? x > frame.left + 40 : x < frame.right - 30;
  const places = isLeft === hasRoom ? [toLeft, toRight] : [toRight, toLeft];
  return isLast ? places : places.slice(0, 1);
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
  const along = [0.5, 0.3, 0.7];
  if (Math.abs(x2 - x1) > 70) {
    const [first, other] = hasRoom === y2 > y1 ? [-8, 18] : [18, -8];
    const places = [first, other].flatMap(down =>
      along.map(t => ({ x: x1 + t * (x2 - x1), y: corner[1] + down, "text-anchor": "middle" })),
    );
    drawWords(places, `w: ${signed(after.w - before.w)}`, "element");
  }
  if (Math.abs(y2 - y1) > 16) {
    const toRight = { x: corner[0] + 8, "text-anchor": "start" };
    const toLeft = { x: corner[0] - 8, "text-anchor": "end" };
    const sides = hasRoom === isRight ? [toRight, toLeft] : [toLeft, toRight];
    const places = sides.flatMap(side => along.map(t => ({ ...side, y: y1 + t * (y2 - y1) + 4 })));
    drawWords(places, `b: ${signed(after.b - before.b)}`, "element");
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
  drawWords([{ ...at, y: frame.top + 30 }], isLeft ? `← ${text}` : `${text} →`, "note");
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
  const path = pathOf(state.rates);
  state.rates.length = path.length - 1;
  drawPicture(path, isNew);
  drawHandle();
  drawScale();
  // Read out every step by hand, but of a run only where it ends.
  part("line").setAttribute("aria-live", timer === null ? "polite" : "off");
  say("line", sentence(path));
  say("key", keyInWords(path));
  say("view-words", viewInWords());
  say("bowl-words", bowlInWords());
  say("zone-words", state.zone ? zoneInWords() : "");
  if (answered !== null) say("about", aboutInWords(answered));
  document.body.className = `ready ${waysOf(path).at(-1) ?? ""}`;
  showControls();
  writeAddress();
}

// (A screen reader may read again what has been written again.)
function say(id, words) {
  if (part(id).textContent !== words) part(id).textContent = words;
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
  const atStart = state.rates.length === 0;
  for (const id of ["back", "restart"]) part(id).setAttribute("aria-disabled", atStart);
  part("step").setAttribute("aria-disabled", !canStep());
  part("run").textContent = timer === null ? "Run" : "Pause";
  part("count").textContent = stepsInWords(state.rates.length);
}

function setRange(id, low, high, value, words) {
  const slider = part(id);
  [slider.min, slider.max, slider.value] = [low, high, value];
  slider.setAttribute("aria-valuetext", words);
}

// A change by the reader's hand. From another start or in another bowl other steps follow, so they
// begin again, unless the changes say which there are.
function change(changes) {
  pause();
  notice = "";
  Object.assign(state, { rates: [] }, changes);
  show();
}

// The steps so far stay, and the next one has this rate.
const changeRate = rate => change({ rate, rates: state.rates });

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

const canStep = () => state.rates.length < most && !isLost(pathOf(state.rates).at(-1));

function step() {
  if (!canStep()) return;
  notice = "";
  state.rates.push(state.rate);
  show(true);
}

// A run ends at the minimum, or where further steps would show nothing new, after some of them.
function isDone(made = few) {
  const last = pathOf(state.rates).at(-1);
  if (hasArrived(last) || !canStep()) return true;
  const way = wayOf(last, state.rate);
  return made >= few && (way === "stays" || (way === "away" && isOutside(last)));
}

function pause() {
  clearTimeout(timer);
  timer = null;
}

function run() {
  if (isDone()) state.rates = [];
  // Without motion, there is only the end to see.
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
    for (let made = 0; !isDone(made); made++) state.rates.push(state.rate);
    show();
    return;
  }
  goOn(0);
}

// The steps of a run; each comes a little sooner than the one before.
function goOn(made) {
  const wait = Math.max(40, pace * 0.9 ** made);
  timer = isDone(made) ? null : setTimeout(makeStep, wait, made + 1);
  show(made > 0);
}

function makeStep(made) {
  state.rates.push(state.rate);
  goOn(made);
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
  const { view, bowl, rate, w, b, rates, zone } = state;
  const all = { view, bowl, rate, w };
  if (!isOne()) all.b = b;
  if (rates.every(each => each === rate)) all.steps = rates.length;
  else all.rates = ratesInAddress(rates);
  if (zone) all.zone = 1;
  return new URLSearchParams(all).toString();
}

// Such as "0.1x3 0.5x1": three steps at 0.1, and one at 0.5.
function ratesInAddress(rates) {
  const series = [];
  for (const rate of rates) {
    if (series.at(-1)?.rate === rate) series.at(-1).count++;
    else series.push({ rate, count: 1 });
  }
  return series.map(({ rate, count }) => `${rate}x${count}`).join(" ");
}

// No steps, if the text makes no sense.
function ratesFromAddress(text) {
  const rates = [];
  for (const series of text.split(" ")) {
    const [rate, count] = series.split("x").map(Number);
    if (rateProblem(rate) !== "" || !Number.isInteger(count) || count < 1) return [];
    if (rates.length + count > most) return [];
    rates.push(...Array(count).fill(rate));
  }
  return rates;
}

const choiceOf = (text, all) => (all.includes(text) ? text : all[0]);

// The nearest in the range, or null if the text is no number.
function numberOf(text, [low, high]) {
  const value = text?.trim() ? Number(text) : NaN;
  if (!Number.isFinite(value)) return null;
  return value >= low && value <= high ? value : rounded(clamped(value, [low, high]), 4);
}

// What the address says, as far as it makes sense; the rest is as at first, and the line says so.
function readAddress() {
  clearTimeout(writing);
  pause();
  const given = new URLSearchParams(location.hash.slice(1));
  state.view = choiceOf(given.get("view"), ["one", "two"]);
  state.bowl = choiceOf(given.get("bowl"), names);
  const start = defaultStart(state.bowl, state.view);
  const small = rounded(0.15 * bestRate(bowls[names[0]].one), 1); // many steps can be seen
  state.rate = numberOf(given.get("rate"), [smallestRate, largestRate]) ?? small;
  state.w = numberOf(given.get("w"), ranges().w) ?? start.w;
  state.b = numberOf(given.get("b"), ranges().b) ?? start.b;
  const steps = Math.round(numberOf(given.get("steps"), [0, most]) ?? 0);
  const rates = given.get("rates");
  state.rates = rates ? ratesFromAddress(rates) : Array(steps).fill(state.rate);
  state.zone = given.get("zone") === "1";
  notice = differencesInWords(given, {
    ...state,
    steps,
    rates: state.rates.length > 0 ? rates : "no steps",
  });
  show();
}

// Where the page took something else than the address says.
function differencesInWords(given, taken) {
  const found = [];
  for (const name of ["view", "bowl", "rate", "w", "b", "steps", "rates"]) {
    const said = given.get(name)?.trim();
    const value = taken[name];
    const isNumber = typeof value === "number";
    if (!said || value === (isNumber ? Number(said) : said)) continue;
    const took = isNumber ? short(value) : value;
    found.push(`The address says ${name} = ${said.slice(0, 20)}; the page took ${took}.`);
  }
  return found.join(" ");
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
part("back").onclick = () => change({ rates: state.rates.slice(0, -1) });
part("restart").onclick = () => change({});
part("zone").onchange = () => change({ rates: state.rates, zone: part("zone").checked });
part("rate-slider").oninput = () => {
  changeRate(rounded(10 ** Number(part("rate-slider").value), 3));
};
part("rate").oninput = () => {
  const rate = Number(part("rate").value);
  if (rateProblem(rate) === "") changeRate(rate);
};
part("rate").onchange = () => {
  const problem = rateProblem(Number(part("rate").value));
  if (problem === "") return;
  part("rate").value = rounded(state.rate, 4);
  notice = `${problem} The rate is still ${short(state.rate)}.`;
  show();
};
function rateProblem(rate) {
  if (!(rate > 0)) return "A learning rate is a number above 0, such as 0.1.";
  if (rate > largestRate) return `The page takes rates up to ${largestRate.toLocaleString("en")}.`;
  if (rate < smallestRate) return `The page takes rates from ${short(smallestRate)}.`;
  return "";
}
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
function offBy(given, right, words = short(given)) {
  const times = given / right;
  const off = Math.max(times, 1 / times);
  if (off < 1 + 1e-9) return "Right.";
  const how = off < 1.25 ? "Close" : off < 3 ? "Not far off" : "Far off";
  const way = times > 1 ? "too large" : "too small";
  return `${how}: ${words} is ${way} by a factor of ${short(off, 3)}.`;
}

// 2% above the largest rate is wrong in another way than 2% below it.
function offByLargest(given, right) {
  const off = given / right;
  if (off > 1 && off < 1.02) return `Just too large: ${short(given)} never arrives.`;
  const verdict = off <= 1 && off > 0.98 ? "Right, to within 2%." : offBy(given, right);
  return `${verdict} Your rate ${whatItTakes(given)}.`;
}

function whatItTakes(rate) {
  if (rate > zoneEnd(loss())) return "never arrives";
  if (rate === zoneEnd(loss())) return "goes to and fro, always at the same distance";
  const steps = stepsToArrive(rate);
  if (steps === Infinity) return `takes more than 100,000 steps (Run shows the first ${most})`;
  return `takes ${stepsInWords(steps)}${steps > most ? ` (Run shows the first ${most})` : ""}`;
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
        `${verdict} Your rate ${whatItTakes(given)}. The rate ${short(right)} ` +
        `${whatItTakes(right)}. It is 1/λ; ${lambdaInWords()}. So rate · slope is the whole ` +
        "distance to the minimum."
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
        `${offByLargest(given, right)} All rates below 2/λ = ${short(right)} arrive; ` +
        `${lambdaInWords()}. At 2/λ a step is twice as long as the distance, so w goes to and ` +
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
        `${offBy(given, right, choiceInWords(given))} The inputs are ${short(times)} times as ` +
        "large, and the curvature λ (how fast the slope changes) is twice the mean of their " +
        `squares, so it is ${short(times)}² = ${short(second / first)} times as large: ` +
        `${short(second)}, not ${short(first)}. The largest rate, 2/λ, is ${rates[1]}, ` +
        `not ${rates[0]}.`
      );
    },
  },
};

const lambdaInWords = () => {
  return `λ is the curvature (how fast the slope changes), here ${short(loss().curvature)}`;
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

let answered = null; // the task whose answer is shown, if any

const settingOf = task => ({ view: "one", bowl: task.bowl, ...defaultStart(task.bowl, "one") });

function settingInWords(task) {
  const { bowl, w } = settingOf(task);
  return `in the ${bowl} bowl, with one weight, from the start w = ${short(w)}`;
}

// The answer is about the task's setting, which the picture may have left.
function aboutInWords(task) {
  const { view, bowl, w } = settingOf(task);
  const isShown = state.view === view && state.bowl === bowl && state.w === w;
  const now = isShown
    ? "The picture has been set to that, and so has the rate."
    : "The picture now shows something else; these buttons set it back.";
  return `This holds ${settingInWords(task)}. ${now}`;
}

// Show one of the predictions to make; the answer goes with the one before.
function showTask(id) {
  Object.keys(tasks).forEach((name, n) => {
    part(name).hidden = name !== id;
    document.querySelectorAll(".choose")[n].setAttribute("aria-pressed", name === id);
  });
  say("answer", "");
  hideRuns();
}

function hideRuns() {
  answered = null;
  say("about", "");
  part("see").hidden = true;
}

function compare(id) {
  const task = tasks[id];
  const given = Number(part(`${id}-guess`).value);
  const problem = id === "other" && given === 0 ? "Choose one." : rateProblem(given);
  if (problem !== "") {
    hideRuns();
    say("answer", problem);
    return;
  }
  answered = task;
  goTo(task, task.rateOf(given));
  const right = task.right();
  say("answer", task.reply(given, right));
  offerRun("run-mine", "Run yours", task, task.rateOf(given));
  offerRun("run-right", `Run ${task.name}`, task, task.rateOf(right));
  part("run-mine").hidden = Math.abs(given / right - 1) < 1e-9; // the same rate
  part("see").hidden = false;
}

function offerRun(id, words, task, rate) {
  part(id).textContent = `${words}: ${short(rate)}`;
  part(id).onclick = () => {
    goTo(task, rate);
    part("stage").scrollIntoView({ block: "nearest" });
    run();
  };
}

const goTo = (task, rate) => change({ ...settingOf(task), rate });

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
for (const id of ["fewest", "largest"]) say(`${id}-about`, `(${settingInWords(tasks[id])})`);
showTask("fewest");
measure();
window.onhashchange = readAddress;
window.onresize = () => {
  measure();
  show();
};
readAddress();
