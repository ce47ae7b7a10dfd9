"use strict";

// The loss is a bowl: least + ½ d · H d, where d is the distance from the lowest point, and H, the
// Hessian, holds the second derivatives. microgd computed these numbers. Slopes are H d.

const part = id => document.getElementById(id);
const bowls = JSON.parse(part("data").textContent);
const names = Object.keys(bowls);
const most = 200; // steps
const milliseconds = 400; // from step to step, while it runs
const near = 0.01; // within 1 % of the best weight is arrived

const state = { view: "one", bowl: names[0], rate: 0, w: 0, b: 0, steps: 0, zone: false };
let timer = null;

// ── Steps ──────────────────────────────────────────────────────────────────────────────────────

const bowl = () => bowls[state.bowl];
const isOne = () => state.view === "one";

function lossAt(point) {
  const { w, b, hessian, least } = bowl();
  const [dw, db] = [point.w - w, point.b - b];
  const across = hessian[0][0] * dw * dw + 2 * hessian[0][1] * dw * db;
  return least + 0.5 * (across + hessian[1][1] * db * db);
}

function slopesAt(point) {
  const { w, b, hessian } = bowl();
  const [dw, db] = [point.w - w, point.b - b];
  return {
    w: hessian[0][0] * dw + hessian[0][1] * db,
    b: hessian[1][0] * dw + hessian[1][1] * db,
  };
}

function next(point, rate) {
  const slopes = slopesAt(point);
  // With one weight, b stays where it belongs.
  return { w: point.w - rate * slopes.w, b: isOne() ? point.b : point.b - rate * slopes.b };
}

function startPoint() {
  return { w: state.w, b: isOne() ? bowl().b : state.b };
}

function pathOf(rate, steps) {
  const path = [startPoint()];
  while (path.length <= steps) path.push(next(path.at(-1), rate));
  return path;
}

function hasArrived(point) {
  const { w, b } = bowl();
  return Math.abs(point.w - w) < near * Math.abs(w) && Math.abs(point.b - b) < near * Math.abs(b);
}

// The largest curvature, and with it the end of the zone, 2 / λ.
function curvature() {
  const [[a, c], [, d]] = bowl().hessian;
  return isOne() ? a : (a + d) / 2 + Math.hypot((a - d) / 2, c);
}

// "toward", "away" or "stays": by the distance from the lowest point, with two weights by the loss.
function verdict(before, after) {
  const measure = point => (isOne() ? Math.abs(point.w - bowl().w) : lossAt(point) - bowl().least);
  const [old, now] = [measure(before), measure(after)];
  if (Math.abs(now - old) <= 1e-9 * Math.max(old, now)) return "stays";
  return now < old ? "toward" : "away";
}

function stepsToArrive(rate) {
  let point = startPoint();
  for (let step = 0; step <= 100000; step++) {
    if (hasArrived(point)) return step;
    if (!(Math.abs(point.w) < 1e9)) return Infinity;
    point = next(point, rate);
  }
  return Infinity;
}

// ── Words ──────────────────────────────────────────────────────────────────────────────────────

function short(x) {
  if (x === 0) return "0";
  const size = Math.abs(x);
  const text = size >= 1e5 || size < 1e-4 ? x.toExponential(2) : String(Number(x.toPrecision(4)));
  return text.replace("-", "−");
}

const verdicts = {
  toward: "toward the minimum",
  away: "away from the minimum",
  stays: "the distance from the minimum stays the same",
};
const verdictsOfTwo = {
  toward: "the loss falls",
  away: "the loss rises",
  stays: "the loss stays the same",
};

function sentence(path) {
  const point = path.at(-1);
  const { unit } = bowl();
  const slopes = slopesAt(point);
  const loss = `The loss is ${short(lossAt(point))} kg².`;
  if (path.length === 1) {
    const at = `w = ${short(point.w)}` + (isOne() ? ` kg per ${unit}` : `, b = ${short(point.b)}`);
    const slope = isOne()
      ? `The slope there is ${short(slopes.w)}`
      : `The gradient there is (${short(slopes.w)}, ${short(slopes.b)})`;
    return `Start at ${at}. ${slope}. ${loss} Make a step.`;
  }
  const before = path.at(-2);
  const old = slopesAt(before);
  const change = isOne()
    ? `the slope was ${short(old.w)}, so w moves by −${short(state.rate)} · ${short(old.w)} = ` +
      `${short(point.w - before.w)}, to ${short(point.w)}`
    : `the update is −${short(state.rate)} · (${short(old.w)}, ${short(old.b)}) = ` +
      `(${short(point.w - before.w)}, ${short(point.b - before.b)}), to w = ${short(point.w)}, ` +
      `b = ${short(point.b)}`;
  const which = verdict(before, point);
  const words = hasArrived(point)
    ? "arrived, within 1 %"
    : (isOne() ? verdicts : verdictsOfTwo)[which];
  return `Step ${path.length - 1}: ${change}: ${words}. ${loss}`;
}

function zoneWords() {
  const end = 2 / curvature();
  if (!state.zone) return "";
  return (
    `The largest curvature λ is ${short(curvature())}, so the zone ends at 2/λ = ${short(end)}. ` +
    `Your rate is ${short(state.rate / end)} of that.`
  );
}

// ── The picture ────────────────────────────────────────────────────────────────────────────────

const frame = { left: 62, right: 625, top: 14, bottom: 372 };

function shape(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  part("picture").append(made);
  return made;
}

// What the axes show: w from left to right, and up the loss, or b.
function ranges() {
  const { w, b } = bowl();
  const across = [w - 2.8 * Math.abs(w), w + 2.8 * Math.abs(w)];
  if (!isOne()) return { across, up: [b - 0.6 * Math.abs(b), b + 0.6 * Math.abs(b)] };
  return { across, up: [0, 1.05 * lossAt({ w: across[0], b })] };
}

function place(x, y) {
  const { across, up } = ranges();
  const right = (x - across[0]) / (across[1] - across[0]);
  const high = (y - up[0]) / (up[1] - up[0]);
  return [
    frame.left + right * (frame.right - frame.left),
    frame.bottom - high * (frame.bottom - frame.top),
  ];
}

// Where a point is drawn: at the edge, if it has left the picture.
function placeOfPoint(point) {
  const [x, y] = place(point.w, isOne() ? lossAt(point) : point.b);
  return [
    Math.min(Math.max(x, frame.left), frame.right),
    Math.min(Math.max(y, frame.top), frame.bottom),
  ];
}

// Round numbers between two, about five of them.
function ticks([low, high]) {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].find(factor => factor * power >= rough) * power;
  const found = [];
  for (let n = Math.ceil(low / size); n * size <= high; n++) found.push(n * size);
  return found;
}

function drawAxes() {
  const { across, up } = ranges();
  const { left, right, top, bottom } = frame;
  shape("line", { x1: left, y1: bottom, x2: right, y2: bottom, class: "axis" });
  shape("line", { x1: left, y1: bottom, x2: left, y2: top, class: "axis" });
  for (const x of ticks(across)) {
    const [at] = place(x, up[0]);
    shape("line", { x1: at, y1: bottom, x2: at, y2: bottom + 5, class: "tick" });
    shape("text", { x: at, y: bottom + 19, "text-anchor": "middle" }, short(x));
  }
  for (const y of ticks(up)) {
    const [, at] = place(across[0], y);
    shape("line", { x1: left - 5, y1: at, x2: left, y2: at, class: "tick" });
    shape("text", { x: left - 8, y: at + 4, "text-anchor": "end" }, short(y));
  }
  const middle = (left + right) / 2;
  const name = `w (kg per ${bowl().unit})`;
  shape("text", { x: middle, y: bottom + 40, "text-anchor": "middle" }, name);
  const height = (top + bottom) / 2;
  const turned = `rotate(-90 14 ${height})`;
  const look = { x: 14, y: height, "text-anchor": "middle", transform: turned };
  shape("text", look, isOne() ? "loss (kg²)" : "b (kg)");
}

function drawCurve() {
  const { across } = ranges();
  const points = [];
  for (let n = 0; n <= 120; n++) {
    const w = across[0] + (n / 120) * (across[1] - across[0]);
    points.push(place(w, lossAt({ w, b: bowl().b })).join());
  }
  shape("polyline", { points: points.join(" "), class: "curve" });
  const [x] = place(bowl().w, 0);
  shape("line", { x1: x, y1: frame.top, x2: x, y2: frame.bottom, class: "minimum" });
  shape("text", { x: x + 4, y: frame.top + 12 }, "minimum");
}

// Ellipses on which the loss is the same: d · H d = 2 · height.
function drawContours() {
  const { w, b, hessian } = bowl();
  const corner = { w: ranges().across[0], b: ranges().up[0] };
  const highest = lossAt(corner) - bowl().least;
  // With H = L Lᵀ, the points are d = L⁻ᵀ (cos, sin) · √(2 · height).
  const l11 = Math.sqrt(hessian[0][0]);
  const l21 = hessian[0][1] / l11;
  const l22 = Math.sqrt(hessian[1][1] - l21 * l21);
  const clip = shape("clipPath", { id: "inside" });
  const { left: x0, right: x1, top: y0, bottom: y1 } = frame;
  clip.append(shape("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0 }));
  for (const share of [0.02, 0.08, 0.18, 0.32, 0.5, 0.72]) {
    const radius = Math.sqrt(2 * share * highest);
    const points = [];
    for (let n = 0; n <= 90; n++) {
      const angle = (2 * Math.PI * n) / 90;
      const db = (radius * Math.sin(angle)) / l22;
      const dw = (radius * Math.cos(angle) - l21 * db) / l11;
      points.push(place(w + dw, b + db).join());
    }
    shape("polyline", { points: points.join(" "), class: "contour", "clip-path": "url(#inside)" });
    const label = place(w, b + radius / l22);
    const height = short(bowl().least + share * highest);
    if (label[1] > frame.top + 12) shape("text", { x: label[0] + 3, y: label[1] - 3 }, height);
  }
  const [x, y] = place(w, b);
  shape("text", { x, y: y + 5, "text-anchor": "middle" }, "✕");
}

function drawMove(from, to, kind) {
  const [x1, y1] = placeOfPoint(from);
  const [x2, y2] = placeOfPoint(to);
  const length = Math.hypot(x2 - x1, y2 - y1);
  const away = kind === "away" ? " away" : "";
  shape("line", { x1, y1, x2, y2, class: `move${away}` });
  if (length < 12) return; // too short for a head
  const [dx, dy] = [(x2 - x1) / length, (y2 - y1) / length];
  const [tip, back] = [[x2 - 5 * dx, y2 - 5 * dy], [x2 - 15 * dx, y2 - 15 * dy]];
  const side = [-5 * dy, 5 * dx];
  const left = [back[0] + side[0], back[1] + side[1]];
  const right = [back[0] - side[0], back[1] - side[1]];
  const points = [tip, left, right];
  shape("polygon", { points: points.map(point => point.join()).join(" "), class: `head${away}` });
}

function drawPath(path) {
  path.slice(1).forEach((point, n) => drawMove(path[n], point, verdict(path[n], point)));
  path.forEach((point, n) => {
    const [cx, cy] = placeOfPoint(point);
    shape("circle", { cx, cy, r: 4.5, class: "dot" });
    const isNumbered = n <= 5 || n === path.length - 1;
    const [x0, y0] = n ? placeOfPoint(path[n - 1]) : [-99, -99];
    const isApart = Math.hypot(cx - x0, cy - y0) > 16 || n === path.length - 1;
    if (isNumbered && isApart) {
      const isLeft = point.w < bowl().w;
      const x = cx + (isLeft ? -9 : 9);
      shape("text", { x, y: cy + 4, "text-anchor": isLeft ? "end" : "start" }, n);
    }
  });
  if (isOne()) drawSlope(path.at(-1));
}

function drawSlope(point) {
  const { across, up } = ranges();
  const [x, y] = placeOfPoint(point);
  const perPixel = (across[1] - across[0]) / (frame.right - frame.left);
  const rise = (slopesAt(point).w * perPixel * (frame.bottom - frame.top)) / (up[1] - up[0]);
  const reach = 34 / Math.hypot(1, rise);
  const line = { x1: x - reach, y1: y + reach * rise, x2: x + reach, y2: y - reach * rise };
  shape("line", { ...line, class: "slope" });
}

function drawHandle() {
  const [cx, cy] = placeOfPoint(startPoint());
  shape("circle", { cx, cy, r: 10, class: "handle", id: "handle" });
}

// ── All together ───────────────────────────────────────────────────────────────────────────────

function show() {
  const path = pathOf(state.rate, state.steps);
  const before = path.at(-2) ?? path[0];
  part("picture").replaceChildren();
  drawAxes();
  if (isOne()) drawCurve();
  else drawContours();
  drawHandle();
  drawPath(path);
  part("line").textContent = sentence(path);
  part("steps").textContent = state.steps === 1 ? "1 step" : `${state.steps} steps`;
  part("zone-words").textContent = zoneWords();
  document.body.className = state.steps ? verdict(before, path.at(-1)) : "";
  showControls();
  // (A page within a notebook has no address.)
  if (location.protocol !== "about:") history.replaceState(null, "", `#${address()}`);
}

function showControls() {
  const { across, up } = isOne() ? { ...ranges(), up: [0, 1] } : ranges();
  part("bowl").value = state.bowl;
  part("view").value = state.view;
  part("zone").checked = state.zone;
  part("rate-slider").value = Math.log10(state.rate);
  part("rate-slider").setAttribute("aria-valuetext", short(state.rate));
  if (document.activeElement !== part("rate")) {
    part("rate").value = Number(state.rate.toPrecision(4));
  }
  [part("w").min, part("w").max, part("w").value] = [...across, state.w];
  part("w").setAttribute("aria-valuetext", short(state.w));
  part("b-label").hidden = isOne();
  [part("b").min, part("b").max, part("b").value] = [...up, state.b];
  part("b").setAttribute("aria-valuetext", short(state.b));
  for (const id of ["back", "restart"]) part(id).setAttribute("aria-disabled", state.steps === 0);
  part("step").setAttribute("aria-disabled", state.steps >= most);
  part("run").textContent = timer === null ? "Run" : "Pause";
}

function address() {
  const { view, bowl, rate, w, b, steps, zone } = state;
  const parts = [`view=${view}`, `bowl=${bowl}`];
  for (const [name, number] of Object.entries({ rate, w, b })) {
    parts.push(`${name}=${Number(number.toPrecision(6))}`);
  }
  parts.push(`steps=${steps}`);
  if (zone) parts.push("zone=1");
  return parts.join("&");
}

// What the address says, as far as it makes sense; the rest stays as it is at first.
function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (names.includes(given.get("bowl"))) state.bowl = given.get("bowl");
  state.view = given.get("view") === "two" ? "two" : "one";
  state.zone = given.get("zone") === "1";
  setDefaults();
  const { across, up } = ranges();
  const number = (name, low, high) => {
    const value = given.has(name) && given.get(name) !== "" ? Number(given.get(name)) : NaN;
    return value >= low && value <= high ? value : null;
  };
  state.rate = number("rate", 1e-4, 10) ?? state.rate;
  state.w = number("w", ...across) ?? state.w;
  if (!isOne()) state.b = number("b", ...up) ?? state.b;
  state.steps = Math.round(number("steps", 0, most) ?? 0);
  show();
}

// A rate that makes small steps, and a start on the left.
function setDefaults() {
  state.rate = Number((0.15 / curvature()).toPrecision(1));
  state.w = bowl().w - 1.4 * Math.abs(bowl().w);
  state.b = bowl().b - 0.4 * Math.abs(bowl().b);
  state.steps = 0;
}

function change(changes) {
  pause();
  Object.assign(state, { steps: 0 }, changes);
  show();
}

function step() {
  const path = pathOf(state.rate, state.steps);
  if (state.steps >= most) return false;
  state.steps++;
  const after = next(path.at(-1), state.rate);
  show();
  return !hasArrived(after) && Number.isFinite(lossAt(after)) && Math.abs(after.w) < 1e6;
}

function pause() {
  clearInterval(timer);
  timer = null;
}

function run() {
  if (timer !== null) {
    pause();
    showControls();
    return;
  }
  timer = setInterval(() => {
    if (!step()) pause();
    showControls();
  }, milliseconds);
  showControls();
}

part("step").onclick = () => {
  pause();
  step();
};
part("run").onclick = run;
part("back").onclick = () => change({ steps: Math.max(0, state.steps - 1) });
part("restart").onclick = () => change({});
part("zone").onchange = () => change({ steps: state.steps, zone: part("zone").checked });
part("view").onchange = () => {
  state.view = part("view").value;
  pause();
  setDefaults();
  show();
};
part("bowl").onchange = () => {
  state.bowl = part("bowl").value;
  pause();
  setDefaults();
  show();
};
part("rate-slider").oninput = () => change({ rate: 10 ** Number(part("rate-slider").value) });
part("rate").onchange = () => {
  const rate = Number(part("rate").value);
  if (rate > 0 && rate <= 1000) change({ rate });
  else part("line").textContent = "A learning rate is a number above 0.";
};
part("w").oninput = () => change({ w: Number(part("w").value) });
part("b").oninput = () => change({ b: Number(part("b").value) });

// ── The handle ─────────────────────────────────────────────────────────────────────────────────

let isDragging = false;

function dragTo(event) {
  const box = part("picture").getBoundingClientRect();
  const { across, up } = ranges();
  const x = ((event.clientX - box.left) / box.width) * 640;
  const y = ((event.clientY - box.top) / box.height) * 420;
  const within = (value, [low, high]) => Math.min(Math.max(value, low), high);
  const width = frame.right - frame.left;
  const height = frame.bottom - frame.top;
  const w = within(across[0] + ((x - frame.left) / width) * (across[1] - across[0]), across);
  const b = within(up[0] + ((frame.bottom - y) / height) * (up[1] - up[0]), up);
  change(isOne() ? { w } : { w, b });
}

part("picture").onpointerdown = event => {
  if (event.target.id !== "handle") return;
  isDragging = true;
  part("picture").setPointerCapture(event.pointerId);
};
part("picture").onpointermove = event => isDragging && dragTo(event);
part("picture").onpointerup = part("picture").onpointercancel = () => (isDragging = false);

// ── Predictions ────────────────────────────────────────────────────────────────────────────────

// How far off a prediction was, as a factor.
function compared(given, right) {
  const factor = given / right;
  if (Math.abs(factor - 1) < 0.02) return "Right, to within 2 %.";
  if (factor > 1) return `That is ${short(factor)} times as large as the right answer.`;
  return `That is ${short(1 / factor)} times too small.`;
}

function useFirstBowl() {
  pause();
  Object.assign(state, { view: "one", bowl: names[0] });
  setDefaults();
}

function whatItTakes(rate) {
  const steps = stepsToArrive(rate);
  if (steps === Infinity) return "never arrives";
  return `arrives after ${steps} ${steps === 1 ? "step" : "steps"}`;
}

const answers = {
  fewest(given) {
    const best = 1 / curvature();
    return (
      `${compared(given, best)} Your rate ${whatItTakes(given)}; 1/λ = ${short(best)} ` +
      `${whatItTakes(best)}. There a step is exactly as long as the distance.`
    );
  },
  largest(given) {
    const end = 2 / curvature();
    return (
      `${compared(given, end)} The zone ends at 2/λ = ${short(end)}. At just that rate, each step ` +
      `jumps to the other side, as far as before. Your rate ${whatItTakes(given)}.`
    );
  },
  other(given) {
    const [first, second] = names.map(name => bowls[name].hessian[0][0]);
    const right = first / second;
    const factor = short(second / first);
    const root = short(Math.sqrt(second / first));
    return (
      `${compared(given, right)} It is ${short(right)}. The lengths are ${root} times as large ` +
      `there, so the curvature is ${root} · ${root} = ${factor} times as large, and the zone ends ` +
      `at 1/${factor} of the rate.`
    );
  },
};

for (const [id, answer] of Object.entries(answers)) {
  part(id).onsubmit = event => {
    event.preventDefault();
    const given = Number(part(id).querySelector("input").value);
    const output = part(id).querySelector("output");
    if (!(given > 0)) {
      output.textContent = "It is a number above 0.";
      return;
    }
    useFirstBowl();
    output.textContent = answer(given);
    if (id !== "other" && given >= 1e-4 && given <= 10) state.rate = given;
    show();
  };
}

for (const name of names) {
  part("bowl").append(new Option(`${name}: lengths in ${bowls[name].unit}`, name));
}
window.onhashchange = fromAddress;
fromAddress();
