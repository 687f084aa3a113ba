"use strict";
// Sorting, filtering and paging of every table on the page.
function cellValue(row, column) {
  const cell = row.cells[column];
  if (!cell.hasAttribute("data-v")) return cell.textContent.trim();
  const text = cell.getAttribute("data-v");
  if (text === "") return null;
  if (text === "inf") return Infinity;
  if (text === "-inf") return -Infinity;
  return Number(text);
}
function compareValues(a, b, direction) {
  const noA = a === null || a === "", noB = b === null || b === "";
  if (noA || noB) return noA && noB ? 0 : noA ? 1 : -1; // empty cells last, both ways
  if (typeof a === "number" && typeof b === "number") return direction * (a - b);
  return direction * String(a).localeCompare(String(b), "en", { numeric: true });
}
// Returns a predicate, true (no filter) or null (not understood).
function parseFilter(text) {
  const wanted = text.trim();
  if (wanted === "") return true;
  const found = wanted.match(/^(<=|>=|!=|<|>|=)\s*(.*)$/);
  if (!found) {
    const needle = wanted.toLowerCase();
    return (value, shown) => shown.toLowerCase().includes(needle);
  }
  const [, sign, right] = found, number = Number(right);
  if (right === "") return true;
  const isNumber = !Number.isNaN(number);
  if (sign === "=") return (value, shown) => (isNumber && typeof value === "number" ? value === number : shown.toLowerCase() === right.toLowerCase());
  if (sign === "!=") return (value, shown) => (isNumber && typeof value === "number" ? value !== number : shown.toLowerCase() !== right.toLowerCase());
  if (!isNumber) return null;
  return (value) => {
    const left = typeof value === "number" ? value : Number(value);
    if (value === null || value === "" || Number.isNaN(left)) return false;
    return sign === "<" ? left < number : sign === ">" ? left > number : sign === "<=" ? left <= number : left >= number;
  };
}
function enableTable(table) {
  const body = table.tBodies[0], rows = Array.from(body.rows), size = Number(table.dataset.page) || 50;
  const inputs = Array.from(table.querySelectorAll(".filters input"));
  const pager = document.createElement("div"), back = document.createElement("button"), next = document.createElement("button"), label = document.createElement("span");
  let order = rows.slice(), page = 0;
  pager.className = "pager";
  label.setAttribute("aria-live", "polite");
  back.type = next.type = "button";
  back.textContent = "previous";
  next.textContent = "next";
  pager.append(back, next, label);
  table.closest(".scroll").after(pager);
  function show() {
    const tests = inputs.map((input) => {
      const test = parseFilter(input.value);
      input.classList.toggle("wrong", test === null);
      return test;
    });
    const kept = order.filter((row) => tests.every((test, i) => test === true || test === null || test(cellValue(row, i), row.cells[i].textContent.trim())));
    const last = Math.max(0, Math.ceil(kept.length / size) - 1);
    page = Math.min(page, last);
    const visible = new Set(kept.slice(page * size, (page + 1) * size));
    for (const row of rows) row.hidden = !visible.has(row);
    label.textContent = kept.length === 0 ? `no row of ${rows.length} matches` : `rows ${page * size + 1}–${Math.min(kept.length, (page + 1) * size)} of ${kept.length}` + (kept.length < rows.length ? ` matching (${rows.length} in all)` : "");
    back.disabled = page === 0;
    next.disabled = page === last;
    back.hidden = next.hidden = rows.length <= size;
    pager.hidden = back.hidden && inputs.length === 0;
  }
  back.addEventListener("click", () => { page -= 1; show(); });
  next.addEventListener("click", () => { page += 1; show(); });
  for (const input of inputs) input.addEventListener("input", () => { page = 0; show(); });
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      // Numbers start with the highest: that is what one looks for in a table of scores.
      const first = head.classList.contains("num") ? "descending" : "ascending";
      const second = first === "ascending" ? "descending" : "ascending";
      const wanted = head.getAttribute("aria-sort") === first ? second : first;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", wanted);
      const direction = wanted === "ascending" ? 1 : -1;
      order = rows.map((row, i) => [row, cellValue(row, column), i]).sort((x, y) => compareValues(x[1], y[1], direction) || x[2] - y[2]).map((item) => item[0]);
      order.forEach((row) => body.append(row));
      page = 0;
      show();
    });
  });
  show();
}
if (typeof document !== "undefined") document.querySelectorAll("table[data-page]").forEach(enableTable);
