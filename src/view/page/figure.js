// Moving, zooming and the cursor.

const stage = byId("stage");
const canvas = byId("canvas");
const context = canvas.getContext("2d");
let layout = null;
let ink = null;
let drawn = 0;
let settled = 0;

/** Draws once in the next frame, and renews the tables once nothing moves. */
function renew() {
  if (!drawn) {
    drawn = requestAnimationFrame(() => {
      drawn = 0;
      paint();
    });
  }
  clearTimeout(settled);
  settled = setTimeout(showExtremes, 160);
}

function paint() {
  const width = Math.max(280, Math.floor(stage.clientWidth));
  const { height } = layoutOf(width);
  // Browsers leave a canvas of more than 32,767 pixels blank.
  const ratio = Math.min(window.devicePixelRatio || 1, 32_000 / height);
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  layout = draw(new CanvasSurface(context), width, ink, true);
}

const narrowest = () => Math.min(whole.span, 8);

/** Moves the view so that it stays on the region. */
function look(start, span) {
  view.span = clamp(span, narrowest(), whole.span);
  view.start = clamp(start, whole.start, whole.start + whole.span - view.span);
  renew();
}

/** Zooms by a factor about a base. */
function zoom(factor, about = view.start + view.span / 2) {
  const span = clamp(view.span * factor, narrowest(), whole.span);
  look(about - ((about - view.start) * span) / view.span, span);
}

const baseAtPixel = (x) => view.start + (x - layout.left) / layout.perBase;

/** The cell of a place of the picture; none outside the rows. */
function cellAt(x, y) {
  if (!layout || x < layout.left || x > layout.right) return null;
  const lane = layout.lanes.findIndex(({ top, height }) => y >= top && y < top + height);
  if (lane < 0) return null;
  const row = clamp(Math.floor((y - layout.rowTop(lane, 0)) / CELL), 0, rowCount() - 1);
  return { lane, row, base: baseAtPixel(x) };
}

/** Puts the cursor on the cell that is drawn at a base. */
function point(lane, row, base) {
  const members = rowMembers[row];
  const wide = layout.perBase >= 1;
  // Cells of one pixel when zoomed out.
  const first = wide ? Math.floor(base) : Math.floor(view.start + Math.floor((base - view.start) * layout.perBase) / layout.perBase);
  const end = wide ? first + 1 : Math.max(first + 1, Math.floor(first + 1 / layout.perBase));
  const from = firstFrom(members, first);
  const to = skipTo(members, from, end);
  let variant = mostExtreme(lanes[lane], row, from, to);
  if (variant < 0) variant = firstRow(lanes[lane], members, from, to);
  const position = variant < 0 ? clamp(first, page.start, page.end) : variants.position[variant];
  place({ lane, row, position, variant });
}

function place(cell) {
  const other = cell.lane !== cursor.lane;
  Object.assign(cursor, cell);
  byId("live").textContent = sentence();
  showPanel();
  if (!drawn) drawn = requestAnimationFrame(() => ((drawn = 0), paint()));
  if (other) showExtremes();
}

/** Moves the view so that a base is in it. */
function reveal(position) {
  const margin = Math.min(view.span / 8, 20);
  if (position < view.start + margin) look(position - margin * 2, view.span);
  else if (position > view.start + view.span - margin - 1) look(position - view.span + margin * 2, view.span);
}

/** Shows a variant in the middle of the view, in the lane of the cursor. */
function showVariant(i, hold) {
  const span = Math.min(view.span, Math.max(120, Math.min(whole.span, 200)));
  look(variants.position[i] - span / 2, span);
  cursor.held = hold;
  place({ lane: Math.min(cursor.lane, lanes.length - 1), row: rowOf[i], position: variants.position[i], variant: i });
}

/** Jumps to the next cell among the most extreme hundredth of the lane, or the one before. */
function jump(way) {
  const lane = lanes[cursor.lane];
  lane.peaks ??= (() => {
    const sizes = lane.shades.filter((shade) => !Number.isNaN(shade)).map(Math.abs).sort();
    const least = quantile(sizes, 0.99);
    const found = [];
    for (let i = 0; i < variants.count; i++) if (Math.abs(lane.shades[i]) >= least) found.push(i);
    return found;
  })();
  const here = cursor.variant >= 0 ? cursor.variant : firstVariant(cursor.position) - (way > 0 ? 1 : 0);
  const next = way > 0 ? lane.peaks.find((i) => i > here) : lane.peaks.findLast((i) => i < here);
  if (next === undefined) return;
  place({ lane: cursor.lane, row: rowOf[next], position: variants.position[next], variant: next });
  reveal(cursor.position);
}

function step(columns, rows) {
  let { lane, row } = cursor;
  row += rows;
  if (row < 0 && lane > 0) {
    lane -= 1;
    row = rowCount() - 1;
  } else if (row >= rowCount() && lane < lanes.length - 1) {
    lane += 1;
    row = 0;
  }
  row = clamp(row, 0, rowCount() - 1);
  const width = Math.max(1, 1 / layout.perBase);
  const base = clamp(cursor.position + columns * width, page.start, page.end);
  reveal(base);
  point(lane, row, base);
}

const KEYS = {
  ArrowLeft: () => step(-1, 0),
  ArrowRight: () => step(1, 0),
  ArrowUp: () => step(0, -1),
  ArrowDown: () => step(0, 1),
  PageUp: () => look(view.start - view.span * 0.8, view.span),
  PageDown: () => look(view.start + view.span * 0.8, view.span),
  "+": () => zoom(0.6, keyCentre()),
  "=": () => zoom(0.6, keyCentre()),
  "-": () => zoom(1 / 0.6, keyCentre()),
  0: () => look(whole.start, whole.span),
  Home: () => edge(page.start),
  End: () => edge(page.end),
  n: () => jump(1),
  p: () => jump(-1),
  Enter: () => hold(!cursor.held),
  " ": () => hold(!cursor.held),
  Escape: () => hold(false),
};
const keyCentre = () => {
  const inside = cursor.position >= view.start && cursor.position <= view.start + view.span;
  return inside ? cursor.position + 0.5 : view.start + view.span / 2;
};

function edge(position) {
  look(position - view.span / 2, view.span);
  point(cursor.lane, cursor.row, position);
}

function hold(held) {
  cursor.held = held;
  place({});
}

function listen() {
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const shifted = { ArrowLeft: -0.25, ArrowRight: 0.25 }[key];
    if (event.shiftKey && shifted) look(view.start + view.span * shifted, view.span);
    else if (KEYS[key]) KEYS[key]();
    else return;
    event.preventDefault();
  });
  stage.addEventListener(
    "wheel",
    (event) => {
      const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
      if (!sideways && !event.ctrlKey && !event.metaKey && document.activeElement !== stage) return;
      event.preventDefault();
      const unit = event.deltaMode === 1 ? 16 : 1;
      if (sideways) {
        look(view.start + ((event.deltaX || event.deltaY) * unit) / layout.perBase, view.span);
        return;
      }
      const about = baseAtPixel(clamp(event.clientX - stage.getBoundingClientRect().left, layout.left, layout.right));
      zoom(2 ** ((event.deltaY * unit) / (event.ctrlKey ? 120 : 240)), about);
    },
    { passive: false },
  );
  listenToPointers();
}

/** Mouse, pen and fingers: drag, pinch, tap. */
function listenToPointers() {
  const pointers = new Map();
  let moved = false;
  let overview = false;
  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const centre = (x) => whole.start + ((x - layout.left) / (layout.right - layout.left)) * whole.span;
  stage.addEventListener("pointerdown", (event) => {
    stage.focus({ preventScroll: true });
    const place = at(event);
    pointers.set(event.pointerId, place);
    stage.setPointerCapture(event.pointerId);
    if (pointers.size === 1) {
      moved = false;
      overview = place.y < layout.overview.top + layout.overview.height;
      if (overview) look(centre(place.x) - view.span / 2, view.span);
    }
  });
  stage.addEventListener("pointermove", (event) => {
    const now = at(event);
    const before = pointers.get(event.pointerId);
    if (!before) {
      const cell = event.pointerType === "mouse" && !cursor.held && cellAt(now.x, now.y);
      if (cell) point(cell.lane, cell.row, cell.base);
      return;
    }
    if (Math.hypot(now.x - before.x, now.y - before.y) < (moved ? 0 : 4)) return;
    moved = true;
    if (overview) {
      look(centre(now.x) - view.span / 2, view.span);
    } else if (pointers.size === 1) {
      look(view.start - (now.x - before.x) / layout.perBase, view.span);
    } else {
      const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const [old, distance] = [Math.abs(before.x - other.x), Math.abs(now.x - other.x)];
      if (old > 8 && distance > 8) zoom(old / distance, baseAtPixel((now.x + other.x) / 2));
    }
    pointers.set(event.pointerId, now);
  });
  const end = (event) => {
    const place = pointers.get(event.pointerId);
    pointers.delete(event.pointerId);
    if (!place || moved || overview || event.type !== "pointerup") return;
    const cell = cellAt(place.x, place.y);
    if (!cell) return;
    const before = cursor.variant;
    if (cursor.held) cursor.held = false;
    point(cell.lane, cell.row, cell.base);
    if (event.pointerType === "mouse" && cursor.variant >= 0 && (cursor.variant !== before || !wasHeld)) hold(true);
    wasHeld = cursor.held;
  };
  let wasHeld = false;
  stage.addEventListener("pointerup", end);
  stage.addEventListener("pointercancel", end);
}
