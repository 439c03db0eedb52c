// Asks the server for the sweep as it stands, again and again, and shows it.
"use strict";
(() => {
const at = id => document.getElementById(id);
const columns = [...document.querySelectorAll("#runs th")].map(head => head.textContent);
let held = false, seen = "";
at("hold").addEventListener("click", () => {
  held = !held;
  at("hold").setAttribute("aria-pressed", String(held));
  at("hold").textContent = held ? "Go on" : "Hold";
});
function row(run) {
  const line = document.createElement("tr");
  line.dataset.run = run.id;
  line.setAttribute("role", "row");
  run.cells.forEach(([text, value, whole], i) => {
    const cell = document.createElement("td");
    cell.setAttribute("role", "cell");
    cell.dataset.of = columns[i];
    cell.textContent = text;
    if (value !== null) { cell.dataset.v = value; cell.className = "number"; }
    if (whole) cell.title = whole;
    line.append(cell);
  });
  return line;
}
function show(now) {
  at("summary").textContent = now.summary;
  at("share").value = now.share;
  at("law").textContent = now.law;
  at("expected").textContent = now.expected;
  at("at").textContent = "As of " + now.at + ".";
  const body = at("runs").tBodies[0], order = [...body.rows].map(r => r.dataset.run);
  const place = new Map(order.map((id, i) => [id, i]));
  const rows = now.rows.map(row);
  const sorted = document.querySelector("#runs th[aria-sort]");
  if (sorted) rows.sort((a, b) => (place.get(a.dataset.run) ?? 1e9) - (place.get(b.dataset.run) ?? 1e9));
  const focus = document.activeElement.closest?.("#runs tr[data-run]")?.dataset.run;
  body.replaceChildren(...rows);
  const stop = rows.find(r => r.dataset.run === focus) || rows[0];
  if (stop) stop.tabIndex = 0;
  if (focus) stop.focus();
  document.dispatchEvent(new CustomEvent("pictures", { detail: now.figures }));
  const filter = document.querySelector(".filter input");
  filter.dispatchEvent(new Event("input"));
}
async function ask() {
  if (!held) {
    try {
      const answer = await fetch("now", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      const text = await answer.text();
      if (text !== seen) { seen = text; show(JSON.parse(text)); }
    } catch (error) {
      at("at").textContent = "The server does not answer: what stands here is what was seen last.";
    }
  }
  setTimeout(ask, 1000);
}
ask();
})();
