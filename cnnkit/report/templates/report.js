"use strict";
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const made = (name, text = "", facts = {}) => Object.assign(document.createElement(name), { textContent: text }, facts);

// Charts: drawn where they stand, in the colours of the page.
const dark = matchMedia("(prefers-color-scheme: dark)");
const inks = { "#1a1a1a": "#ececec" }, line = { "#0072B2": "#56B4E9", "#D55E00": "#E69F00" };
function items() {
  let text = document.getElementById("items").textContent;
  if (dark.matches) for (const [light, other] of Object.entries({ ...inks, ...line })) {
    text = text.replaceAll(`"${light}"`, `"${other}"`);
  }
  return JSON.parse(text);
}
function paint(inDark) {
  const [[light, other]] = Object.entries(inks), ink = inDark ? other : light;
  for (const shown of Bokeh.documents) for (const plot of shown.roots()) {
    for (const part of [...plot.below, ...plot.left, ...plot.above, ...plot.center]) {
      const colours = {};
      for (const name of ["axis_label_text_color", "major_label_text_color", "label_text_color", "axis_line_color",
        "major_tick_line_color"]) if (name in part.properties) colours[name] = ink;
      if ("grid_line_color" in part.properties) colours.grid_line_color = ink;
      part.setv(colours);
    }
    for (const drawn of plot.renderers) for (const name of ["line_color", "fill_color"]) {
      const glyph = drawn.glyph;
      if (!glyph || !(name in glyph.properties) || !glyph[name]) continue;
      const now = glyph[name].value;
      for (const [light, other] of Object.entries(line)) {
        if (now === light && inDark) glyph.setv({ [name]: { value: other } });
        if (now === other && !inDark) glyph.setv({ [name]: { value: light } });
      }
    }
  }
}
Promise.all(items().map(([id, item]) => Bokeh.embed.embed_item(item, id))).then(() => {
  dark.addEventListener("change", () => paint(dark.matches));
  addEventListener("beforeprint", () => {
    const plots = Bokeh.documents.flatMap((shown) => shown.roots()), legends = plots.map(legend);
    paint(false);
    plots.forEach((plot, number) => printed(plot, legends[number]));
  });
  addEventListener("afterprint", () => {
    for (const each of document.querySelectorAll(".printed")) each.remove();
    paint(dark.matches);
  });
  document.documentElement.dataset.drawn = "yes";
});

// A chart fits itself to its place only after a while, and paper does not wait: there it is a picture, in which the
// text is dark at once, and lines keep their colours. The legend has no lines in it: in its place is one of text.
function legend(plot) {
  const row = made("p");
  for (const { label, renderers } of plot.above.flatMap((part) => part.items ?? [])) {
    const glyph = renderers[0].glyph, dashed = glyph.line_dash.value.length > 0;
    const line = made("span", `${dashed ? "- -" : "\u2014"} ${label.value}`);
    line.style.color = glyph.line_color.value;
    row.append(line, " ");
  }
  return row;
}
function printed(plot, row) {
  const view = Bokeh.index.get_by_id(plot.id), image = made("img", "", { alt: "" }), frame = made("div");
  const box = made("div", "", { className: "printed" });
  image.src = view.export("png", true).canvas.toDataURL();
  image.style.marginTop = `${4 - view.frame.bbox.y}px`;
  frame.append(image);
  box.append(row, frame);
  view.el.closest(".drawn").after(box);
}

// On paper nothing can be opened.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details.print:not([open])")];
  for (const each of opened) each.open = true;
});
addEventListener("afterprint", () => { for (const each of opened) each.open = false; });

// What is confused, a cell of the matrix or a pair, shows its pictures. Of the cells one is reached by Tab, the others
// from there by the arrow keys.
const pictures = read("cells");
const choices = [...document.querySelectorAll("[data-cell]")];
const buttons = choices.filter((button) => button.closest("#matrix"));
const place = (button) => button.dataset.cell.split(",").map(Number);
const chosen = document.getElementById("chosen");
function named(name) {
  const small = made("small");
  for (const part of name.split(/(?<=[/_-])/)) small.append(part, made("wbr"));
  return small;
}
function show(button) {
  const row = made("div", "", { className: "pictures" });
  for (const other of choices) other.setAttribute("aria-pressed", String(other === button));
  for (const [source, name, told] of pictures[button.dataset.cell]) {
    const figure = made("figure"), caption = made("figcaption");
    caption.append(told, named(name));
    figure.append(made("img", "", { src: source, alt: name }), caption);
    row.append(figure);
  }
  const all = Number(button.dataset.count), some = pictures[button.dataset.cell].length;
  chosen.replaceChildren(made("h3", button.title));
  if (some < all) chosen.append(made("p", `${some} of ${all.toLocaleString("en")} are shown.`, { className: "small" }));
  chosen.append(row);
  chosen.tabIndex = 0;
}
const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
function nearest(button, [down, right]) {
  const [row, column] = place(button);
  const away = (other) => {
    const [r, c] = place(other);
    const along = (r - row) * down + (c - column) * right, aside = Math.abs((r - row) * right) + Math.abs((c - column) * down);
    return along > 0 ? along + 2 * aside : Infinity;
  };
  const best = buttons.reduce((one, other) => (away(other) < away(one) ? other : one));
  return away(best) < Infinity ? best : button;
}
for (const button of choices) button.addEventListener("click", () => {
  show(button);
  chosen.querySelector("figure").scrollIntoView({ block: "nearest" });
});
buttons.forEach((button, number) => {
  button.tabIndex = number ? -1 : 0;
  button.addEventListener("focus", () => buttons.forEach((other) => { other.tabIndex = other === button ? 0 : -1; }));
  button.addEventListener("keydown", (event) => {
    if (!(event.key in steps)) return;
    event.preventDefault();
    nearest(button, steps[event.key]).focus();
  });
});
const wrong = choices.filter((button) => new Set(place(button)).size > 1);
const most = (one, other) => (Number(other.dataset.count) > Number(one.dataset.count) ? other : one);
if (wrong.length) show(wrong.reduce(most));

// Escape closes what the focus is on or in, and goes back to what opened it.
addEventListener("keydown", (event) => {
  const at = document.activeElement;
  if (event.key !== "Escape" || !at) return;
  const folded = at.closest("details[open]"), opener = choices.find((button) => button.ariaPressed === "true");
  if (folded) {
    folded.open = false;
    folded.querySelector("summary").focus();
  } else if (opener && (at === chosen || choices.includes(at))) {
    chosen.replaceChildren();
    chosen.removeAttribute("tabindex");
    opener.setAttribute("aria-pressed", "false");
    if (at === chosen) opener.focus();
  }
});

// A browser leaves what has the focus half out of sight.
addEventListener("focusin", ({ target }) => {
  if (target.matches(":focus-visible") && target.parentElement.closest(".scroll")) {
    target.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
});

// Tables of classes can be sorted by a column; long ones can be searched.
const value = (row, column) => row.cells[column].textContent;
function sort(table, column, up) {
  const order = new Intl.Collator("en", { numeric: true }).compare;
  const number = (text) => (text.trim() === "-" ? -Infinity : parseFloat(text.replaceAll(",", "")));
  const rows = [...table.tBodies[0].rows], numeric = table.tHead.rows[0].cells[column].classList.contains("number");
  const compare = numeric ? (a, b) => number(value(a, column)) - number(value(b, column))
    : (a, b) => order(value(a, column), value(b, column));
  rows.sort((a, b) => (up ? compare(a, b) : compare(b, a)));
  table.tBodies[0].append(...rows);
}
for (const table of document.querySelectorAll("table.sorted")) [...table.tHead.rows[0].cells].forEach((head, column) => {
  const button = made("button", head.textContent, { type: "button", title: "Sort by this column" });
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    sort(table, column, up);
  });
});
for (const table of document.querySelectorAll("table.searched")) {
  const label = made("label", "Search: ", { className: "search" }), input = made("input", "", { type: "search" });
  const found = made("output", "", { className: "small" });
  label.append(input, " ", found);
  table.parentElement.before(label);
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase(), rows = [...table.tBodies[0].rows];
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    const left = rows.filter((row) => !row.hidden).length;
    found.textContent = wanted ? `${left.toLocaleString("en")} of ${rows.length.toLocaleString("en")}` : "";
  });
}
