"use strict";
const read = (id) => JSON.parse(document.getElementById(id).textContent);

// Charts: drawn where they stand, in the colours of the page.
const dark = matchMedia("(prefers-color-scheme: dark)");
function paint(inDark) {
  const ink = inDark ? "#ececec" : "#1a1a1a";
  const line = { "#0072B2": "#56B4E9", "#D55E00": "#E69F00" };
  for (const shown of Bokeh.documents) for (const plot of shown.roots()) {
    for (const part of [...plot.below, ...plot.left, ...plot.above, ...plot.center]) {
      const colours = {};
      for (const name of ["axis_label_text_color", "major_label_text_color", "label_text_color", "axis_line_color",
        "major_tick_line_color", "minor_tick_line_color"]) if (name in part.properties) colours[name] = ink;
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
Promise.all(read("items").map(([id, item]) => Bokeh.embed.embed_item(item, id))).then(() => {
  paint(dark.matches);
  dark.addEventListener("change", () => paint(dark.matches));
  addEventListener("beforeprint", () => paint(false));
  addEventListener("afterprint", () => paint(dark.matches));
  document.documentElement.dataset.drawn = "yes";
});

// Cells of the confusion matrix: one of them is reached by Tab, the others from there by the arrow keys.
const pictures = read("cells");
const buttons = [...document.querySelectorAll("#matrix button")];
const place = (button) => button.dataset.cell.split(",").map(Number);
function show(button) {
  const chosen = document.getElementById("chosen"), title = document.createElement("h3");
  const row = document.createElement("div");
  for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
  title.textContent = button.title;
  row.className = "pictures";
  for (const [source, name, told] of pictures[button.dataset.cell]) {
    const figure = document.createElement("figure"), image = document.createElement("img");
    const caption = document.createElement("figcaption"), small = document.createElement("small");
    image.src = source;
    image.alt = name;
    small.textContent = name;
    caption.append(told, small);
    figure.append(image, caption);
    row.append(figure);
  }
  chosen.replaceChildren(title, row);
  const all = Number(button.textContent.replaceAll(",", "")), some = pictures[button.dataset.cell].length;
  if (some < all) {
    const more = document.createElement("p");
    more.className = "small";
    more.textContent = `${some} of ${all} are shown.`;
    chosen.append(more);
  }
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
buttons.forEach((button, number) => {
  button.tabIndex = number ? -1 : 0;
  button.addEventListener("click", () => show(button));
  button.addEventListener("focus", () => buttons.forEach((other) => { other.tabIndex = other === button ? 0 : -1; }));
  button.addEventListener("keydown", (event) => {
    if (!(event.key in steps)) return;
    event.preventDefault();
    nearest(button, steps[event.key]).focus();
  });
});
