"use strict";

// Each step says a line, lights up parts of the graph, and writes rows of boxes. The picture always
// shows what all steps up to now have lit and written, so going back is the same as going forward
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
const steps = JSON.parse(part("steps").textContent);
const last = steps.length - 1;
const milliseconds = 3000; // from step to step, at speed 1
let now = 0; // the step that is shown
let timer = null; // null unless the film plays

function show(step) {
  now = Math.min(Math.max(step, 0), last);
  const current = steps[now];
  const litNow = current.lit.map(part);
  for (const shape of picture.querySelectorAll(".node, .edge")) {
    shape.classList.remove("done", "lit", "back");
  }
  for (const { write } of steps) {
    for (const [id, row] of write) rowOf(id, row).textContent = row;
  }
  for (const { lit, write, phase } of steps.slice(0, now + 1)) {
    for (const shape of lit.map(part)) {
      shape.classList.add("done");
      if (phase === "backward") shape.classList.add("back");
    }
    for (const [id, row, text] of write) rowOf(id, row).textContent = `${row} ${text}`;
  }
  for (const shape of litNow) shape.classList.add("lit");
  document.body.className = current.phase;
  line.textContent = current.say;
  slider.value = now;
  count.value = `${now} of ${last}`;
  slider.setAttribute("aria-valuetext", count.value);
  // (Not `disabled`: a disabled button would lose the keyboard's focus.)
  for (const button of [back, restart]) button.setAttribute("aria-disabled", now === 0);
  forward.setAttribute("aria-disabled", now === last);
  const boxes = litNow.map(shape => shape.getBoundingClientRect());
  bringIntoSight(boxes, "left", "right", "scrollLeft");
  bringIntoSight(boxes, "top", "bottom", "scrollTop");
}

// Scroll the picture in one direction, and nothing around it, to show everything that is lit. If
// that does not fit, show the first part: the line is about it.
function bringIntoSight(boxes, low, high, scroll) {
  const view = picture.getBoundingClientRect();
  let from = Math.min(...boxes.map(box => box[low]));
  let to = Math.max(...boxes.map(box => box[high]));
  if (to - from >= view[high] - view[low]) {
    from = boxes[0][low];
    to = boxes[0][high];
  }
  if (from < view[low] || to > view[high]) {
    picture[scroll] += (from + to - view[low] - view[high]) / 2;
  }
}

// A box has three lines: its name, its data and its grad.
function rowOf(id, row) {
  return part(id).querySelectorAll("text")[row === "data" ? 1 : 2];
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
document.querySelector("ol").onclick = event => {
  const link = event.target.closest("a");
  if (!link) return;
  event.preventDefault(); // within a notebook the link would lead away from the film
  goByHand(Number(link.hash.slice(1)));
};

const keys = {
  ArrowRight: () => goByHand(now + 1),
  ArrowLeft: () => goByHand(now - 1),
  Home: () => goByHand(0),
  End: () => goByHand(last),
  " ": toggle,
};
document.addEventListener("keydown", event => {
  const isShortcut = event.ctrlKey || event.altKey || event.metaKey; // of the browser
  if (isShortcut || !(event.key in keys)) return;
  // Some controls use these keys themselves, and buttons use the space bar.
  if (event.target.closest("input, select")) return;
  if (event.key === " " && (event.repeat || event.target.closest("button, summary"))) return;
  event.preventDefault();
  keys[event.key]();
});

// The picture is as wide as the page, unless that would be too small to read, or needlessly large.
const drawing = picture.querySelector("svg");
const width = drawing.viewBox.baseVal.width;
drawing.style.width = `clamp(${width}px, 100%, ${1.6 * width}px)`;
fromAddress();
