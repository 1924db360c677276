"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const number = (x) => (x?.float ? { inf: Infinity, "-inf": -Infinity, nan: NaN }[x.float] : x); // JSON has no word for them
const shown = (x, digits = 3) => (x === Infinity ? "∞" : x === -Infinity ? "−∞" : Number.isNaN(x) ? "–" : x.toFixed(digits).replace("-", "−"));

/* legend: rows that are pressed stand out in every figure */
for (const button of document.querySelectorAll(".legend button")) {
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
    const chosen = new Set([...document.querySelectorAll(".legend [aria-pressed=true]")].map((b) => b.dataset.of));
    document.body.classList.toggle("chosen", chosen.size > 0);
    for (const mark of document.querySelectorAll("[data-row]")) mark.classList.toggle("on", chosen.has(mark.dataset.row));
  });
}

/* tables: a press on a heading sorts by the number that a cell begins with, else by its text; once more turns it round */
const weight = (cell) => {
  const text = cell.textContent.trim().replaceAll("−", "-").replace(/^[×<]\s*/, "");
  if (text.startsWith("∞")) return Infinity;
  const value = Number.parseFloat(text);
  return Number.isNaN(value) ? (text === "–" || text === "" ? null : text) : value;
};
const before = (a, b) =>
  a === null || b === null ? (a === null) - (b === null) : typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));

for (const table of document.querySelectorAll("main table")) {
  const body = table.tBodies[0];
  if (body.rows.length < 3) continue;
  for (const heading of table.tHead.rows[0].cells) {
    const press = document.createElement("button");
    press.type = "button";
    press.append(...heading.childNodes);
    if (!press.textContent) press.setAttribute("aria-label", "Sort by name");
    heading.append(press);
    press.addEventListener("click", () => {
      const falls = heading.getAttribute("aria-sort") === "ascending";
      for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const at = heading.cellIndex;
      const rows = [...body.rows].map((row) => [weight(row.cells[at]), row]);
      rows.sort(([a], [b]) => (a === null || b === null || !falls ? before(a, b) : before(b, a)));
      body.append(...rows.map(([, row]) => row));
    });
  }
}

/* viewer */
const viewer = { rollout: null, step: 0 };

function options(select, names) {
  const before = select.value;
  select.replaceChildren(...names.map((name) => new Option(name)));
  if (names.includes(before)) select.value = before;
}

function choose() {
  const agents = data.trajectories[$("task").value];
  options($("agent"), Object.keys(agents));
  const rollouts = agents[$("agent").value];
  options($("which"), rollouts.map((_, i) => String(i + 1)));
  viewer.rollout = rollouts[Number($("which").value) - 1];
  for (const name of ["backspace", "value", "reward"]) viewer.rollout[name] = viewer.rollout[name].map(number);
  $("step").max = viewer.rollout.written.length;
  strips();
  go(viewer.rollout.written.length);
}

function go(step) {
  viewer.step = Math.max(0, Math.min(step, viewer.rollout.written.length));
  $("step").value = viewer.step;
  text();
  reading();
  for (const cursor of document.querySelectorAll(".cursor")) {
    cursor.setAttribute("x1", viewer.step - 0.5);
    cursor.setAttribute("x2", viewer.step - 0.5);
  }
}

/* The tokens written so far, each with what has become of it by `step`; later ones are faint. */
function text() {
  const { written, depth, prompt } = viewer.rollout;
  const tokens = [];
  const standing = [];
  written.forEach((token, t) => {
    const past = t < viewer.step;
    if (token === null) {
      const top = standing.pop();
      if (past) tokens[top].state.push("gone");
      if (t === viewer.step - 1) tokens[top].state.push("now");
      return;
    }
    const state = past ? [] : ["later"];
    if (past && depth[t] > 0) state.push("wrong");
    if (past && depth[t] === 1) state.push("first");
    if (t === viewer.step - 1) state.push("now");
    standing.push(tokens.push({ token, state }) - 1);
  });
  const spaced = tokens.length > 0 && tokens.every(({ token }) => !/\s/.test(token)) && tokens.some(({ token }) => token.length > 1 && token !== "</s>");
  $("text").classList.toggle("spaced", spaced);
  const lead = document.createElement("span");
  lead.className = "prompt";
  lead.textContent = prompt + (spaced ? " " : "");
  $("text").replaceChildren(
    lead,
    ...tokens.map(({ token, state }) => {
      const mark = document.createElement("b");
      mark.className = state.join(" ");
      mark.textContent = token === " " && state.includes("gone") ? "␣" : token.replace(/\n/g, "⏎\n");
      return mark;
    }),
  );
}

function reading() {
  const { written, backspace, value, reward, depth, ended } = viewer.rollout;
  const t = viewer.step - 1;
  const total = written.length;
  $("count").textContent = `step ${viewer.step} of ${total}`;
  const before = t < 0;
  $("action").textContent = before ? "–" : written[t] === null ? "⌫ deletes" : `writes ${JSON.stringify(written[t]).slice(1, -1)}`;
  $("pop").textContent = before ? "–" : shown(backspace[t], 4);
  $("v").textContent = before ? "–" : shown(value[t]);
  $("r").textContent = before ? "–" : shown(reward[t]);
  const standing = before ? 0 : depth[t];
  $("error").textContent = standing ? `${standing} token${standing > 1 ? "s" : ""} since it` : "none stands";
  $("end").textContent = viewer.step < total ? "" : ended ? "The text has ended." : "Cut: the budget of actions is spent.";
}

/* Three strips over the steps; red ground where an error stands before the action. */
function strips() {
  const n = viewer.rollout.written.length;
  const ground = viewer.rollout.depth.map((d, t) => [t, t ? viewer.rollout.depth[t - 1] : 0]).filter(([, d]) => d > 0);
  const make = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, v] of Object.entries(attributes)) made.setAttribute(key, v);
    return made;
  };
  for (const holder of document.querySelectorAll(".strips svg")) {
    const values = viewer.rollout[holder.dataset.of];
    const finite = values.filter(Number.isFinite);
    const bars = holder.dataset.of === "backspace";
    const [low, high] = bars ? [0, 1] : [Math.min(...finite), Math.max(...finite)];
    const y = (v) => 1 - (v - low) / (high - low || 1);
    holder.setAttribute("viewBox", `0 0 ${n} 1`);
    const marks = bars
      ? values.map((v, t) => make("rect", { class: viewer.rollout.written[t] === null ? "bar pop" : "bar", x: t + 0.12, width: 0.76, y: y(v), height: 1 - y(v) }))
      : [make("polyline", { class: "curve", points: values.map((v, t) => `${t + 0.5},${Number.isFinite(v) ? y(v) : v > 0 ? 0 : 1}`).join(" ") })];
    holder.replaceChildren(
      make("rect", { class: "ground", x: 0, y: 0, width: n, height: 1 }),
      ...ground.map(([t]) => make("rect", { class: "bad", x: t, y: 0, width: 1, height: 1 })),
      ...(bars ? [make("line", { class: "half", x1: 0, x2: n, y1: 0.5, y2: 0.5 })] : []),
      ...marks,
      make("line", { class: "cursor", x1: 0, x2: 0, y1: 0, y2: 1 }),
    );
    const name = holder.previousElementSibling;
    name.lastElementChild.textContent = bars ? "0 to 1" : `${shown(low, 2)} to ${shown(high, 2)}`;
  }
}

if ($("viewer")) {
  options($("task"), Object.keys(data.trajectories));
  for (const id of ["task", "agent", "which"]) $(id).addEventListener("change", choose);
  $("step").addEventListener("input", () => go(Number($("step").value)));
  const moves = { begin: () => 0, back: () => viewer.step - 1, forth: () => viewer.step + 1, last: () => Infinity };
  for (const [id, to] of Object.entries(moves)) $(id).addEventListener("click", () => go(to()));
  const keys = { ArrowLeft: moves.back, ArrowRight: moves.forth, Home: moves.begin, End: moves.last };
  $("viewer").addEventListener("keydown", (event) => {
    if (!(event.key in keys) || /^(SELECT|INPUT)$/.test(event.target.tagName)) return;
    event.preventDefault();
    go(keys[event.key]());
  });
  for (const holder of document.querySelectorAll(".strips svg")) {
    holder.addEventListener("click", (event) => {
      const box = holder.getBoundingClientRect();
      go(1 + Math.floor(((event.clientX - box.left) / box.width) * viewer.rollout.written.length));
    });
  }
  choose();
}
