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
  back.disabled = restart.disabled = now === 0;
  forward.disabled = now === last;
  // All of it in sight, if it fits; else the first, which is what the line speaks of.
  for (const id of [...current.lit].reverse()) document.getElementById(id).scrollIntoView({ block: "nearest", inline: "nearest" });
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
  else timer = setTimeout(advance, milliseconds / speed.value);
}

function start() {
  play.textContent = "Pause";
  if (now === last) go(0);
  timer = setTimeout(advance, milliseconds / speed.value / 3);
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
window.onhashchange = fromAddress;

const keys = { ArrowRight: () => by(now + 1), ArrowLeft: () => by(now - 1), Home: () => by(0), End: () => by(last), " ": toggle };
document.addEventListener("keydown", event => {
  const own = event.target.closest("input, select") || (event.key === " " && event.target.closest("button, summary, a"));
  if (own || !(event.key in keys) || event.ctrlKey || event.altKey || event.metaKey) return; // those use these keys themselves
  event.preventDefault();
  keys[event.key]();
});

// The picture is as wide as the page, unless nobody could read it then, or nobody would need it as large.
const drawing = picture.querySelector("svg");
const width = drawing.viewBox.baseVal.width;
drawing.style.width = `clamp(${width}px, 100%, ${1.6 * width}px)`;
fromAddress();
