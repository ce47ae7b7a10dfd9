"use strict";

// What the pages share: how numbers are written, and where an element is.

const part = id => document.getElementById(id);
const raisedDigits = Array.from("⁰¹²³⁴⁵⁶⁷⁸⁹");
const raised = character => (character === "-" ? "⁻" : raisedDigits[character]);

// A power of 10, given as "-4" or "+12": 10⁻⁴ or 10¹².
const powerOfTen = power => `10${Array.from(power.replace("+", ""), raised).join("")}`;

const inSteps = count => (count === 1 ? "1 step" : `${count.toLocaleString("en")} steps`);
