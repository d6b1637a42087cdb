// From scores to colours. A shade is a number from -1 to 1 whose size says how extreme a score is.

/** Shades from which a percentile reads: 50, 90, 99, 99.9, 99.99 %. */
const TICKS = [0.5, 0.9, 0.99, 0.999, 0.9999];

const orient = {
  high: (value) => value,
  low: (value) => -value,
  magnitude: (value) => Math.abs(value),
};
const directionOf = (column) => column.direction ?? "magnitude";

/** What makes a value of the column extreme, in words. */
function directionText(column) {
  if (column.direction === "high") return "high values are extreme";
  if (column.direction === "low") return "low values are extreme";
  if (column.direction === "magnitude") return "values far from 0 are extreme";
  return "direction unknown: values far from 0 are shown as extreme";
}

/** The fraction of the scores of the page that are less extreme, ties counted half; NaN where there is no score. */
function percentiles(column) {
  if (column.fractions) return column.fractions;
  const turn = orient[directionOf(column)];
  // Zero has one sign.
  const extremeness = Float32Array.from(column.numbers, (value) => turn(value) + 0);
  const { order, keys } = ranked(extremeness);
  const fractions = new Float64Array(extremeness.length).fill(NaN);
  for (let first = 0; first < order.length; ) {
    let end = first + 1;
    while (end < order.length && keys[order[end]] === keys[order[first]]) end++;
    for (let at = first; at < end; at++) fractions[order[at]] = (first + end) / 2 / order.length;
    first = end;
  }
  column.scored = order.length;
  column.fractions = fractions;
  return fractions;
}

/** The numbers of `values`, from the smallest value on, without NaN: a radix sort of the bits of float32. */
function ranked(values) {
  const bits = new Uint32Array(values.buffer);
  const keys = new Uint32Array(values.length);
  let order = new Uint32Array(values.length);
  let count = 0;
  for (let i = 0; i < values.length; i++) {
    // Bits in the order of the numbers.
    keys[i] = bits[i] >>> 31 ? ~bits[i] : bits[i] | 0x80000000;
    if (!Number.isNaN(values[i])) order[count++] = i;
  }
  order = order.subarray(0, count);
  for (const shift of [0, 16]) {
    const ends = new Uint32Array(65537);
    for (const i of order) ends[((keys[i] >>> shift) & 0xffff) + 1]++;
    for (let digit = 0; digit < 65536; digit++) ends[digit + 1] += ends[digit];
    const next = new Uint32Array(count);
    for (const i of order) next[ends[(keys[i] >>> shift) & 0xffff]++] = i;
    order = next;
  }
  return { order, keys };
}

/** Fractions of a column: calibrated ones where the track has them, else those of the page. */
function fractionsOf(lane) {
  const { track, column } = lane;
  const calibrated = column.percentile && track.columns.find((other) => other.name === column.percentile);
  if (!calibrated) return percentiles(column);
  column.scored ??= calibrated.numbers.reduce((count, value) => count + !Number.isNaN(value), 0);
  column.fractions ??= calibrated.numbers.map((value) => value / 100);
  return column.fractions;
}

const quantile = (sorted, fraction) =>
  sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))] : 0;

/** Fills in shades, whether they have signs, and the marks of the legend. */
function shadeColumn(lane, scale) {
  const { column } = lane;
  const fractions = fractionsOf(lane);
  const direction = directionOf(column);
  lane.direction = directionText(column);
  if (scale === "percentile") {
    const top = Math.min(4, Math.max(2, Math.log10(Math.max(10, column.scored))));
    const tail = (fraction) => Math.min(1, -Math.log10(Math.max(1e-12, 1 - fraction)) / top);
    lane.signed = direction === "magnitude" && column.numbers.some((value) => value < 0);
    lane.shades = new Float32Array(fractions.length);
    for (let i = 0; i < fractions.length; i++) {
      const shade = tail(fractions[i]);
      lane.shades[i] = lane.signed && column.numbers[i] < 0 ? -shade : shade;
    }
    const ticks = TICKS.filter((tick) => -Math.log10(1 - tick) <= top + 1e-9);
    lane.ticks = ticks.map((tick) => ({ at: tail(tick), text: `${Number((tick * 100).toFixed(2))}` }));
    const among = column.percentile
      ? `calibrated percentile (${column.percentile})`
      : `percentile among ${grouped(column.scored)} scores of this page`;
    lane.unit = `${among}${lane.signed ? ", by size" : ""}`;
  } else {
    const sorted = column.numbers.filter((value) => !Number.isNaN(value)).sort();
    const [low, high] = [quantile(sorted, 0.002), quantile(sorted, 0.998)];
    lane.signed = sorted[0] < 0 && sorted[sorted.length - 1] > 0;
    if (lane.signed) {
      const reach = Math.max(-low, high) || 1;
      lane.shades = Float32Array.from(column.numbers, (value) => clamp(value / reach, -1, 1));
      lane.ticks = [-1, -0.5, 0, 0.5, 1].map((at) => ({ at, text: figure(at * reach) }));
      lane.direction = "values far from 0 stand out, in both directions";
    } else {
      const [dull, extreme] = direction === "low" || (direction === "magnitude" && high <= 0) ? [high, low] : [low, high];
      const width = extreme - dull || 1;
      lane.shades = Float32Array.from(column.numbers, (value) => clamp((value - dull) / width, 0, 1));
      lane.ticks = [0, 0.5, 1].map((at) => ({ at, text: figure(dull + at * width) }));
    }
    lane.unit = "value";
  }
}

/** A lane that shows one column minus another: values where both have one name and values are shown, else percentiles. */
function shadeDifference(lane, scale) {
  const [first, second] = lane.of;
  const same = first.column.name === second.column.name;
  const byValue = scale === "value" && same;
  const [a, b] = byValue
    ? [first.column.numbers, second.column.numbers]
    : [fractionsOf(first), fractionsOf(second)];
  const factor = byValue ? 1 : 100;
  lane.numbers = Float64Array.from(a, (value, i) => (value - b[i]) * factor);
  const sizes = lane.numbers.filter((value) => !Number.isNaN(value)).map(Math.abs).sort();
  const reach = quantile(sizes, 0.998) || 1;
  lane.signed = true;
  lane.shades = Float32Array.from(lane.numbers, (value) => clamp(value / reach, -1, 1));
  lane.ticks = [-1, 0, 1].map((at) => ({ at, text: figure(at * reach) }));
  lane.unit = byValue ? "difference of values" : "difference of percentiles, in points";
  const names = [first, second].map((one) => (first.track === second.track ? one.column.name : one.track.name));
  lane.direction = `orange: ${byValue ? "higher" : "more extreme"} in ${names[0]}; blue: in ${names[1]}`;
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** Ramps from dull to extreme; a blue to orange one for signs. Both stay apart for every kind of colour blindness. */
const RAMPS = {
  light: {
    plain: ["#f1f3ea", "#cfe3c0", "#86c5a9", "#3f9da3", "#2a6f98", "#2b4283", "#241a52"],
    negative: ["#f2f2ee", "#c5dbee", "#86b6dd", "#3f87c0", "#16599a", "#082f5f"],
    positive: ["#f2f2ee", "#f8dcbb", "#f0b376", "#dd8333", "#b15509", "#6d2f00"],
  },
  dark: {
    plain: ["#20272e", "#23445f", "#1f6b84", "#2c957f", "#6dbd63", "#c3da4a", "#fdee6d"],
    negative: ["#242a30", "#1f4a70", "#2b71ab", "#549ad6", "#8fc1f0", "#cfe6ff"],
    positive: ["#242a30", "#5f3f1e", "#99601f", "#d0862f", "#f5b060", "#ffdfb0"],
  },
};
const STEPS = 48;
const palettes = {};

function mixed(ramp, fraction) {
  const at = fraction * (ramp.length - 1);
  const index = Math.min(ramp.length - 2, Math.floor(at));
  const channel = (text, from) => parseInt(text.slice(from, from + 2), 16);
  const parts = [1, 3, 5].map((from) => {
    const [low, high] = [channel(ramp[index], from), channel(ramp[index + 1], from)];
    return Math.round(low + (high - low) * (at - index)).toString(16).padStart(2, "0");
  });
  return `#${parts.join("")}`;
}

/** The colour of a shade. */
function colour(shade, signed, theme) {
  const kind = signed ? (shade < 0 ? "negative" : "positive") : "plain";
  const palette = (palettes[theme + kind] ??= Array.from({ length: STEPS + 1 }, (_, step) =>
    mixed(RAMPS[theme][kind], step / STEPS),
  ));
  return palette[Math.round(Math.abs(shade) * STEPS)];
}

const BLOCK = 64;
/** The most extreme cell of each 64 of a row: what a pixel shows of many bases is found without reading all of them. */
function summarize(lane) {
  lane.blocks = rowMembers.map((members) => {
    const best = new Int32Array(Math.ceil(members.length / BLOCK));
    for (let block = 0; block < best.length; block++) {
      best[block] = scan(lane, members, block * BLOCK, Math.min(members.length, (block + 1) * BLOCK));
    }
    return best;
  });
  // Sums along the reference: the mean of a stretch is a difference of two.
  const length = page.sequence.length;
  const sums = new Float64Array(length + 1);
  const counts = new Uint32Array(length + 1);
  const perBase = new Float32Array(length);
  const cells = new Uint8Array(length);
  for (let row = 0; row < 4; row++) {
    for (const i of rowMembers[row]) {
      const at = variants.position[i] - page.start;
      if (Number.isNaN(lane.shades[i]) || at < 0 || at >= length) continue;
      perBase[at] += Math.abs(lane.shades[i]);
      cells[at]++;
    }
  }
  for (let at = 0; at < length; at++) {
    if (cells[at]) perBase[at] /= cells[at];
    sums[at + 1] = sums[at] + perBase[at];
    counts[at + 1] = counts[at] + (cells[at] > 0);
  }
  const tallest = perBase.reduce((most, size) => Math.max(most, size), 0.25);
  Object.assign(lane, { sums, counts, perBase, tallest });
}

/** The most extreme of `members[from..to]`; -1 where none is scored. */
function scan(lane, members, from, to) {
  let best = -1;
  let size = -1;
  for (let at = from; at < to; at++) {
    const shade = Math.abs(lane.shades[members[at]]);
    if (shade > size) {
      size = shade;
      best = members[at];
    }
  }
  return best;
}

/** As `scan`, with the summary. */
function mostExtreme(lane, row, from, to) {
  const members = rowMembers[row];
  if (to - from < 2 * BLOCK) return scan(lane, members, from, to);
  const [firstBlock, lastBlock] = [Math.ceil(from / BLOCK), Math.floor(to / BLOCK)];
  let best = scan(lane, members, from, firstBlock * BLOCK);
  const better = (i) => i >= 0 && (best < 0 || Math.abs(lane.shades[i]) > Math.abs(lane.shades[best]));
  for (let block = firstBlock; block < lastBlock; block++) {
    if (better(lane.blocks[row][block])) best = lane.blocks[row][block];
  }
  const last = scan(lane, members, lastBlock * BLOCK, to);
  return better(last) ? last : best;
}
