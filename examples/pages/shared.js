"use strict";

// What the pages share: how numbers are written, and where an element is.

const part = id => document.getElementById(id);
const raisedDigits = Array.from("⁰¹²³⁴⁵⁶⁷⁸⁹");
const raised = character => (character === "-" ? "⁻" : raisedDigits[character]);

// A power of 10, given as "-4" or "+12": 10⁻⁴ or 10¹².
const powerOfTen = power => `10${Array.from(power.replace("+", ""), raised).join("")}`;

const inSteps = count => (count === 1 ? "1 step" : `${count.toLocaleString("en")} steps`);

// ── A number that the reader types ─────────────────────────────────────────────────────────────

// In many countries, 0.5 is written as 0,5.
function numberTyped(text) {
  const plain = text.trim().replace("−", "-").replace(",", ".");
  return plain === "" ? NaN : Number(plain);
}

// The comma of 1,500 may stand for a point, or for nothing.
const isAmbiguous = text => /^[1-9]\d*,\d{3}$/.test(text.trim());

function ambiguityInWords(text) {
  const typed = text.trim();
  return `“${typed}” could be ${numberTyped(typed)} or ${typed.replace(",", "")}: write one of these.`;
}
