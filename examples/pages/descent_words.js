
// What the page says of a path: the sentences below the picture.

// ── Words ──────────────────────────────────────────────────────────────────────────────────────

// Such as 0.0123, −14,720, 10⁻⁴ and 7.89 × 10⁻¹².
function short(x, digits = 4) {
  const size = Math.abs(x);
  if (size < 1e-12) return "0";
  const sign = x < 0 ? "−" : "";
  const [first, power] = size.toExponential(digits - 1).split("e");
  if (power >= -3 && power < 6) {
    return sign + size.toLocaleString("en", { maximumSignificantDigits: digits });
  }
  const tens = powerOfTen(power);
  return sign + (Number(first) === 1 ? tens : `${Number(first)}\u00a0×\u00a0${tens}`);
}

// With as many digits as it takes to tell it from the other number.
function apart(x, other) {
  let digits = 4;
  while (x !== other && digits < 15 && short(x, digits) === short(other, digits)) digits++;
  return short(x, digits);
}

// As a factor: a negative number in brackets.
const factor = x => (short(x).startsWith("−") ? `(${short(x)})` : short(x));
const pair = ({ w, b }) => `(${short(w)}, ${short(b)})`;
const lossInWords = point => `Loss: ${short(lossAt(point))} ${yUnit}².`;

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
  const limit = zoneEnd(loss());
  const kept = 1 - state.rate * curvature;
  const whose = isOne() ? "The curvature λ" : "In the bowl's steepest direction, the curvature λ";
  const where = isOne() ? "" : " in that direction";
  return (
    `${whose}, how fast the slope changes, is ${short(curvature)}${otherCurvature()}. The slope ` +
    `is λ · distance from the minimum, so a step multiplies the distance${where} by ` +
    `1 − rate · λ = ${apart(kept, -1)}. It arrives if that is between −1 and 1: below the rate ` +
    `2/λ = ${apart(limit, state.rate)}. Your rate, ${apart(state.rate, limit)}, is ` +
    `${besideLimit(state.rate / limit)}.`
  );
}

function besideLimit(share) {
  if (Math.abs(share - 1) < 1e-8) return "exactly that: it neither arrives nor diverges";
  return `${apart(share, 1)} times that: it ${share < 1 ? "arrives" : "diverges"}`;
}

// Why the curvature with two weights is another than with one.
function otherCurvature() {
  if (isOne()) return "";
  const { below, one } = bowls[state.bowl];
  return (
    ` (not ${short(one.curvature)}, as with one weight: here b moves, too, and ${xName} counts ` +
    `from ${short(below)} ${unit()} below its mean)`
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
      (stays ? ", and dash-dotted ones to a place as far from it." : ".")
    );
  }
  return (
    `✕ is the minimum. All along a line, the loss is the same; its number is in ${yUnit}². The ` +
    "dotted lines show how far w and b moved in the last step. Solid blue arrows lead downhill, " +
    `dashed orange ones uphill${stays ? ", and dash-dotted ones to the same loss." : "."}`
  );
}
