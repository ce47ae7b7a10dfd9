
// What happens on the page: the controls, the steps, the address, and the predictions.

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
  if (!isTyped) showRate();
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
  part("count").textContent = inSteps(state.rates.length);
}

function showRate() {
  const field = part("rate");
  field.removeAttribute("aria-invalid");
  // (It may have been typed with more digits.)
  if (Number(field.value) !== state.rate) field.value = rounded(state.rate, 4);
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
  isTyped = false;
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
  isTyped = false;
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
  if (hasRate()) step();
};
part("run").onclick = () => {
  if (timer === null) {
    if (hasRate()) run();
    return;
  }
  pause();
  show();
};
part("back").onclick = () => change({ rates: state.rates.slice(0, -1) });
part("restart").onclick = () => change({});
part("zone").onchange = () => change({ rates: state.rates, zone: part("zone").checked });
part("rate-slider").oninput = () => {
  changeRate(rounded(10 ** Number(part("rate-slider").value), 3));
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

// ── A rate that is typed ───────────────────────────────────────────────────────────────────────

let isTyped = false; // whether the field holds a text that is not the rate, or not yet

part("rate").oninput = () => {
  isTyped = true;
  pause();
  show();
};
// Half of a number is another number. So it is taken when it is complete: at Enter, or at leaving.
part("rate").onchange = takeRate;

function takeRate() {
  const typed = part("rate").value;
  const problem = typedProblem(typed);
  if (problem === "") return changeRate(numberTyped(typed));
  part("rate").setAttribute("aria-invalid", "true");
  notice = `${problem} Type another rate to go on; it was ${short(state.rate)}.`;
  show();
}

// There are no steps while the field holds something else than a rate.
function hasRate() {
  if (isTyped) takeRate();
  return !isTyped;
}

function typedProblem(text) {
  const typed = text.trim();
  const shown = `“${typed.slice(0, 20)}”`;
  if (isAmbiguous(typed)) return ambiguityInWords(typed);
  const rate = numberTyped(typed);
  if (typed !== "" && Number.isNaN(rate)) {
    return `${shown} is not a number. A learning rate is a number above 0, such as 0.1.`;
  }
  return rateProblem(rate);
}

function rateProblem(rate) {
  if (!(rate > 0)) return "A learning rate is a number above 0, such as 0.1.";
  if (rate > largestRate) return `The page takes rates up to ${largestRate.toLocaleString("en")}.`;
  if (rate < smallestRate) return `The page takes rates from ${short(smallestRate)}.`;
  return "";
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
    PageUp: up.map(x => 5 * x),
    PageDown: up.map(x => -5 * x),
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

// A rate above the limit is wrong, however near it is. `praise` is "" if the rate is not right.
function verdictOn(given, right, praise) {
  const limit = zoneEnd(loss());
  if (given > limit) {
    const how = given < 1.02 * limit ? "Just too large" : "Too large";
    return `${how}: ${apart(given, limit)} never arrives.`;
  }
  return `${praise || offBy(given, right)} Your rate ${whatItTakes(given)}.`;
}

// (It is not above the limit.)
function whatItTakes(rate) {
  if (rate === zoneEnd(loss())) return "goes to and fro, always at the same distance";
  const steps = stepsToArrive(rate);
  if (steps === Infinity) return `takes more than 100,000 steps (Run shows the first ${most})`;
  return `takes ${inSteps(steps)}${steps > most ? ` (Run shows the first ${most})` : ""}`;
}

// The limit in the second bowl, as a share of the first bowl's, and how many times as large the
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
      return (
        `${verdictOn(given, right, isRight ? "Right." : "")} The rate ${apart(right, given)} ` +
        `${whatItTakes(right)}. It is 1/λ; ${lambdaInWords()}. So rate · slope is the whole ` +
        "distance to the minimum."
      );
    },
  },
  limit: {
    bowl: names[0],
    right: () => zoneEnd(loss()),
    rateOf: given => given,
    name: "2/λ",
    reply(given, right) {
      const praise = given > 0.98 * right ? "Right, to within 2%." : "";
      return (
        `${verdictOn(given, right, praise)} All rates below 2/λ = ${apart(right, given)} arrive; ` +
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
        `${short(second)}, not ${short(first)}. The limit, 2/λ, is ${rates[1]}, ` +
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
  const typed = part(`${id}-guess`).value;
  const problem = id === "other" && typed === "" ? "Choose one." : typedProblem(typed);
  if (problem !== "") {
    hideRuns();
    say("answer", problem);
    return;
  }
  answered = task;
  const given = numberTyped(typed);
  const mine = task.rateOf(given);
  goTo(task, mine);
  const right = task.right();
  const best = task.rateOf(right);
  say("answer", task.reply(given, right));
  offerRun("run-mine", `Run yours: ${apart(mine, best)}`, task, mine);
  offerRun("run-right", `Run ${task.name}: ${apart(best, mine)}`, task, best);
  part("run-mine").hidden = Math.abs(given / right - 1) < 1e-9; // the same rate
  part("see").hidden = false;
}

function offerRun(id, words, task, rate) {
  part(id).textContent = words;
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
for (const id of ["fewest", "limit"]) say(`${id}-about`, `(${settingInWords(tasks[id])})`);
showTask("fewest");
measure();
window.onhashchange = readAddress;
window.onresize = () => {
  measure();
  show();
};
readAddress();
