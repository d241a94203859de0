"use strict";

// A telephone: results come before a list of them.
if (matchMedia("(max-width: 40rem)").matches) document.getElementById("contents").open = false;

// Tables: a click on a header sorts by it, another one turns the order round. What has no value stays at the end.
function valueOf(row, column, numbers) {
  const text = row.cells[column].textContent;
  if (!numbers) return text;
  const value = parseFloat(text.replace("inf", "Infinity"));
  return Number.isNaN(value) ? null : value;
}

function compare(a, b) {
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
}

function sort(table, column) {
  const headers = [...table.tHead.rows[0].cells];
  const numbers = headers[column].classList.contains("number");
  const before = headers[column].getAttribute("aria-sort");
  const descending = before ? before === "ascending" : numbers;
  headers.forEach((header) => header.removeAttribute("aria-sort"));
  headers[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row, column, numbers), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return descending ? compare(b, a) : compare(a, b);
  });
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    header.querySelector("button")?.addEventListener("click", () => sort(table, column));
  });
}

// Pictures: a click or Enter enlarges them; the arrow keys go through those of the same sheet.
const viewer = document.getElementById("viewer");
const picture = viewer.querySelector("img");
let group = [], position = 0;

function show(index) {
  position = (index + group.length) % group.length;
  const image = group[position];
  const fit = Math.min((window.innerWidth - 170) / image.naturalWidth, (window.innerHeight - 150) / image.naturalHeight);
  const scale = fit >= 2 ? Math.min(Math.floor(fit), 24) : fit >= 1 ? 1 : fit;
  picture.src = image.src;
  picture.alt = image.alt;
  picture.width = Math.round(image.naturalWidth * scale);
  picture.height = Math.round(image.naturalHeight * scale);
  picture.style.imageRendering = scale > 1 ? "pixelated" : "auto";
  const place = group.length > 1 ? ` (${position + 1} of ${group.length})` : "";
  document.getElementById("viewer-title").textContent = image.alt + place;
  for (const name of ["previous", "next"]) document.getElementById(`viewer-${name}`).hidden = group.length < 2;
}

for (const button of document.querySelectorAll("button.zoom")) {
  button.addEventListener("click", () => {
    const sheet = button.closest(".sheet");
    group = [...(sheet ?? button).querySelectorAll("img")];
    show(group.indexOf(button.querySelector("img")));
    viewer.showModal();
  });
}

document.getElementById("viewer-close").addEventListener("click", () => viewer.close());
document.getElementById("viewer-previous").addEventListener("click", () => show(position - 1));
document.getElementById("viewer-next").addEventListener("click", () => show(position + 1));
viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
viewer.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) {
    event.preventDefault();
    show(position + step);
  }
});
