"use strict";

// Each step says a line, lights up boxes and edges, and shows numbers in them. The picture always
// shows what all steps up to now have lit and shown, so going back is the same as going forward
// from the start.

const part = id => document.getElementById(id);
const line = part("line");
const restart = part("restart");
const back = part("back");
const play = part("play");
const forward = part("forward");
const slider = part("slider");
const count = part("count");
const speed = part("speed");
const picture = part("picture");
const header = document.querySelector("header");
const steps = JSON.parse(part("steps").textContent);
const listing = part("program"); // null, if there is no program beside the graph
const code = document.querySelectorAll("#program code");
const last = steps.length - 1;
const milliseconds = 3000; // from step to step, at speed 1
let now = 0; // the step that is shown
let timer = null; // null unless the film plays
const overview = part("overview");
const marks = new Map(); // the small box in the overview for each box of the picture
let sight = null; // the frame in the overview; null, if the picture is not tall

// Parts of boxes are hidden until the step that shows them first.
const firstShown = new Map();
steps.forEach(({ show }, number) => {
  for (const id of show) {
    if (part(id) && !firstShown.has(id)) firstShown.set(id, number);
  }
});

// Hundreds of links would stop the Tab key, and the list of steps has them all.
for (const link of picture.querySelectorAll("a")) link.setAttribute("tabindex", "-1");

function show(step) {
  now = Math.min(Math.max(step, 0), last);
  const current = steps[now];
  const litNow = current.lit.map(part);
  for (const shape of picture.querySelectorAll(".node, .edge")) {
    shape.classList.remove("done", "lit");
  }
  for (const { lit } of steps.slice(0, now + 1)) {
    for (const shape of lit.map(part)) shape.classList.add("done");
  }
  for (const [id, number] of firstShown) {
    part(id).classList.toggle("hidden", number > now);
    part(id).classList.toggle("new", number === now);
  }
  for (const shape of litNow) shape.classList.add("lit");
  for (const [shape, mark] of marks) colour(mark, shape);
  code.forEach((line, i) => line.classList.toggle("running", current.code.includes(i)));
  document.body.className = current.phase;
  line.textContent = current.say;
  slider.value = now;
  count.value = `${now} of ${last}`;
  slider.setAttribute("aria-valuetext", count.value);
  // (Not `disabled`: a disabled button would lose the keyboard's focus.)
  for (const button of [back, restart]) button.setAttribute("aria-disabled", now === 0);
  forward.setAttribute("aria-disabled", now === last);
  lookAtStep();
}

// Give the picture the room below the header, and show the parts of it that the line is about.
function lookAtStep() {
  document.documentElement.style.setProperty("--header", `${header.offsetHeight}px`);
  const litNow = steps[now].lit.map(part);
  const newNow = [...picture.querySelectorAll(".new")];
  const choices = [litNow, newNow, newNow.slice(-1), litNow.slice(0, 1)];
  bringIntoSight(choices, "left", "right", "scrollLeft");
  bringIntoSight(choices, "top", "bottom", "scrollTop");
  const running = document.querySelector(".running");
  frameWhatIsInSight();
  if (running) listing.scrollTop = running.offsetTop - listing.offsetTop - listing.clientHeight / 3;
}

// Scroll the picture in one direction, and nothing around it, to show the first of these choices
// that fits.
function bringIntoSight(choices, low, high, scroll) {
  const view = picture.getBoundingClientRect();
  let from, to;
  for (const shapes of choices.filter(shapes => shapes.length > 0)) {
    const boxes = shapes.map(shape => shape.getBoundingClientRect());
    from = Math.min(...boxes.map(box => box[low]));
    to = Math.max(...boxes.map(box => box[high]));
    if (to - from < view[high] - view[low]) break;
  }
  if (from < view[low] || to > view[high]) {
    picture[scroll] += (from + to - view[low] - view[high]) / 2;
  }
}

// If the picture is much taller than the window, show where in it the step is: a small box for each
// of its boxes, beside it.
function drawOverview() {
  overview.hidden = true;
  overview.replaceChildren();
  marks.clear();
  sight = null;
  if (picture.scrollHeight < 1.5 * picture.clientHeight) return;
  overview.hidden = false;
  // As high as the window on the picture, and narrow, since it takes its width from the picture.
  overview.style.height = `${picture.clientHeight}px`;
  const { scrollWidth, scrollHeight } = picture;
  const small = document.createElementNS(drawing.namespaceURI, "svg");
  small.setAttribute("viewBox", `0 0 ${scrollWidth} ${scrollHeight}`);
  small.setAttribute("preserveAspectRatio", "none");
  const corner = drawing.getBoundingClientRect();
  for (const shape of drawing.querySelectorAll(".node")) {
    const box = shape.getBoundingClientRect();
    const mark = place(small, box.left - corner.left, box.top - corner.top, box.width, box.height);
    colour(mark, shape);
    marks.set(shape, mark);
  }
  sight = place(small, 0, 0, 0, 0);
  sight.setAttribute("class", "sight");
  overview.append(small);
  lookAtStep(); // in the picture of this size
}

function place(drawing, x, y, width, height) {
  const rectangle = document.createElementNS(drawing.namespaceURI, "rect");
  setAttributes(rectangle, { x, y, width, height });
  drawing.append(rectangle);
  return rectangle;
}

// A small box is lit and done as the box is that it stands for.
function colour(mark, shape) {
  for (const name of ["done", "lit"]) mark.classList.toggle(name, shape.classList.contains(name));
}

function setAttributes(shape, attributes) {
  for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
}

function frameWhatIsInSight() {
  if (sight === null) return;
  setAttributes(sight, {
    x: picture.scrollLeft, y: picture.scrollTop,
    width: picture.clientWidth, height: picture.clientHeight,
  });
}

function go(step) {
  show(step);
  // (A page within a notebook has no address.)
  if (location.protocol !== "about:") history.replaceState(null, "", `#${now}`);
}

function pause() {
  clearTimeout(timer);
  timer = null;
  play.textContent = "Play";
}

function advance() {
  go(now + 1);
  if (now === last) pause();
  else wait(1);
}

function wait(fraction) {
  clearTimeout(timer);
  timer = setTimeout(advance, fraction * milliseconds / speed.value);
}

function start() {
  play.textContent = "Pause";
  if (now === last) go(0);
  wait(1 / 3);
}

// The reader takes over: the film stops playing.
function goByHand(step) {
  pause();
  go(step);
}

function fromAddress() {
  pause();
  show(Number.parseInt(location.hash.slice(1), 10) || 0);
}

const toggle = () => (timer === null ? start() : pause());
restart.onclick = () => goByHand(0);
back.onclick = () => goByHand(now - 1);
forward.onclick = () => goByHand(now + 1);
play.onclick = toggle;
slider.oninput = () => goByHand(Number(slider.value));
speed.onchange = () => timer !== null && wait(1);
window.onhashchange = fromAddress;
window.onresize = () => {
  lookAtStep();
  drawOverview();
};
picture.onscroll = frameWhatIsInSight;
overview.onclick = event => {
  const { left, top, width, height } = overview.getBoundingClientRect();
  const across = (event.clientX - left) / width * picture.scrollWidth;
  const down = (event.clientY - top) / height * picture.scrollHeight;
  picture.scrollTo(across - picture.clientWidth / 2, down - picture.clientHeight / 2);
};
for (const place of [document.querySelector("ol"), picture]) {
  place.onclick = event => {
    const link = event.target.closest("a");
    if (!link) return;
    event.preventDefault(); // within a notebook the link would lead away from the film
    const address = link.getAttribute("href") ?? link.getAttribute("xlink:href");
    goByHand(Number(address.slice(1)));
  };
}

const keys = {
  ArrowRight: () => goByHand(now + 1),
  ArrowLeft: () => goByHand(now - 1),
  Home: () => goByHand(0),
  End: () => goByHand(last),
  " ": toggle,
};
const sideways = { ArrowLeft: -120, ArrowRight: 120 }; // pixels
document.addEventListener("keydown", event => {
  const isShortcut = event.ctrlKey || event.altKey || event.metaKey; // of the browser
  if (isShortcut || !(event.key in keys)) return;
  // Some controls use these keys themselves, and buttons use the space bar.
  if (event.target.closest("input, select")) return;
  if (event.shiftKey && event.key in sideways) {
    event.preventDefault();
    picture.scrollLeft += sideways[event.key];
    return;
  }
  if (event.key === " " && (event.repeat || event.target.closest("button, summary"))) return;
  event.preventDefault();
  keys[event.key]();
});

// The picture shrinks with the page, until its smallest text would have 9 pixels. (12 at first.)
const drawing = picture.querySelector("svg");
drawing.style.minWidth = `${0.75 * drawing.width.baseVal.value}px`;
fromAddress();
drawOverview();
