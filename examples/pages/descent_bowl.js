
// The loss is a bowl: least + ½ d · H d, where d is the distance from the lowest point, and H, the
// Hessian, holds the second derivatives. The slopes are H d. microgd computed the lowest point, H
// and its largest curvature λ, for each bowl with one weight (w, at the best b) and with two.
//
// What the page shows follows from `state` alone. Each change of it ends in `show`.

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
