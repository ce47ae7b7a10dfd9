"use strict";

// Each step says a line, lights some of the graph, and writes rows of boxes. What the picture shows after a step is what
// all steps up to it have lit and written, so going back is the same as going forward from the start.
const steps = JSON.parse(document.getElementById("steps").textContent);
const [line, restart, back, play, forward, slider, count, speed, picture] =
  ["line", "restart", "back", "play", "forward", "slider", "count", "speed", "picture"].map(id => document.getElementById(id));
const last = steps.length - 1;
const milliseconds = 3000; // a step, at speed 1
let now = 0;
let timer = null; // while the film plays

function show(step) {
  now = Math.min(Math.max(step, 0), last);
  const current = steps[now];
  for (const part of picture.querySelectorAll(".node, .edge")) part.classList.remove("done", "lit", "back");
  for (const [id, row] of steps.flatMap(({ write }) => write)) rowOf(id, row).textContent = row;
  for (const { lit, write, phase } of steps.slice(0, now + 1)) {
    for (const id of lit) {
      const part = document.getElementById(id);
      part.classList.add("done");
      if (phase === "backward") part.classList.add("back");
    }
    for (const [id, row, text] of write) rowOf(id, row).textContent = `${row} ${text}`;
  }
  for (const id of current.lit) document.getElementById(id).classList.add("lit");
  document.body.className = current.phase;
  line.textContent = current.say;
  slider.value = now;
  count.value = `${now} of ${last}`;
  slider.setAttribute("aria-valuetext", count.value);
  // (Not `disabled`: that would take the keyboard's focus away.)
  for (const button of [back, restart]) button.setAttribute("aria-disabled", now === 0);
  forward.setAttribute("aria-disabled", now === last);
  bringIntoSight(current.lit.map(id => document.getElementById(id).getBoundingClientRect()));
}

// Scroll the picture, and nothing around it: all that is lit, if it fits, and else the first, of which the line speaks.
function bringIntoSight(lit) {
  const view = picture.getBoundingClientRect();
  for (const [low, high, scroll] of [["left", "right", "scrollLeft"], ["top", "bottom", "scrollTop"]]) {
    const all = [Math.min(...lit.map(box => box[low])), Math.max(...lit.map(box => box[high]))];
    const [from, to] = all[1] - all[0] < view[high] - view[low] ? all : [lit[0][low], lit[0][high]];
    if (from < view[low] || to > view[high]) picture[scroll] += (from + to - view[low] - view[high]) / 2;
  }
}

// A box has three lines: its name, its data and its grad.
function rowOf(id, row) {
  return document.getElementById(id).querySelectorAll("text")[row === "data" ? 1 : 2];
}

function go(step) {
  show(step);
  if (location.protocol !== "about:") history.replaceState(null, "", `#${now}`); // a page within a notebook has no address
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

function wait(part) {
  clearTimeout(timer);
  timer = setTimeout(advance, part * milliseconds / speed.value);
}

function start() {
  play.textContent = "Pause";
  if (now === last) go(0);
  wait(1 / 3);
}

function by(hand) { // whoever steps takes over from the film
  pause();
  go(hand);
}

function fromAddress() {
  pause();
  show(Number.parseInt(location.hash.slice(1), 10) || 0);
}

const toggle = () => (timer === null ? start() : pause());
restart.onclick = () => by(0);
back.onclick = () => by(now - 1);
forward.onclick = () => by(now + 1);
play.onclick = toggle;
slider.oninput = () => by(Number(slider.value));
speed.onchange = () => timer !== null && wait(1);
window.onhashchange = fromAddress;
document.querySelector("ol").onclick = event => {
  const link = event.target.closest("a");
  if (!link) return;
  event.preventDefault(); // within a notebook it would lead away from the film
  by(Number(link.hash.slice(1)));
};

const keys = { ArrowRight: () => by(now + 1), ArrowLeft: () => by(now - 1), Home: () => by(0), End: () => by(last), " ": toggle };
document.addEventListener("keydown", event => {
  const own = event.target.closest("input, select") || (event.key === " " && (event.repeat || event.target.closest("button, summary")));
  if (own || !(event.key in keys) || event.ctrlKey || event.altKey || event.metaKey) return; // those use these keys themselves
  event.preventDefault();
  keys[event.key]();
});

// The picture is as wide as the page, unless nobody could read it then, or nobody would need it as large.
const drawing = picture.querySelector("svg");
const width = drawing.viewBox.baseVal.width;
drawing.style.width = `clamp(${width}px, 100%, ${1.6 * width}px)`;
fromAddress();
