// What is said in words and tables beside the picture. All texts are set as text, never as markup.

const byId = (id) => document.getElementById(id);

/** An element with attributes and children; texts become text nodes. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

/** A table that scrolls by itself; cells are texts or elements. */
function table(caption, head, rows, name = "") {
  const cell = (content, index) =>
    index ? element("td", {}, content) : element("th", { scope: "row" }, content);
  return element(
    "div",
    { class: `wide ${name}`, tabindex: 0, role: "region", "aria-label": caption },
    element(
      "table",
      {},
      element("caption", {}, caption),
      element("thead", {}, element("tr", {}, head.map((title) => element("th", { scope: "col" }, title)))),
      element("tbody", {}, rows.map((cells) => element("tr", {}, cells.map(cell)))),
    ),
  );
}

/** What a lane says of a variant. */
function valueIn(lane, i) {
  const numbers = lane.of ? lane.numbers : lane.column.numbers;
  return numbers[i];
}

function percentText(lane, i) {
  const fraction = lane.of ? NaN : fractionsOf(lane)[i];
  if (Number.isNaN(fraction)) return "–";
  const percent = fraction * 100;
  // As many digits as the tail needs.
  const digits = percent > 99 ? Math.min(4, Math.ceil(-Math.log10(Math.max(1e-6, 1 - fraction))) - 1) : 1;
  return String(Number(percent.toFixed(digits)));
}

/** Why a cell has no colour. */
function absence(lane, i) {
  const tracks = (lane.of ?? [lane]).map((one) => one.track);
  const reasons = tracks.map((track) => {
    const status = statusOf(track, i);
    if (status === "") return `no row in ${track.name}`;
    return status === "scored" ? `no value in ${track.name}` : `${status} in ${track.name}`;
  });
  return [...new Set(reasons)].join(", ");
}

/** The cell under the cursor in one sentence. */
function sentence() {
  const lane = lanes[cursor.lane];
  if (!lane) return "";
  const i = cursor.variant;
  const place = `${page.contig.name}:${grouped(cursor.position)}`;
  if (i < 0) {
    const base = baseAt(cursor.position);
    const what = base === ROW_NAMES[cursor.row] ? "the reference base" : `no row for ${ROW_NAMES[cursor.row]}`;
    return `${place}, reference ${base}: ${what}. ${lane.name}`;
  }
  const value = valueIn(lane, i);
  const said = Number.isNaN(value)
    ? absence(lane, i)
    : `${figure(value)}${lane.of ? "" : `, percentile ${percentText(lane, i)}`}`;
  const more = [labelOf(i)?.replaceAll("_", " "), ...genesAt(variants.position[i]).map((gene) => gene.id)].filter(Boolean);
  return `${place} ${shortAllele(refOf(i))}>${shortAllele(altOf(i))}: ${lane.name} ${said}${more.length ? `; ${more.join(", ")}` : ""}`;
}

/** Columns without the parts of a gene effect that stand beside its change. */
const isPart = (name) => ["_position", "_ref", "_alt"].some((end) => name.endsWith(end));

/** Rows of details by variant, found when they are first needed. */
function rowsOf(detail, i) {
  detail.byVariant ??= detail.variant.reduce((found, variant, row) => {
    if (!found.has(variant)) found.set(variant, []);
    found.get(variant).push(row);
    return found;
  }, new Map());
  return detail.byVariant.get(i) ?? [];
}

function ablation(detail, rows) {
  return detail.columns.map((column) => {
    const most = Math.max(1e-30, ...rows.map((row) => Math.abs(column.values[row] ?? 0)));
    const lines = rows.map((row) => {
      const value = column.values[row] ?? NaN;
      const bar = element("span", { class: `bar ${value < 0 ? "below" : "above"}` });
      bar.style.width = `${(50 * Math.abs(value || 0)) / most}%`;
      return [String(detail.layer[row]), element("span", { class: "track" }, bar), figure(value)];
    });
    return table(
      `${detail.track}: change of ${column.name} without each layer`,
      ["layer", "lower ◂ ▸ higher", "change"],
      lines,
      "ablation",
    );
  });
}

function effects(detail, rows) {
  const columns = detail.columns.filter((column) => detail.target.length || !isPart(column.name));
  const size = (row) => Math.max(...columns.map((column) => Math.abs(column.values[row] ?? 0)));
  const sorted = detail.target.length ? [...rows].sort((a, b) => size(b) - size(a)) : rows;
  const value = (name, row) => detail.columns.find((column) => column.name === name)?.values[row];
  const cell = (column, row) => {
    const place = detail.target.length ? undefined : value(`${column.name}_position`, row);
    const at = place === undefined || place === null ? "" : ` at ${place > 0 ? "+" : ""}${place}`;
    return figure(column.values[row]) + at;
  };
  const names = [detail.gene.length && "gene", detail.target.length && "target"].filter(Boolean);
  const lines = sorted.map((row) => [
    ...names.map((name) => detail.names[detail[name][row]]),
    ...columns.map((column) => cell(column, row)),
  ]);
  const title = detail.table === "effects" ? "largest effects on targets" : "effects in genes";
  return [table(`${detail.track}: ${title}`, [...names, ...columns.map((column) => column.name)], lines)];
}

/** The panel beside the picture. */
function showPanel() {
  const panel = byId("panel");
  const i = cursor.variant;
  if (i < 0) {
    panel.replaceChildren(
      element("h2", {}, `${page.contig.name}:${grouped(cursor.position)}`),
      element("p", { class: "soft" }, `Reference ${baseAt(cursor.position)}. Point at a coloured cell, or move to one with the arrow keys.`),
      ...others(cursor.position, -1),
    );
    return;
  }
  const parts = [element("h2", {}, shortName(i))];
  const facts = [];
  const genes = genesAt(variants.position[i]);
  if (genes.length) facts.push(["gene", genes.map((gene) => `${gene.id} (${gene.strand})`).join(", ")]);
  if (labelOf(i)) facts.push([page.labels.field, labelOf(i).replaceAll("_", " ")]);
  if (cursor.held) facts.push(["held", "press Esc or click again to release"]);
  if (facts.length) {
    parts.push(element("dl", {}, facts.map(([name, text]) => [element("dt", {}, name), element("dd", {}, text)])));
  }
  const lines = columns.map((lane) => {
    const value = valueIn(lane, i);
    const status = Number.isNaN(value) ? absence(lane, i).replace(` in ${lane.track.name}`, "") : figure(value);
    return [lane.name, status, percentText(lane, i)];
  });
  for (const lane of lanes.filter((lane) => lane.of)) lines.push([lane.name, figure(valueIn(lane, i)), "–"]);
  parts.push(table("Scores", ["track · column", "value", "%"], lines));
  for (const detail of page.details) {
    const rows = rowsOf(detail, i);
    if (detail.left_out) continue;
    if (rows.length) parts.push(...(detail.table === "ablation" ? ablation(detail, rows) : effects(detail, rows)));
  }
  parts.push(...others(variants.position[i], i));
  panel.replaceChildren(...parts);
}

/** A line with the other variants of a position, if there are some. */
function others(position, i) {
  const found = [];
  for (let other = firstVariant(position); other < variants.count && found.length < 12; other++) {
    if (variants.position[other] !== position) break;
    if (other !== i) found.push(other);
  }
  if (!found.length) return [];
  const buttons = found.map((other) => variantButton(other, `${shortAllele(refOf(other))}>${shortAllele(altOf(other))}`));
  return [element("p", { class: "soft" }, i < 0 ? "At this position: " : "Also at this position: ", buttons)];
}

/** A button that moves the cursor to a variant. */
function variantButton(i, text) {
  const button = element("button", { type: "button", class: "link", "aria-label": `Show ${shortName(i)}` }, text);
  button.addEventListener("click", () => showVariant(i, true));
  return button;
}

/** The variants in view with the largest shades of a lane. */
function largest(lane, count) {
  const found = [];
  let least = 0;
  for (let i = firstVariant(Math.floor(view.start)); i < variants.count; i++) {
    if (variants.position[i] >= view.start + view.span) break;
    const size = Math.abs(lane.shades[i]);
    if (!(size > least || (found.length < count && size >= 0))) continue;
    found.push(i);
    if (found.length < 4 * count) continue;
    found.sort((a, b) => order(lane, a, b));
    found.length = count;
    least = Math.abs(lane.shades[found[count - 1]]);
  }
  return found.sort((a, b) => order(lane, a, b)).slice(0, count);
}

/** The most extreme first: by shade, then by what shades level, then in order. */
function order(lane, a, b) {
  const size = (i) => (lane.of ? Math.abs(lane.numbers[i]) : orient[directionOf(lane.column)](lane.column.numbers[i]));
  return Math.abs(lane.shades[b]) - Math.abs(lane.shades[a]) || size(b) - size(a) || a - b;
}

function showExtremes() {
  const lane = lanes[cursor.lane] ?? lanes[0];
  if (!lane) return;
  const lines = largest(lane, 20).map((i, rank) => [
    String(rank + 1),
    variantButton(i, shortName(i)),
    figure(valueIn(lane, i)),
    ...(lane.of ? lane.of.map((one) => figure(valueIn(one, i))) : [percentText(lane, i)]),
    genesAt(variants.position[i]).map((gene) => gene.id).join(", ") || "–",
    (labelOf(i) ?? "–").replaceAll("_", " "),
  ]);
  const head = [
    "#",
    "variant",
    lane.of ? "difference" : lane.column.name,
    ...(lane.of ? lane.of.map((one) => one.name) : ["percentile"]),
    "gene",
    "label",
  ];
  const section = byId("extremes");
  section.replaceChildren(
    element("h2", {}, "Most extreme of what is seen"),
    lines.length
      ? table(`${lane.name}, ${lane.direction}`, head, lines, "extremes")
      : element("p", {}, "Nothing in view has a score."),
  );
}

/** How the picture reads. */
function showReading() {
  const term = (name, ...text) => [element("dt", {}, name), element("dd", {}, ...text)];
  const lines = [];
  for (const lane of columns) {
    const meaning = lane.column.meaning ? `${lane.column.meaning}; ` : "";
    lines.push(term(lane.name, `${meaning}${directionText(lane.column)}.`));
  }
  lines.push(
    term(
      "by percentile",
      "A colour says what part of the column's scores on this page is less extreme (of calibrated columns: of the scores they were calibrated on). The scale stretches the tail: from 90 to 99 % is as far as from 99 to 99.9 %.",
    ),
    term("by value", "Blue is below 0 and orange above; columns of one sign run from dull to extreme. The most extreme 0.2 % share a colour."),
    term("cells", "A row for each alternate base; a dot marks the reference base. Where a pixel covers several bases it shows the most extreme cell. A grey, crossed cell is a row without a score (or, by percentile, a score that the calibration says nothing of); an empty one has no row."),
    term("letters", "The reference, as high as the mean colour of the alternates at a base; bars where bases are too narrow."),
  );
  if (page.labels) {
    const marks = LABEL_KINDS.filter((kind) => labels.list.some((label) => label.kind === kind)).map((kind) => {
      const mark = element("canvas", { width: 28, height: 28, "aria-hidden": "true", class: "mark", "data-kind": kind });
      return element("span", { class: "key" }, mark, LABEL_NAMES[kind]);
    });
    lines.push(term(`labels`, `${plural(labels.list.length, "variant")} of ${page.labels.from}, by ${page.labels.field}: `, ...marks));
  }
  if (page.genes_from) lines.push(term("genes", `of ${page.genes_from}`));
  for (const detail of page.details.filter((one) => one.left_out)) {
    lines.push(term(`${detail.table} of ${detail.track}`, `left out: ${detail.left_out}`));
  }
  if (!page.sequence_is_reference) {
    lines.push(term("reference", "was out of reach: bases are those that the rows state."));
  }
  byId("reading").replaceChildren(element("h2", {}, "How to read it"), element("dl", { class: "terms" }, lines));
}

function drawMarks(ink) {
  for (const mark of document.querySelectorAll("canvas.mark")) {
    const context = mark.getContext("2d");
    context.setTransform(2, 0, 0, 2, 0, 0);
    context.clearRect(0, 0, 14, 14);
    labelMark(new CanvasSurface(context), mark.dataset.kind, 7, 7, ink);
  }
}

function showProvenance() {
  const cards = page.tracks.map((track) =>
    element(
      "article",
      { class: "card" },
      element("h3", {}, track.name),
      element("dl", {}, track.provenance.map(([name, text]) => [element("dt", {}, name), element("dd", {}, text)])),
    ),
  );
  const reference = [
    ["assembly", page.assembly ?? "not named"],
    ["contig", `${page.contig.name}, ${plural(page.contig.length, "base")}`],
    ["digest", page.contig.digest],
  ];
  cards.push(
    element(
      "article",
      { class: "card" },
      element("h3", {}, "Reference"),
      element("dl", {}, reference.map(([name, text]) => [element("dt", {}, name), element("dd", {}, text)])),
    ),
  );
  byId("provenance").replaceChildren(
    element("h2", {}, "Where the scores come from"),
    element("div", { class: "cards" }, cards),
  );
  byId("foot").textContent =
    `Written by vestore ${page.vestore}. The numbers are in this file, as JSON in the element vestore-data.`;
}
