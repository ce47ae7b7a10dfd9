
// The picture: the loss over one weight or two, the steps as arrows, and words where there is room.

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

// The part of a line that is in the picture, or null.
function partInside([x1, y1], [x2, y2]) {
  const { left, right, top, bottom } = frame;
  let [first, last] = [0, 1]; // shares of the way
  for (const [from, to, low, high] of [
    [x1, x2, left, right],
    [y1, y2, top, bottom],
  ]) {
    const way = to - from || 1e-9; // it must not be 0
    const [enters, leaves] = [(low - from) / way, (high - from) / way].sort((a, b) => a - b);
    [first, last] = [Math.max(first, enters), Math.min(last, leaves)];
  }
  if (first >= last) return null;
  return [first, last].map(share => [x1 + share * (x2 - x1), y1 + share * (y2 - y1)]);
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
  const [x, y] = placeOf(path[0]);
  taken = [[x - 10, y - 10, x + 10, y + 10]]; // the ring of the start
  drawClip();
  drawAxes();
  const ellipses = isOne() ? [] : ellipsesToDraw();
  if (isOne()) drawCurve(path);
  else drawContours(ellipses);
  drawMoves(path, isNew);
  drawDots(path);
  if (isOne()) {
    keepClearOf(path);
    nameMinimum();
  } else drawMinimum();
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

// At the first of these places that has room; or else nowhere, or at the first if they are needed.
function drawWords(places, words, kind, areNeeded = false) {
  const free = places.find(place => isFree(boxOf(place, words)));
  const at = free ?? (areNeeded ? places[0] : undefined);
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
    const seen = partInside(placeOf(path[n - 1]), placeOf(path[n]));
    if (seen !== null) keepClearOfLine(...seen);
  }
}

function keepClearOfLine([x1, y1], [x2, y2]) {
  const count = Math.max(1, Math.ceil(Math.hypot(x2 - x1, y2 - y1) / 8));
  for (let n = 0; n <= count; n++) {
    const [x, y] = [x1 + (n / count) * (x2 - x1), y1 + (n / count) * (y2 - y1)];
    taken.push([x - 2, y - 2, x + 2, y + 2]);
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
  drawTangents(path);
}

// Above the minimum, and beside an arrow that passes there.
function nameMinimum() {
  const [x] = place(loss().w, 0);
  const above = { x, y: frame.top + 11, "text-anchor": "middle" };
  const lower = { ...above, y: frame.top + 60 };
  const places = [above, ...[-40, 40, -55, 55].map(across => ({ ...above, x: x + across })), lower];
  drawWords(places, `minimum: w = ${short(loss().w)}`, "number", true);
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
  keepClearOfLine(...ends);
}

// How many pixels long one unit of each axis is.
function perUnit() {
  const [x0, y0] = place(0, 0);
  const [x1, y1] = place(1, 1);
  return [x1 - x0, y0 - y1];
}

// To and fro, arrows would cover each other: there is one for each way.
function drawMoves(path, isNew) {
  const ways = waysOf(path);
  const seen = path.findLastIndex(point => !isOutside(point));
  ways.forEach((way, n) => {
    const isLast = n === ways.length - 1;
    if (way === "stays" && n < ways.length - 2) return;
    drawMove(path[n], path[n + 1], isLast && isNew ? `${way} new` : way, Math.max(0, seen - n));
  });
}

// Older steps are fainter, or many would be a single patch of colour. (The arrow that leaves the
// picture stays as it is.)
const strengthAt = age => Math.max(0.1, Math.min(1, 10 / (age + 1)));

function drawMove(before, after, kind, age) {
  const seen = partInside(placeOf(before), placeOf(after));
  if (seen === null) return;
  const [[x1, y1], [x2, y2]] = kind.startsWith("stays") ? shifted(...seen) : seen;
  const length = Math.hypot(x2 - x1, y2 - y1);
  const strength = strengthAt(age);
  const clipped = draw("g", { "clip-path": "url(#inside)", opacity: strength });
  const move = shape(clipped, "g", { class: `move ${kind}` });
  move.style.transformOrigin = `${x1}px ${y1}px`; // it grows from there
  shape(move, "line", { x1, y1, x2, y2, "stroke-width": 1 + strength });
  if (length < 14 || age > 20) return; // too short for a head, or too faint
  const [dx, dy] = [(x2 - x1) / length, (y2 - y1) / length];
  const gap = isOutside(after) ? 0 : 5; // room for a dot
  const back = [x2 - (gap + 10) * dx, y2 - (gap + 10) * dy];
  const corners = [
    [x2 - gap * dx, y2 - gap * dy],
    [back[0] - 5 * dy, back[1] + 5 * dx],
    [back[0] + 5 * dy, back[1] - 5 * dx],
  ];
  shape(move, "polygon", { points: corners.map(corner => corner.join()).join(" ") });
}

// A little to the left of where it goes, so that the way back has room on its other side.
function shifted([x1, y1], [x2, y2]) {
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const [right, down] = [(5 * (y2 - y1)) / length, (-5 * (x2 - x1)) / length];
  return [
    [x1 + right, y1 + down],
    [x2 + right, y2 + down],
  ];
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
    const words = numbersAt(path, n);
    drawWords(placesOfNumber(path[n], words, isLast), words, kind, isLast);
  }
}

// If steps go to and fro, several have been at the same place: "1, 3, 5", or "0, 2…20".
function numbersAt(path, n) {
  if (waysOf(path).at(-1) !== "stays") return `${n}`;
  const [x, y] = placeOf(path[n]);
  const isHere = ([otherX, otherY]) => Math.hypot(otherX - x, otherY - y) < 1;
  const all = [...path.keys()].filter(other => isHere(placeOf(path[other])));
  return all.length < 4 ? all.join(", ") : `${all[0]}, ${all[1]}…${all.at(-1)}`;
}

// Outside the curve; with two weights, above the dot. The last number must stand somewhere, so it
// has other places, too; and at the edge of the picture, there is no room outside.
function placesOfNumber(point, words, isLast) {
  const [x, y] = placeOf(point);
  if (!isOne()) {
    const up = words.startsWith("0") ? 16 : 10; // 0 has a ring
    const above = { x, y: y - up, "text-anchor": "middle" };
    if (!isLast) return [above];
    const right = { x: x + 10, y: y + 5, "text-anchor": "start" };
    const left = { x: x - 10, y: y + 5, "text-anchor": "end" };
    return [above, { ...above, y: y + up + 11 }, right, left];
  }
  const isLeft = point.w < loss().w;
  const out = isLeft ? -1 : 1; // the way out of the bowl
  const outward = isLeft ? "end" : "start";
  const inward = isLeft ? "start" : "end";
  const low = Math.min(y + 12, frame.bottom - 4);
  const outside = { x: x + 14 * out, y: low, "text-anchor": outward };
  const room = isLeft ? x - frame.left : frame.width - x;
  const isAtEdge = room < 16 + 7.5 * words.length;
  if (!isLast && !isAtEdge) return [outside];
  return [
    outside,
    { x: x - 14 * out, y: low, "text-anchor": inward },
    { x, y: y - 12, "text-anchor": "middle" },
    { x: x - 14 * out, y: y - 12, "text-anchor": inward },
    { x: x + 14 * out, y: y - 12, "text-anchor": outward },
    { x: x - 16 * out, y: y + 26, "text-anchor": inward },
  ];
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
  const sides = [
    { x: frame.left + 6, "text-anchor": "start" },
    { x: frame.right - 4, "text-anchor": "end" },
  ];
  if (!isLeft) sides.reverse();
  const places = [30, 50].flatMap(down => sides.map(side => ({ ...side, y: frame.top + down })));
  const where = isOne() ? `w = ${short(point.w)}` : pair(point);
  const text = `step ${path.length - 1}: ${where}`;
  drawWords(places, isLeft ? `← ${text}` : `${text} →`, "note", true);
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
