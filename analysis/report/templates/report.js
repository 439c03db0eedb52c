// Figures from the numbers in #pictures, drawn on uPlot's axes; runs marked in all of them and in
// the tables; tables sorted and filtered. Text from runs only ever becomes text, never markup.
"use strict";
(() => {
let data = JSON.parse(document.getElementById("pictures").textContent);
const html = document.documentElement, tip = document.getElementById("tip");
const said = document.getElementById("said");
const make = (tag, attrs = {}, ...inside) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attrs)) element.setAttribute(name, value);
  element.append(...inside);
  return element;
};
const palette = new Map();
const colour = name => {
  if (!palette.has(name)) palette.set(name, getComputedStyle(html).getPropertyValue("--" + name).trim());
  return palette.get(name);
};
const state = { marked: new Set(), near: null, plots: [], off: new Map() };

// --- numbers as people read them
const UNITS = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "K"]];
const digits = (v, n) => String(Number(v.toPrecision(n)));
const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const FORMS = {
  counts: v => {
    if ((v > 0 && v < 1e-3) || v >= 1e15) return FORMS.powers(v);
    const u = UNITS.find(([size]) => v >= 0.9995 * size);
    return u ? digits(v / u[0], 3) + u[1] : digits(v, 3);
  },
  powers: v => {
    const e = Math.floor(Math.log10(v) + 1e-9), m = v / 10 ** e;
    const power = "10" + String(e).replace(/\d/g, d => RAISED[d]).replace("-", "⁻");
    return Math.abs(m - 1) < 0.01 ? power : digits(m, 2) + " × " + power;
  },
  few: v => digits(v, 4),
  plain: v => digits(v, 4),
};
const form = axis => axis.names ? v => axis.names[v] ?? "" : FORMS[axis.numbers] || FORMS.plain;

function steps(low, high, most) {
  const raw = (high - low) / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map(k => k * power).find(s => s >= raw);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(i * step);
  return found;
}
function splits(axis, low, high, room) {
  const most = Math.max(2, Math.floor(room));
  if (axis.names) return axis.names.map((_, i) => i).filter(i => i >= low && i <= high);
  if (!axis.log || high / low < 4) return steps(low, high, most);
  const decades = Math.log10(high / low), stride = Math.max(1, Math.ceil(decades / most));
  const subs = stride > 1 || decades * 2 > most ? [1] : decades * 3 > most ? [1, 3] : [1, 2, 5];
  const found = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
    if (e % stride === 0) for (const k of subs) if (k * 10 ** e >= low * 0.9999 && k * 10 ** e <= high * 1.0001) found.push(k * 10 ** e);
  return found.length > (high / low < 12 ? 2 : 1) ? found : steps(low, high, most);
}

// --- the whole of what is drawn, with a margin
function extent(panel, which) {
  const axis = panel[which], own = [];
  for (const layer of panel.layers) {
    const to = { band: "y", vbars: "y", hspan: "y", hbars: "x", vspan: "x" }[layer.kind];
    for (const values of [layer[which], to === which ? layer.to : null])
      for (const v of values || []) if (v !== null && (!axis.log || v > 0)) own.push(v);
  }
  let low = own.reduce((a, b) => Math.min(a, b), Infinity), high = own.reduce((a, b) => Math.max(a, b), -Infinity);
  if (low === high || !isFinite(low)) { low = isFinite(low) ? (axis.log ? low / 2 : low - 1) : 1; high = isFinite(high) ? (axis.log ? high * 2 : high + 1) : 10; }
  if (axis.log) { const f = (high / low) ** 0.04; low /= f; high *= f; } else { const m = 0.04 * (high - low); low -= m; high += m; }
  return [axis.low ?? low, axis.high ?? high];
}

// --- a panel
class Plot {
  constructor(panel, name, place, shape) {
    Object.assign(this, { panel, name, place, shape });
    this.whole = { x: extent(panel, "x"), y: extent(panel, "y") };
    this.view = { x: [...this.whole.x], y: [...this.whole.y] };
    this.spots = [];
    this.build();
  }
  get off() { return state.off.get(this.name); }
  axis(which) {
    const told = this.panel[which], text = form(told);
    const font = "12px system-ui, sans-serif";
    const long = which === "y" && told.names ? Math.min(190, 20 + 7 * Math.max(...told.names.map(n => n.length))) : 0;
    return {
      scale: which, stroke: () => colour("ink"), font, label: told.label || undefined, labelFont: font, labelSize: 20, labelGap: 0,
      grid: { stroke: () => colour("line"), width: 1, show: !(told.names) }, ticks: { stroke: () => colour("line"), width: 1, size: 5 },
      size: which === "y" ? long || 48 : 34, gap: 4,
      splits: (u, i, low, high) => splits(told, low, high, which === "x" ? u.width / 80 : u.height / 45),
      filter: (u, found) => found,
      values: (u, found) => found.map(text).map(w => w.length > 22 ? w.slice(0, 21) + "…" : w),
    };
  }
  size() {
    const width = Math.max(200, this.place.clientWidth);
    return { width, height: Math.round(Math.min(460, Math.max(120, this.panel.y.names ? 90 + 30 * this.panel.y.names.length : 210, width * this.shape))) };
  }
  build() {
    const scale = which => ({ time: false, distr: this.panel[which].log ? 3 : 1, range: () => this.view[which] });
    this.u = new uPlot({
      ...this.size(), mode: 1, legend: { show: false },
      scales: { x: scale("x"), y: scale("y") },
      series: [{}, { scale: "y", paths: () => null, points: { show: false } }],
      axes: [this.axis("x"), this.axis("y")],
      cursor: { x: false, y: false, points: { show: false }, drag: { x: true, y: true, setScale: false, uni: 12 }, bind: { dblclick: () => () => { this.reset(); } } },
      hooks: { draw: [() => this.draw()], setSelect: [u => this.selected(u)] },
    }, [this.view.x, this.view.y], this.place);
    // Not the window's size alone: a figure that appears takes room from the one beside it.
    new ResizeObserver(() => { if (this.place.clientWidth && this.size().width !== this.u.width) this.resize(); }).observe(this.place);
    const over = this.u.over;
    over.addEventListener("mousemove", event => this.hover(event));
    over.addEventListener("mouseleave", () => near(null));
    over.addEventListener("mousedown", event => { this.shift = event.shiftKey; this.down = [event.clientX, event.clientY]; });
    over.addEventListener("click", event => {
      if (this.down && Math.hypot(event.clientX - this.down[0], event.clientY - this.down[1]) > 4) return;
      const found = this.at(event);
      if (found !== null) toggle(found); else clear();
    });
    this.place.addEventListener("keydown", event => this.key(event));
  }
  take(panel) {
    const same = JSON.stringify(this.view) === JSON.stringify(this.whole);
    this.panel = panel;
    this.whole = { x: extent(panel, "x"), y: extent(panel, "y") };
    if (same) this.reset(); else this.u.redraw(false, true);
  }
  resize() { this.u.setSize(this.size()); }
  zoom(view) {
    this.view = view;
    this.u.batch(() => { this.u.setScale("x", { min: view.x[0], max: view.x[1] }); this.u.setScale("y", { min: view.y[0], max: view.y[1] }); });
  }
  reset() { this.zoom({ x: [...this.whole.x], y: [...this.whole.y] }); }
  scaled(factor) {
    const part = which => {
      const [low, high] = this.view[which], log = this.panel[which].log;
      const [a, b] = log ? [Math.log(low), Math.log(high)] : [low, high], c = (a + b) / 2, h = (b - a) / 2 * factor;
      return log ? [Math.exp(c - h), Math.exp(c + h)] : [c - h, c + h];
    };
    this.zoom({ x: part("x"), y: part("y") });
  }
  selected(u) {
    const { left, top, width, height } = u.select;
    if (width < 5 && height < 5) return;
    const whole = width < 5 ? "x" : height < 5 ? "y" : "";
    if (this.shift) {
      for (const [x, y, run] of this.spots)
        if (run !== null && (whole === "x" || (x >= left && x <= left + width)) && (whole === "y" || (y >= top && y <= top + height))) state.marked.add(run);
      changed();
    } else {
      this.zoom({
        x: whole === "x" ? this.view.x : [u.posToVal(left, "x"), u.posToVal(left + width, "x")],
        y: whole === "y" ? this.view.y : [u.posToVal(top + height, "y"), u.posToVal(top, "y")],
      });
    }
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }
  draw() {
    const u = this.u, c = u.ctx, ratio = devicePixelRatio || 1, box = u.bbox;
    const X = v => u.valToPos(v, "x", true), Y = v => u.valToPos(v, "y", true);
    this.spots = [];
    c.save();
    c.beginPath(); c.rect(box.left, box.top, box.width, box.height); c.clip();
    const dim = state.marked.size > 0, says = [];
    for (const layer of this.panel.layers) {
      if (layer.label && this.off?.has(layer.label)) continue;
      const n = Math.max(layer.x?.length || 0, layer.y?.length || 0), runs = layer.runs || [], alpha = layer.alpha ?? 1;
      const own = i => runs.length === n ? runs[i] : runs.length === 1 ? runs[0] : null;
      const lit = i => { const run = own(i); return run !== null && (state.marked.has(run) || run === state.near); };
      const strength = i => alpha * (dim && runs.length && !lit(i) ? 0.22 : 1);
      const ink = Array.isArray(layer.colour) ? layer.colour.map(colour) : colour(layer.colour || "ink");
      const of = i => Array.isArray(ink) ? ink[i] : ink;
      c.lineWidth = (layer.width || 1) * 1.15 * ratio;
      c.setLineDash((layer.dash || []).map(d => d * c.lineWidth));
      c.strokeStyle = c.fillStyle = of(0); c.globalAlpha = strength(0);
      const spot = (x, y, i) => this.spots.push([(x - box.left) / ratio, (y - box.top) / ratio, own(i), layer, i]);
      if (layer.kind === "line") {
        if (lit(0)) { c.lineWidth *= 2.4; c.globalAlpha = 1; }
        c.beginPath();
        let pen = false;
        for (let i = 0; i < n; i++) {
          if (layer.x[i] === null || layer.y[i] === null) { pen = false; continue; }
          const x = X(layer.x[i]), y = Y(layer.y[i]);
          if (pen) c.lineTo(x, y); else c.moveTo(x, y);
          pen = true;
          if (runs.length) spot(x, y, i);
        }
        c.stroke();
        if (layer.says) {
          const path = layer.x.map((x, i) => [X(x), layer.y[i] === null ? Infinity : Y(layer.y[i])]);
          says.push([layer.says, ...path[n - 1], left => Math.min(...path.filter(([x]) => x >= left).map(([, y]) => y))]);
        }
      } else if (layer.kind === "band") {
        const good = [...Array(n).keys()].filter(i => layer.y[i] !== null && layer.to[i] !== null && (!this.panel.y.log || layer.y[i] > 0));
        c.beginPath();
        good.forEach((i, k) => c[k ? "lineTo" : "moveTo"](X(layer.x[i]), Y(layer.y[i])));
        good.reverse().forEach(i => c.lineTo(X(layer.x[i]), Y(layer.to[i])));
        c.closePath(); c.fill();
      } else if (layer.kind === "points") {
        c.setLineDash([]);
        for (let i = 0; i < n; i++) {
          if (layer.x[i] === null || layer.y[i] === null) continue;
          const x = X(layer.x[i]), y = Y(layer.y[i]), r = (Math.sqrt(layer.size) * 0.62 + (lit(i) ? 2 : 0)) * ratio;
          c.globalAlpha = strength(i); c.fillStyle = c.strokeStyle = of(i);
          mark(c, layer.marker, x, y, r, ratio);
          if (lit(i)) { c.globalAlpha = 1; c.lineWidth = 2 * ratio; c.strokeStyle = colour("ink"); c.beginPath(); c.arc(x, y, r + 2.5 * ratio, 0, 7); c.stroke(); }
          spot(x, y, i);
        }
      } else {
        for (let i = 0; i < n; i++) {
          const [l, t, w, h] = [box.left, box.top, box.width, box.height];
          const line = (a, b, d, e) => { c.beginPath(); c.moveTo(a, b); c.lineTo(d, e); c.stroke(); };
          if (layer.kind === "hrule") line(l, Y(layer.y[i]), l + w, Y(layer.y[i]));
          else if (layer.kind === "vrule") line(X(layer.x[i]), t, X(layer.x[i]), t + h);
          else if (layer.kind === "hspan") c.fillRect(l, Y(layer.to[i]), w, Y(layer.y[i]) - Y(layer.to[i]));
          else if (layer.kind === "vspan") c.fillRect(X(layer.x[i]), t, X(layer.to[i]) - X(layer.x[i]), h);
          else if (layer.kind === "hbars") line(X(layer.x[i]), Y(layer.y[i]), X(layer.to[i]), Y(layer.y[i]));
          else line(X(layer.x[i]), Y(layer.y[i]), X(layer.x[i]), Y(layer.to[i]));
        }
      }
    }
    c.restore();
    this.write(c, says.sort((a, b) => a[2] - b[2]), ratio);
  }
  write(c, says, ratio) { // at the ends of lines, none over another
    let last = -Infinity;
    c.save();
    c.fillStyle = colour("muted"); c.font = `${11 * ratio}px system-ui, sans-serif`;
    for (const [text, x, y, top] of says) {
      const wide = c.measureText(text).width, beyond = x + 4 * ratio + wide > c.canvas.width;
      const at = beyond ? top(x - wide) - 9 * ratio : y; // above its own line, all along
      if (at - last < 12 * ratio || at < 0) continue;
      c.textBaseline = "middle"; c.textAlign = beyond ? "right" : "left";
      if (beyond) { c.strokeStyle = colour("card"); c.lineWidth = 3 * ratio; c.strokeText(text, x, at); }
      c.fillText(text, x + (beyond ? 0 : 4 * ratio), at);
      last = at;
    }
    c.restore();
  }
  at(event) {
    const box = this.u.over.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    let best = null, least = 14;
    for (const [x, y, run, layer, i] of this.spots) {
      if (run === null) continue;
      const d = Math.hypot(x - px, y - py) + (layer.kind === "line" ? 4 : 0);
      if (d < least) { least = d; best = run; this.spot = [x, y, layer, i]; }
    }
    return best;
  }
  hover(event) {
    const run = this.at(event);
    near(run, run === null ? null : { left: event.clientX, top: event.clientY }, this.where());
  }
  where() {
    if (!this.spot) return "";
    const [, , layer, i] = this.spot, { x, y } = this.panel;
    return `${x.label || "x"}: ${form(x)(layer.x[i])}\n${y.label || "y"}: ${form(y)(layer.y[i])}`;
  }
  key(event) {
    const runs = this.spots.filter(([, , run, layer]) => run !== null && layer.kind === "points").sort((a, b) => a[0] - b[0]);
    const move = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (move && runs.length) {
      const now = runs.findIndex(([, , run]) => run === state.near), next = runs[(now + move + runs.length) % runs.length];
      const box = this.u.over.getBoundingClientRect();
      this.spot = [next[0], next[1], next[3], next[4]];
      near(next[2], { left: box.left + next[0], top: box.top + next[1] }, this.where(), true);
    } else if (event.key === "Enter" || event.key === " ") { if (state.near !== null) toggle(state.near); }
    else if (event.key === "+" || event.key === "=") this.scaled(1 / 1.5);
    else if (event.key === "-") this.scaled(1.5);
    else if (event.key === "0") this.reset();
    else if (event.key === "Escape") { near(null); clear(); }
    else return;
    event.preventDefault();
  }
}
function mark(c, kind, x, y, r, ratio) {
  c.beginPath();
  if (kind === "D") { c.lineWidth = 1.6 * ratio; c.moveTo(x, y - r); c.lineTo(x + r, y); c.lineTo(x, y + r); c.lineTo(x - r, y); c.closePath(); c.stroke(); return; }
  if (kind === "|") { c.lineWidth = 2.5 * ratio; c.moveTo(x, y - r); c.lineTo(x, y + r); c.stroke(); return; }
  if (kind === "P") { c.lineWidth = r * 0.7; c.moveTo(x - r, y); c.lineTo(x + r, y); c.moveTo(x, y - r); c.lineTo(x, y + r); c.stroke(); return; }
  if (kind === "*") { for (let k = 0; k < 10; k++) { const a = -Math.PI / 2 + k * Math.PI / 5, s = k % 2 ? r * 0.45 : r * 1.1; c[k ? "lineTo" : "moveTo"](x + s * Math.cos(a), y + s * Math.sin(a)); } c.closePath(); c.fill(); return; }
  c.arc(x, y, Math.max(r, 1.5 * ratio), 0, 7); c.fill();
}

// --- runs: which is near, which are marked
const rows = new Map();
function index() {
  rows.clear();
  for (const row of document.querySelectorAll("tr[data-run]")) rows.set(row.dataset.run, [...(rows.get(row.dataset.run) || []), row]);
}
const rowsOf = run => run === null ? [] : rows.get(data.runs[run]) || [];
function told(run) {
  const row = rowsOf(run)[0];
  if (!row) return data.runs[run];
  const cells = [...row.cells], name = cells.find(cell => cell.dataset.of === "name") || cells[0];
  const of = ["N", "D", "loss", "status"].map(k => cells.find(cell => cell.dataset.of === k && cell.textContent)).filter(Boolean);
  return (name.title || name.textContent) + "\n" + of.map(cell => `${cell.dataset.of} ${cell.textContent}`).join(", ");
}
function near(run, place = null, extra = "", speak = false) {
  if (run !== state.near) {
    rowsOf(state.near).forEach(row => row.classList.remove("near"));
    state.near = run;
    rowsOf(run).forEach(row => row.classList.add("near"));
    redraw();
  }
  tip.hidden = run === null || place === null;
  if (tip.hidden) return;
  tip.textContent = told(run) + (extra ? "\n" + extra : "");
  if (speak) said.textContent = tip.textContent;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(place.left + 14, innerWidth - width - 4)) + "px";
  tip.style.top = Math.max(4, place.top + 18 + height > innerHeight ? place.top - height - 12 : place.top + 18) + "px";
}
function toggle(run) { if (!state.marked.delete(run)) state.marked.add(run); changed(); }
function clear() { if (state.marked.size) { state.marked.clear(); changed(); } }
function changed(speak = true) {
  const ids = new Set([...state.marked].map(run => data.runs[run]));
  for (const [id, own] of rows) own.forEach(row => row.classList.toggle("marked", ids.has(id)));
  if (speak) said.textContent = ids.size === 1 ? "1 run marked" : `${ids.size} runs marked`;
  document.querySelectorAll(".tools").forEach(count);
  redraw();
}
let waiting = false;
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; state.plots.forEach(plot => plot.u.redraw(false, false)); });
}

// --- figures
function save(name, text, kind) {
  const link = make("a", { download: name, href: URL.createObjectURL(new Blob([text], { type: kind })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
const csv = value => /[",\n]/.test(value) ? `"${String(value).replace(/"/g, '""')}"` : String(value ?? "");
function numbers(picture) {
  const lines = ["panel,kind,series,run_id,x,y,to"];
  for (const panel of picture.panels) for (const layer of panel.layers) {
    const n = Math.max(layer.x?.length || 0, layer.y?.length || 0), runs = layer.runs || [];
    for (let i = 0; i < n; i++) {
      const run = runs.length === n ? runs[i] : runs[0];
      lines.push([panel.x.label, layer.kind, layer.says || layer.label, run === undefined ? "" : data.runs[run], layer.x?.[i], layer.y?.[i], layer.to?.[i]].map(csv).join(","));
    }
  }
  return lines.join("\n") + "\n";
}
function stills(figure, name) {
  [...figure.querySelectorAll(".stills svg")].forEach((svg, i) => {
    const text = svg.outerHTML.replace(/var\(--([\w]+)\)/g, (_, v) => colour(v)).replace("<svg", `<svg style="background:${colour("card")}"`);
    save(`${name}${i ? "-" + i : ""}.svg`, text, "image/svg+xml");
  });
}
const SWATCHES = { points: "points", line: "line", hrule: "line", vrule: "line", hbars: "line", vbars: "line" };
const swatchOf = layer => (SWATCHES[layer.kind] || "band") + (layer.dash?.length ? " dash" : "");
function legend(picture, name) {
  const found = new Map(), kinds = new Map();
  for (const panel of picture.panels) for (const layer of panel.layers) if (layer.label) {
    found.set(layer.label, [...(found.get(layer.label) || []), ...[layer.colour || "ink"].flat()]);
    kinds.set(layer.label, kinds.get(layer.label) || swatchOf(layer));
  }
  if (!found.size) return "";
  const list = make("ul", { class: "legend", "aria-label": "legend" });
  for (const [label, colours] of found) {
    const swatch = make("i", { class: kinds.get(label) }), each = new Set(colours);
    swatch.style.background = each.size === 1 ? `var(--${colours[0]})` : picture.shading ? "linear-gradient(90deg,var(--s2),var(--s21))" : "var(--ink)";
    const button = make("button", { type: "button", "aria-pressed": "true" }, swatch, label);
    button.addEventListener("click", () => {
      const off = state.off.get(name) || new Set(), now = off.delete(label);
      if (!now) off.add(label);
      state.off.set(name, off);
      button.setAttribute("aria-pressed", String(now));
      redraw();
    });
    list.append(make("li", {}, button));
  }
  return list;
}
function shading(told) {
  if (!told) return "";
  const ramp = make("span", { class: "ramp", "aria-hidden": "true" });
  for (let i = 0; i < 24; i++) { const step = make("i"); step.style.background = `var(--s${i})`; ramp.append(step); }
  return make("div", { class: "bar" }, `${told.label}: ${FORMS[told.numbers](told.low)}`, ramp, FORMS[told.numbers](told.high));
}
function live(figure) {
  const name = figure.dataset.picture, picture = data.pictures[name];
  if (!picture) return;
  figure.hidden = false;
  const panels = make("div", { class: `panels n${picture.panels.length}` });
  const plot = make("div", { class: "plot" }, panels, legend(picture, name), shading(picture.shading));
  const buttons = [
    ["Whole", "show all of it again", () => state.plots.filter(p => p.name === name).forEach(p => p.reset())],
    ["SVG", "save the still picture", () => stills(figure, name)],
    ["CSV", "save its numbers", () => save(`${name}.csv`, numbers(picture), "text/csv")],
  ].map(([text, why, act]) => { const b = make("button", { type: "button", title: why, "aria-label": `${text}: ${why}` }, text); b.addEventListener("click", act); return b; });
  plot.append(make("div", { class: "does" }, ...buttons));
  figure.insertBefore(plot, figure.querySelector("figcaption"));
  figure.classList.add("live");
  picture.panels.forEach(panel => {
    const place = make("div", { class: "place", tabindex: "0", role: "application", "aria-label": `Figure ${name}: ${panel.y.label || panel.title || ""} over ${panel.x.label || ""}. Arrow keys go through its runs, Enter marks one.` });
    const box = make("div", { class: "panel" }, place);
    if (panel.title) box.prepend(make("h3", {}, panel.title));
    else if (picture.panels.some(p => p.title)) box.prepend(make("div", { class: "untitled" }));
    panels.append(box);
    state.plots.push(new Plot(panel, name, place, Math.min(0.8, picture.height)));
  });
}

// --- new numbers for the figures of a page that goes on
function renew(figure) {
  const name = figure.dataset.picture, picture = data.pictures[name];
  const own = state.plots.filter(plot => plot.name === name);
  if (!picture) { figure.hidden = true; return; }
  figure.hidden = false;
  if (own.length !== picture.panels.length) {
    figure.querySelector(".plot")?.remove();
    state.plots = state.plots.filter(plot => plot.name !== name);
    live(figure);
    return;
  }
  own.forEach((plot, i) => plot.take(picture.panels[i]));
  const labels = new Set(picture.panels.flatMap(p => p.layers.map(l => l.label).filter(Boolean)));
  const shown = [...figure.querySelectorAll(".legend button")].map(b => b.textContent);
  if (labels.size !== shown.length) { figure.querySelector(".legend")?.remove(); figure.querySelector(".panels").after(legend(picture, name)); }
  figure.querySelector(".bar")?.replaceWith(shading(picture.shading));
}
document.addEventListener("pictures", event => {
  const ids = [...state.marked].map(run => data.runs[run]);
  near(null);
  data = event.detail;
  state.marked = new Set(ids.map(id => data.runs.indexOf(id)).filter(run => run >= 0));
  index();
  document.querySelectorAll("figure[data-picture]").forEach(renew);
  changed(false);
});

// --- tables
const number = cell => cell && cell.dataset.v !== undefined ? Number(cell.dataset.v) : NaN;
function sortable(table) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, i) => {
    const button = make("button", { type: "button" }, head.textContent);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach(h => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down > 0 ? "ascending" : "descending");
      const order = (a, b) => {
        const [x, y] = [a.cells[i], b.cells[i]], [v, w] = [number(x), number(y)];
        if (isNaN(v) !== isNaN(w)) return isNaN(v) ? 1 : -1;
        return down * (isNaN(v) ? x.textContent.localeCompare(y.textContent) : v - w);
      };
      body.append(...[...body.rows].sort(order));
    });
  });
  body.addEventListener("click", event => {
    const row = event.target.closest("tr[data-run]"), run = row ? data.runs.indexOf(row.dataset.run) : -1;
    if (run >= 0) toggle(run);
  });
  body.addEventListener("mouseover", event => {
    const row = event.target.closest("tr[data-run]"), run = row ? data.runs.indexOf(row.dataset.run) : -1;
    near(run >= 0 ? run : null);
  });
  body.addEventListener("mouseleave", () => near(null));
  body.addEventListener("keydown", event => { // one row is a stop of Tab, arrows go to others
    const row = event.target.closest("tr"), step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (event.key === "Enter" || event.key === " ") row.click();
    else if (step) {
      let next = row[step];
      while (next && next.style.display === "none") next = next[step];
      if (next) { row.tabIndex = -1; next.tabIndex = 0; next.focus(); }
    } else return;
    event.preventDefault();
  });
  if (body.rows[0]) body.rows[0].tabIndex = 0;
}
const COMPARED = { "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b, "=": (a, b) => a === b };
const SIZES = { K: 1e3, M: 1e6, B: 1e9, T: 1e12 };
function passes(row, words) {
  return words.every(word => {
    const found = word.match(/^(.+?)(<=|>=|<|>|=)([-+.\de]+)([KMBT]?)$/i);
    if (found) {
      const cell = [...row.cells].find(c => c.dataset.of.toLowerCase() === found[1].toLowerCase());
      if (cell) return COMPARED[found[2]](number(cell), Number(found[3]) * (SIZES[found[4].toUpperCase()] || 1));
    }
    return [...row.cells].some(c => (c.title || c.textContent).toLowerCase().includes(word.toLowerCase()));
  });
}
function count(tools) {
  const all = [...tools.nextElementSibling.querySelectorAll("tbody tr")], shown = all.filter(row => !row.hidden && row.style.display !== "none");
  const marked = all.filter(row => row.classList.contains("marked")).length;
  tools.querySelector(".shown").textContent = (shown.length === all.length ? `${all.length} runs` : `${shown.length} of ${all.length} runs`) + (marked ? `, ${marked} marked` : "");
}
function start() {
  index();
  document.querySelectorAll("[hidden].filter, [hidden].hint").forEach(element => { element.hidden = false; });
  document.querySelectorAll("table.sortable").forEach(sortable);
  document.querySelectorAll(".tools").forEach(tools => {
    tools.querySelector("input").addEventListener("input", event => {
      const words = event.target.value.trim().split(/\s+/).filter(Boolean);
      tools.nextElementSibling.querySelectorAll("tbody tr").forEach(row => { row.style.display = passes(row, words) ? "" : "none"; });
      count(tools);
    });
  });
  document.querySelectorAll("figure[data-picture]").forEach(live);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    palette.clear();
    state.plots.forEach(plot => plot.u.redraw(false, true));
  });
  html.classList.add("ready");
}
start();
})();
