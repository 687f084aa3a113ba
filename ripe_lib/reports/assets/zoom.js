"use strict";
// Panels along a stretch that zoom together: uPlot has scales, axes and the linked cursor, letters are drawn here.
const TICK_PX = 90, LETTER_PX = 5, LEAST_SHOWN = 10;
// Returns a range of at most n and at least some positions that lies within the stretch.
function insideStretch(n, low, high) {
  const width = Math.min(n, Math.max(high - low, LEAST_SHOWN));
  const start = Math.min(Math.max((low + high - width) / 2, -0.5), n - 0.5 - width);
  return [start, start + width];
}
// Returns the indices between low and high that lie at round places of the contig.
function roundPlaces(first, direction, low, high, px) {
  const wanted = Math.max(1, ((high - low) * TICK_PX) / Math.max(px, 1));
  const power = 10 ** Math.floor(Math.log10(wanted));
  const step = [1, 2, 5, 10].find((k) => k * power >= wanted) * power;
  const ends = [first + direction * Math.ceil(low), first + direction * Math.floor(high)].sort((a, b) => a - b);
  const found = [];
  for (let place = Math.ceil(ends[0] / step) * step; place <= ends[1]; place += step) found.push((place - first) * direction);
  return found.sort((a, b) => a - b);
}
function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
function clipped(u, draw) {
  const { left, top, width, height } = u.bbox;
  u.ctx.save();
  u.ctx.beginPath();
  u.ctx.rect(left, top, width, height);
  u.ctx.clip();
  u.ctx.textAlign = "left";
  u.ctx.textBaseline = "alphabetic";
  draw(u.ctx, (x) => u.valToPos(x, "x", true), (y) => u.valToPos(y, "y", true));
  u.ctx.restore();
}
function drawSpans(u, spans, color) {
  clipped(u, (ctx, x) => {
    ctx.fillStyle = color;
    for (const [start, stop] of spans) ctx.fillRect(x(start - 0.5), u.bbox.top, x(stop - 0.5) - x(start - 0.5), u.bbox.height);
  });
}
// A letter stretched to its box; where bases are narrower than a few pixels, a bar in the letter's colour.
function drawLetters(u, colors, sequence, values) {
  clipped(u, (ctx, x, y) => {
    const width = x(1) - x(0), foot = y(0), { min, max } = u.scales.x;
    ctx.font = "bold 100px 'DejaVu Sans', Verdana, Arial, sans-serif";
    for (let i = Math.max(0, Math.floor(min)); i <= Math.min(values.length - 1, Math.ceil(max)); i += 1) {
      const letter = sequence[i];
      if (!values[i] || !(letter in colors)) continue;
      const rise = y(values[i]) - foot;
      ctx.fillStyle = colors[letter];
      if (width < LETTER_PX * devicePixelRatio) {
        ctx.fillRect(x(i - 0.5), Math.min(foot, foot + rise), Math.max(width, 1), Math.abs(rise));
        continue;
      }
      const box = ctx.measureText(letter);
      const wide = box.actualBoundingBoxLeft + box.actualBoundingBoxRight, tall = box.actualBoundingBoxAscent + box.actualBoundingBoxDescent;
      ctx.save();
      ctx.translate(x(i - 0.46), foot);
      ctx.scale((0.92 * width) / wide, -rise / tall);
      ctx.fillText(letter, box.actualBoundingBoxLeft, -box.actualBoundingBoxDescent);
      ctx.restore();
    }
    ctx.fillStyle = "#1c2430";
    ctx.fillRect(u.bbox.left, foot, u.bbox.width, 1);
  });
}
function drawThreshold(u, threshold) {
  clipped(u, (ctx, x, y) => {
    ctx.strokeStyle = "#444";
    ctx.setLineDash([6, 4]);
    ctx.beginPath();
    ctx.moveTo(u.bbox.left, y(threshold));
    ctx.lineTo(u.bbox.left + u.bbox.width, y(threshold));
    ctx.stroke();
  });
}
function drawBases(u, data) {
  if (u.valToPos(1, "x") - u.valToPos(0, "x") >= LETTER_PX) return drawLetters(u, data.colors, data.sequence, new Array(data.sequence.length).fill(1));
  clipped(u, (ctx) => {
    ctx.fillStyle = "#5b6675";
    ctx.font = `${12 * devicePixelRatio}px sans-serif`;
    ctx.fillText("zoom in to read the bases", u.bbox.left + 6, u.bbox.top + u.bbox.height * 0.8);
  });
}
const HEIGHTS = { track: 110, letters: 110, regions: 22, bases: 24 };
function enableZoom(box, number) {
  const data = JSON.parse(box.querySelector("script").textContent), n = data.sequence.length;
  const indices = Array.from({ length: n }, (_, i) => i), whole = [-0.5, n - 0.5];
  const place = (i) => (data.first + data.direction * i).toLocaleString("en");
  const bar = element("div", "zoom-bar"), readout = element("output", "readout", "drag over a panel to zoom, double click for all"), plots = [];
  const zoomTo = (low, high) => plots.forEach((plot) => plot.setScale("x", { min: low, max: high }));
  const change = (move, factor) => {
    const { min, max } = plots[0].scales.x, middle = (min + max) / 2 + move * (max - min), half = ((max - min) / 2) * factor;
    zoomTo(...insideStretch(n, middle - half, middle + half));
  };
  for (const [text, label, act] of [
    ["+", "zoom in", () => change(0, 0.5)],
    ["−", "zoom out", () => change(0, 2)],
    ["◀", "move left", () => change(-0.5, 1)],
    ["▶", "move right", () => change(0.5, 1)],
    ["all", "show all", () => zoomTo(...whole)],
  ]) {
    const button = element("button", "", text);
    button.type = "button";
    button.setAttribute("aria-label", label);
    button.addEventListener("click", act);
    bar.append(button);
  }
  bar.append(readout);
  box.append(bar);
  const panels = [...data.panels, { kind: "bases", name: "", values: [] }];
  const read = (i) => {
    if (i === null || i === undefined) return;
    const said = panels.filter((p) => p.full && p.full[i] !== null).map((p) => `${p.name} ${p.full[i].toPrecision(3)}`);
    for (const p of panels) for (const [start, stop, , name] of p.runs ?? []) if (start <= i && i < stop) said.push(name);
    readout.textContent = [`${place(i)} ${data.sequence[i]}`, ...said].join(" · ");
  };
  panels.forEach((panel, row) => {
    const last = row === panels.length - 1, { kind } = panel;
    if (panel.values.length) {
      panel.full = new Array(n).fill(null);
      panel.values.forEach((value, i) => { panel.full[(panel.at ?? 0) + i] = value * panel.unit; });
    }
    const name = element("div", "zoom-name", panel.name);
    const named = new Set();
    for (const [, , color, text] of panel.runs ?? []) {
      if (named.has(text)) continue;
      named.add(text);
      const key = element("span", "key", text);
      key.style.borderColor = color;
      name.append(key);
    }
    box.append(name);
    const plain = kind === "regions" || kind === "bases";
    const draw = (u) => {
      if (kind === "letters") drawLetters(u, data.colors, panel.sequence ?? data.sequence, panel.full);
      if (kind === "bases") drawBases(u, data);
      if (kind === "regions") for (const [start, stop, color] of panel.runs) drawSpans(u, [[start, stop]], color);
      if (panel.threshold !== undefined) drawThreshold(u, panel.threshold);
    };
    const plot = new uPlot(
      {
        width: box.clientWidth,
        height: HEIGHTS[kind] + (last ? 48 : 0),
        padding: [8, 12, last ? 0 : 4, 0],
        legend: { show: false },
        cursor: {
          y: false,
          points: { show: false },
          drag: { x: true, y: false, setScale: false },
          sync: { key: `zoom-${number}`, filters: { pub: (type) => type === "mousemove" } },
          bind: { dblclick: () => () => zoomTo(...whole) },
        },
        scales: { x: { time: false, range: (u, low, high) => (low === 0 && high === n - 1 ? whole : insideStretch(n, low, high)) }, y: { range: plain ? [0, 1] : [panel.low, panel.high] } },
        axes: [
          {
            show: last,
            label: data.label,
            labelSize: 20,
            size: 28,
            grid: { show: false },
            splits: (u, axis, low, high) => roundPlaces(data.first, data.direction, low, high, u.bbox.width / devicePixelRatio),
            values: (u, splits) => splits.map(place),
          },
          { size: 56, values: plain ? () => [] : undefined, splits: plain ? () => [] : undefined, grid: { stroke: "#eef1f5" }, space: 28 },
        ],
        series: [
          {},
          kind === "track"
            ? { fill: data.trackColor, stroke: data.trackColor, width: 0, paths: uPlot.paths.bars({ size: [1, Infinity], gap: 0 }), points: { show: false } }
            : { paths: () => null, points: { show: false } },
        ],
        hooks: {
          drawClear: [(u) => drawSpans(u, panel.spans ?? [], data.spanColor)],
          draw: [draw],
          setCursor: [(u) => read(u.cursor.idx)],
          setSelect: [
            (u) => {
              const { left, width } = u.select;
              if (width > 3) zoomTo(...insideStretch(n, u.posToVal(left, "x"), u.posToVal(left + width, "x")));
              u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            },
          ],
        },
      },
      [indices, panel.full ?? new Array(n).fill(null)],
      box,
    );
    plots.push(plot);
  });
  if (data.shown) zoomTo(...insideStretch(n, ...data.shown));
  new ResizeObserver(() => plots.forEach((plot) => plot.width !== box.clientWidth && plot.setSize({ width: box.clientWidth, height: plot.height }))).observe(box);
}
if (typeof document !== "undefined")
  document.querySelectorAll(".zoom").forEach((box, number) => {
    enableZoom(box, number);
    box.parentElement.querySelector("details").open = false;
  });
