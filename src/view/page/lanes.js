// The picture: ruler, labels, genes, sequence, then a heatmap with a logo for each column.

const GUTTER = 34;
const EDGE = 10;
const CELL = 15;
const LOGO = 38;
const HEAD = 38;
const GAP = 14;
/** Pixels of a base from which its letter is drawn. */
const LETTERS = 8;
const BASE_COLOURS = {
  light: { A: "#007a5a", C: "#0b62a8", G: "#a86f00", T: "#b3480a", N: "#8a929b" },
  dark: { A: "#4fd0a5", C: "#79bdf5", G: "#f0c050", T: "#f59a5f", N: "#7b858f" },
};
const LABEL_KINDS = ["pathogenic", "conflicting", "uncertain", "benign", "named"];
const LABEL_NAMES = {
  pathogenic: "pathogenic",
  conflicting: "conflicting",
  uncertain: "uncertain",
  benign: "benign",
  named: "other",
};

/** What is seen: from base `start` on, `span` bases. */
const view = { start: page.start, span: page.end - page.start + 1 };
const whole = { start: page.start, span: page.end - page.start + 1 };
/** The cell under the cursor: a lane, a variant (or -1) and a place (row, position). */
const cursor = { lane: 0, row: 0, position: page.start, variant: -1, held: false };
let lanes = [];
let scale = "percentile";

const rowCount = () => (hasOther ? 5 : 4);
const laneHeight = () => HEAD + LOGO + 4 + rowCount() * CELL;

/** Rows of genes so that none overlap: of each gene its row. */
const geneRows = (() => {
  const ends = [];
  const rows = page.genes.map((gene) => {
    let row = ends.findIndex((end) => end < gene.start);
    if (row < 0) row = Math.min(ends.length, 3);
    ends[row] = Math.max(ends[row] ?? 0, gene.end);
    return row;
  });
  return { rows, count: ends.length };
})();

/** Where everything stands, from top to bottom. */
function layoutOf(width) {
  let y = 8;
  const place = (height) => {
    const top = y;
    y += height;
    return { top, height };
  };
  const layout = { width, left: GUTTER, right: width - EDGE };
  layout.overview = place(24);
  y += 6;
  layout.ruler = place(22);
  if (page.labels) layout.labels = place(24);
  if (geneRows.count) layout.genes = place(geneRows.count * 24 + 4);
  layout.sequence = place(18);
  y += GAP - 4;
  layout.lanes = lanes.map(() => {
    const lane = place(laneHeight());
    y += GAP;
    return lane;
  });
  layout.height = y;
  layout.perBase = (layout.right - layout.left) / view.span;
  layout.x = (position) => layout.left + (position - view.start) * layout.perBase;
  layout.rowTop = (lane, row) => layout.lanes[lane].top + HEAD + LOGO + 4 + row * CELL;
  return layout;
}

/** Draws everything onto a surface; returns the layout. */
function draw(surface, width, ink, withCursor) {
  const layout = layoutOf(width);
  surface.rect(0, 0, width, layout.height, ink.raised);
  drawOverview(surface, layout, ink);
  drawRuler(surface, layout, ink);
  if (layout.labels) drawLabels(surface, layout, ink);
  if (layout.genes) drawGenes(surface, layout, ink);
  drawSequence(surface, layout, ink);
  lanes.forEach((lane, index) => drawLane(surface, layout, lane, index, ink));
  if (withCursor) drawCursor(surface, layout, ink);
  return layout;
}

/** The whole region with the part that is seen. */
function drawOverview(surface, layout, ink) {
  const { top, height } = layout.overview;
  const { left, right } = layout;
  surface.rect(left, top, right - left, height, ink.faint);
  const lane = lanes.find((one) => !one.of);
  if (lane) {
    const bases = page.sequence.length;
    const bars = [];
    for (let x = 0; x < right - left; x += 2) {
      bars.push(meanShade(lane, Math.floor((x / (right - left)) * bases), Math.ceil(((x + 2) / (right - left)) * bases)));
    }
    const most = Math.max(1e-9, ...bars);
    bars.forEach((bar, index) => {
      const size = (bar / most) * (height - 4);
      if (size > 0.3) surface.rect(left + index * 2, top + height - size, 2, size, ink.neutral);
    });
  }
  const x = (position) => left + ((position - whole.start) / whole.span) * (right - left);
  const [from, to] = [x(view.start), x(view.start + view.span)];
  surface.outline(from + 0.5, top + 0.5, Math.max(3, to - from - 1), height - 1, ink.accent, 2);
}

/** The mean size of shades over bases `from..to`, counted from the first of the page. */
function meanShade(lane, from, to) {
  const first = clamp(from, 0, page.sequence.length);
  const end = clamp(to, first, page.sequence.length);
  const count = lane.counts[end] - lane.counts[first];
  return count ? (lane.sums[end] - lane.sums[first]) / count : 0;
}

function drawRuler(surface, layout, ink) {
  const { top, height } = layout.ruler;
  const wanted = (view.span * 110) / (layout.right - layout.left);
  const power = 10 ** Math.floor(Math.log10(Math.max(1, wanted)));
  const step = Math.max(1, [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= wanted));
  surface.path([[layout.left, top + height - 0.5], [layout.right, top + height - 0.5]], ink.line);
  let free = -Infinity;
  for (let mark = Math.ceil(view.start / step) * step; mark < view.start + view.span; mark += step) {
    const x = layout.x(mark + 0.5);
    const text = grouped(mark);
    const half = surface.width(text, 11) / 2;
    surface.path([[x, top + height - 5], [x, top + height]], ink.soft);
    const at = clamp(x, layout.left + half - 20, layout.right - half);
    if (at - half < free || x > layout.right) continue;
    free = at + half + 8;
    surface.text(text, at, top + height - 8, { fill: ink.soft, size: 11, anchor: "middle" });
  }
}

/** Marks of labelled variants: shape and height differ, not colour alone. */
function labelMark(surface, kind, x, y, ink) {
  const fill = ink.labels[kind];
  if (kind === "pathogenic") surface.path([[x, y - 5], [x + 5, y + 4], [x - 5, y + 4]], null, fill);
  else if (kind === "benign") surface.disc(x, y, 3.6, fill);
  else if (kind === "uncertain") surface.disc(x, y, 3.2, null, fill);
  else if (kind === "conflicting") surface.path([[x, y - 5], [x + 4.5, y], [x, y + 5], [x - 4.5, y]], null, fill);
  else surface.rect(x - 2.5, y - 2.5, 5, 5, fill);
}

function drawLabels(surface, layout, ink) {
  const { top, height } = layout.labels;
  const dense = layout.perBase < 1.5;
  // The most serious kind stands in front.
  for (const kind of [...LABEL_KINDS].reverse()) {
    const y = top + height / 2 + (kind === "benign" ? 5 : kind === "pathogenic" ? -3 : 0);
    let drawn = -Infinity;
    for (const label of labels.list) {
      if (label.kind !== kind || label.position < view.start - 1 || label.position > view.start + view.span) continue;
      const x = layout.x(label.position + 0.5);
      if (dense && x - drawn < 3) continue;
      if (x < layout.left - 4 || x > layout.right + 4) continue;
      drawn = x;
      labelMark(surface, kind, x, y, ink);
    }
  }
}

function drawGenes(surface, layout, ink) {
  const { top } = layout.genes;
  page.genes.forEach((gene, index) => {
    if (gene.end < view.start || gene.start > view.start + view.span) return;
    const y = top + geneRows.rows[index] * 24 + 16;
    const from = Math.max(layout.left, layout.x(gene.start));
    const to = Math.min(layout.right, layout.x(gene.end + 1));
    surface.path([[from, y], [to, y]], ink.gene);
    // Chevrons point the way of transcription.
    const way = gene.strand === "-" ? -3 : 3;
    for (let x = from + 14; x < to - 8; x += 22) {
      surface.path([[x - way, y - 3], [x, y], [x - way, y + 3]], ink.gene);
    }
    for (const [start, end] of gene.exons) {
      const [left, right] = [Math.max(layout.left, layout.x(start)), Math.min(layout.right, layout.x(end + 1))];
      if (right > left) surface.rect(left, y - 4.5, Math.max(1, right - left), 9, ink.gene);
    }
    const text = `${gene.strand === "-" ? "◀ " : ""}${gene.id}${gene.strand === "-" ? "" : " ▶"}`;
    if (to - from > surface.width(text, 11) || geneRows.count <= 3) {
      surface.text(text, Math.min(from, layout.right - surface.width(text, 11)), y - 7, { fill: ink.ink, size: 11 });
    }
  });
}

function drawSequence(surface, layout, ink) {
  const { top, height } = layout.sequence;
  const size = layout.perBase;
  if (size < 1) {
    const text = page.sequence_is_reference ? "zoom in to see the reference" : "";
    surface.text(text, layout.left, top + 13, { fill: ink.soft, size: 11 });
    return;
  }
  const first = Math.max(page.start, Math.floor(view.start));
  const last = Math.min(page.end, Math.ceil(view.start + view.span));
  for (let position = first; position <= last; position++) {
    const [x, next] = [layout.x(position), layout.x(position + 1)];
    if (next <= layout.left || x >= layout.right) continue;
    const base = baseAt(position);
    const fill = ink.bases[base] ?? ink.neutral;
    const centre = (x + next) / 2;
    if (size < LETTERS) {
      const [from, to] = [Math.max(layout.left, x), Math.min(layout.right, next)];
      if (base !== ".") surface.rect(from, top + 5, to - from, height - 8, fill);
    } else if (centre > layout.left && centre < layout.right) {
      surface.text(base, centre, top + 14, { fill, size: Math.min(14, size + 3), weight: 600, anchor: "middle", mono: true });
    }
  }
}

function drawLane(surface, layout, lane, index, ink) {
  const { top } = layout.lanes[index];
  const active = index === cursor.lane;
  const legend = Math.min(220, (layout.right - layout.left) * 0.42);
  drawLegend(surface, lane, layout.right - legend, top + 2, legend, ink);
  const note = lane.direction;
  const room = layout.right - layout.left - legend - 16;
  surface.text(fitted(surface, lane.name, room, 13), layout.left, top + 14, { fill: ink.ink, size: 13, weight: 650 });
  surface.text(fitted(surface, note, room, 11), layout.left, top + 29, { fill: ink.soft, size: 11 });
  drawLogo(surface, layout, lane, top + HEAD, ink);
  for (let row = 0; row < rowCount(); row++) {
    const y = layout.rowTop(index, row);
    surface.text(row === 4 ? "other" : ROW_NAMES[row], layout.left - 5, y + 11, {
      fill: row === 4 ? ink.soft : ink.bases[ROW_NAMES[row]],
      size: row === 4 ? 9.5 : 11,
      weight: active ? 700 : 500,
      anchor: "end",
    });
    drawRow(surface, layout, lane, row, y, ink);
  }
}

function fitted(surface, text, room, size) {
  if (surface.width(text, size) <= room) return text;
  let kept = text;
  while (kept && surface.width(`${kept}…`, size) > room) kept = kept.slice(0, -1);
  return kept ? `${kept.trimEnd()}…` : "";
}

function drawLegend(surface, lane, x, y, width, ink) {
  const steps = Math.max(24, Math.round(width / 4));
  const low = lane.signed ? -1 : 0;
  for (let step = 0; step < steps; step++) {
    const shade = low + ((1 - low) * (step + 0.5)) / steps;
    surface.rect(x + (step * width) / steps, y, width / steps, 8, colour(shade, lane.signed, ink.theme));
  }
  const marks = lane.ticks.flatMap((tick) =>
    lane.signed && scale === "percentile" && !lane.of ? [tick, { at: -tick.at, text: tick.text }] : [tick],
  );
  // The ends come first: what stands between them gives way.
  const placed = [];
  for (const tick of marks.sort((a, b) => Math.abs(b.at) - Math.abs(a.at))) {
    const half = surface.width(tick.text, 10) / 2;
    const at = x + ((tick.at - low) / (1 - low)) * width;
    const centre = clamp(at, x + half, x + width - half);
    surface.path([[at, y + 8], [at, y + 11]], ink.soft);
    if (placed.some(([from, to]) => centre + half + 4 > from && centre - half - 4 < to)) continue;
    placed.push([centre - half, centre + half]);
    surface.text(tick.text, centre, y + 20, { fill: ink.soft, size: 10, anchor: "middle" });
  }
  const unit = scale === "percentile" && !lane.of ? (lane.column.percentile ? "calibrated %" : "% of this page") : lane.unit;
  surface.text(fitted(surface, unit, width, 10), x + width, y + 31, { fill: ink.soft, size: 10, anchor: "end" });
}

/** Letters of the reference as high as the mean shade of their alternates; where bases are narrow, bars. */
function drawLogo(surface, layout, lane, top, ink) {
  const bottom = top + LOGO;
  surface.path([[layout.left, bottom + 0.5], [layout.right, bottom + 0.5]], ink.line);
  if (layout.perBase >= 4) {
    const first = Math.max(page.start, Math.floor(view.start));
    const last = Math.min(page.end, Math.ceil(view.start + view.span));
    for (let position = first; position <= last; position++) {
      const height = (lane.perBase[position - page.start] / lane.tallest) * LOGO;
      const [x, next] = [layout.x(position), layout.x(position + 1)];
      const centre = (x + next) / 2;
      if (!(height > 0.5) || centre <= layout.left || centre >= layout.right) continue;
      const base = baseAt(position);
      const fill = ink.bases[base] ?? ink.neutral;
      if (layout.perBase < LETTERS || height < 4) {
        surface.rect(x + 0.5, bottom - height, next - x - 1, height, fill);
      } else {
        // Capitals are 0.72 of the size of a font.
        const size = Math.min(22, (next - x) * 1.45);
        surface.text(base, centre, bottom, {
          fill, size, weight: 700, anchor: "middle", mono: true, stretch: height / (size * 0.72),
        });
      }
    }
    return;
  }
  const width = layout.right - layout.left;
  const bars = [];
  for (let x = 0; x < width; x++) {
    const from = Math.floor(view.start + x / layout.perBase) - page.start;
    const to = Math.max(from + 1, Math.floor(view.start + (x + 1) / layout.perBase) - page.start);
    bars.push(meanShade(lane, from, to));
  }
  const most = Math.max(0.25, ...bars);
  bars.forEach((bar, x) => {
    const height = (bar / most) * LOGO;
    if (height > 0.4) surface.rect(layout.left + x, bottom - height, 1, height, ink.neutral);
  });
}

/** The cells of a row. A pixel of several bases shows the most extreme cell. */
function drawRow(surface, layout, lane, row, y, ink) {
  const members = rowMembers[row];
  const height = CELL - 1.5;
  const size = layout.perBase;
  surface.rect(layout.left, y, layout.right - layout.left, height, ink.faint);
  let from = firstFrom(members, Math.floor(view.start));
  if (size >= 1) {
    // Whole pixels of the screen, so that no gaps shimmer.
    const edge = (x) => clamp(Math.round(x * 2) / 2, layout.left, layout.right);
    const inset = size >= 5 ? 0.5 : 0;
    for (let at = from; at < members.length; ) {
      const position = variants.position[members[at]];
      if (position >= view.start + view.span) break;
      let next = at + 1;
      while (next < members.length && variants.position[members[next]] === position) next++;
      const best = scan(lane, members, at, next);
      const [left, right] = [edge(layout.x(position)), edge(layout.x(position + 1))];
      if (right > left) {
        if (best >= 0) {
          surface.rect(left, y, right - left - inset, height, colour(lane.shades[best], lane.signed, ink.theme));
        } else if (firstRow(lane, members, at, next) >= 0) {
          hatch(surface, left, y, right - left - inset, height, ink);
        }
      }
      at = next;
    }
    if (row < 4) drawReferenceCells(surface, layout, row, y, height, ink);
    return;
  }
  const pixels = layout.right - layout.left;
  for (let x = 0; x < pixels && from < members.length; x++) {
    const end = Math.floor(view.start + (x + 1) / size);
    const to = skipTo(members, from, end);
    if (to > from) {
      const best = mostExtreme(lane, row, from, to);
      const place = layout.left + x;
      if (best >= 0) surface.rect(place, y, 1, height, colour(lane.shades[best], lane.signed, ink.theme));
      else if (firstRow(lane, members, from, to) >= 0) surface.rect(place, y, 1, height, ink.missing);
    }
    from = to;
  }
}

/** The first of `members` from `from` on at or beyond `position`. */
function skipTo(members, from, position) {
  let step = 1;
  while (from + step < members.length && variants.position[members[from + step]] < position) step *= 2;
  let [low, high] = [from, Math.min(members.length, from + step)];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (variants.position[members[middle]] < position) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Whether the lane's track has a row of the variant, scored or not. */
const hasRow = (lane, i) => (lane.of ?? [lane]).some((one) => one.track.codes[i] > 0);

/** The first of some `members` that has a row in the lane's track; -1 if none has. */
function firstRow(lane, members, from, to) {
  for (let at = from; at < to; at++) if (hasRow(lane, members[at])) return members[at];
  return -1;
}

function drawReferenceCells(surface, layout, row, y, height, ink) {
  if (layout.perBase < 2.5) return;
  const first = Math.max(page.start, Math.floor(view.start));
  const last = Math.min(page.end, Math.ceil(view.start + view.span));
  for (let position = first; position <= last; position++) {
    if (baseAt(position) !== ROW_NAMES[row]) continue;
    const x = layout.x(position + 0.5);
    if (x < layout.left || x > layout.right) continue;
    if (layout.perBase >= 5) surface.disc(x, y + height / 2, Math.min(2.2, layout.perBase / 4), ink.soft);
    else surface.rect(x - 0.5, y + height / 2 - 0.5, 1, 1, ink.soft);
  }
}

/** A row without a score. */
function hatch(surface, x, y, width, height, ink) {
  surface.rect(x, y, width, height, ink.missing);
  if (width >= 4) surface.path([[x, y + height], [x + Math.min(width, height), y]], ink.soft);
}

function drawCursor(surface, layout, ink) {
  const { lane, row, position } = cursor;
  if (!lanes[lane] || position < view.start - 1 || position > view.start + view.span) return;
  const width = Math.max(layout.perBase, 3);
  const x = layout.x(position + 0.5) - width / 2;
  const top = layout.ruler.top + layout.ruler.height;
  surface.rect(x + width / 2 - 0.5, top, 1, layout.height - top - GAP, ink.cross);
  const y = layout.rowTop(lane, row);
  surface.outline(x - 1, y - 1, width + 2, CELL + 0.5, ink.raised, 4);
  surface.outline(x - 1, y - 1, width + 2, CELL + 0.5, ink.ink, cursor.held ? 3 : 2);
}
