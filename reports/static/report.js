/* What script adds to a report: tables that can be sorted and filtered, charts to look into, a choice of colours.
   Without it every number, every row and every picture is there. Nothing is asked of another host. */
(() => {
  "use strict";

  const root = document.documentElement;
  const narrow = matchMedia("(max-width: 60rem)");
  const collator = new Intl.Collator(root.lang || "en", { numeric: true, sensitivity: "base" });
  const AT_ONCE = 8; // rows from which on a table has a filter
  const SLICE = 8; // milliseconds of work until the browser has its turn

  /* An element with properties, or attributes where there is no property of that name, and what is in it. */
  function make(tag, values = {}, ...inside) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(values)) {
      if (name in element) element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...inside);
    return element;
  }

  const button = (text, act, values = {}) => {
    const made = make("button", { type: "button", className: "button", ...values }, text);
    made.addEventListener("click", act);
    return made;
  };

  /* Works through jobs without holding up a frame: the page is painted before the first, and between slices. */
  function inTurn(jobs) {
    const work = () => {
      const end = performance.now() + SLICE;
      while (jobs.length && performance.now() < end) jobs.shift()();
      if (jobs.length) setTimeout(work);
    };
    requestAnimationFrame(() => setTimeout(work));
  }

  // ------------------------------------------------------------------ numbers, as the pages print them

  const PREFIXES = [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3], ["", 1], ["m", 1e-3], ["µ", 1e-6], ["n", 1e-9], ["p", 1e-12]];
  const PREFIXED = new Set(["J", "s", "B", "W", "Hz", "FLOP", "op"]);
  const SIZES = new Map(PREFIXES);
  const NUMBER = /^([+−-]?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(e[+-]?\d+)?(?=$|[\s×])(?:\s([TGMkmµnp]?)(J|s|B|W|Hz|FLOP|op)\b)?/;

  function prefixOf(value, unit) {
    if (!PREFIXED.has(unit) || !value || !Number.isFinite(value)) return ["", 1];
    const rounded = Math.abs(Number(value.toPrecision(3)));
    return PREFIXES.find(([, size]) => rounded >= size * (1 - 1e-9)) ?? PREFIXES[PREFIXES.length - 1];
  }

  function digits(value) {
    if (!value) return "0";
    const rounded = Math.abs(Number(value.toPrecision(3)));
    const decimals = Math.max(0, 2 - Math.floor(Math.log10(rounded)));
    return decimals <= 6 && rounded < 1e6 ? value.toFixed(decimals) : value.toExponential(2);
  }

  function quantity(value, unit) {
    if (unit === "%") return `${(100 * value).toFixed(2)} %`;
    const [letter, size] = prefixOf(value, unit);
    return `${digits(value / size)} ${letter}${unit}`.trim();
  }

  /* An interval in the prefix of its number: `1.20 to 1.25 mJ`. */
  function span(low, high, unit, like) {
    if (unit === "%") return `${(100 * low).toFixed(2)} to ${(100 * high).toFixed(2)} %`;
    const [letter, size] = prefixOf(like, unit);
    return `${digits(low / size)} to ${digits(high / size)} ${letter}${unit}`.trim();
  }

  /* Ticks of an axis: one prefix for all, and as many digits as tell one from the next. */
  function ticks(values, unit, step) {
    const most = Math.max(...values.map((value) => Math.abs(value ?? 0)));
    const [letter, size] = unit === "%" ? ["%", 0.01] : prefixOf(most, unit);
    const whole = (decimals) => Math.abs((step / size) * 10 ** decimals - Math.round((step / size) * 10 ** decimals)) < 1e-6;
    let decimals = Math.max(0, -Math.floor(Math.log10(step / size) + 1e-9));
    if (!whole(decimals)) decimals += 1; // 2.5
    const word = unit === "%" ? "%" : `${letter}${PREFIXED.has(unit) ? unit : ""}`;
    return values.map((value) => (value === null ? "" : `${(value / size).toFixed(Math.min(decimals, 12))} ${word}`.trim()));
  }

  /* A number that begins a text, in its plain unit; null where a text is none. */
  function numberIn(text) {
    const found = NUMBER.exec(text);
    if (!found) return null;
    const [, sign, whole, fraction = "", exponent = "", letter = ""] = found;
    const value = Number(whole.replaceAll(",", "") + fraction + exponent) * (SIZES.get(letter) ?? 1);
    return sign && sign !== "+" ? -value : value;
  }

  // ------------------------------------------------------------------ colours

  const themed = []; // what draws anew in other colours

  function themeButtons() {
    const place = document.querySelector("header.top .wide") ?? document.querySelector("header.top");
    if (!place) return;
    const group = make("div", { className: "themes", role: "group", "aria-label": "Colours" });
    const choose = (chosen) => {
      theme.choose(chosen);
      for (const redraw of themed) redraw();
      for (const one of group.children) one.setAttribute("aria-pressed", one.dataset.choice === chosen);
    };
    for (const [name, text] of [["auto", "Auto"], ["light", "Light"], ["dark", "Dark"]]) {
      const one = button(text, () => choose(name), { className: "", title: name === "auto" ? "As the system has it" : "" });
      one.dataset.choice = name;
      one.setAttribute("aria-pressed", theme.remembered() === name);
      group.append(one);
    }
    place.append(group);
  }

  // ------------------------------------------------------------------ tables

  const own = (cell) =>
    [...(cell.querySelector(".cell") ?? cell).childNodes]
      .filter((node) => !node.classList?.contains("name") && !node.classList?.contains("badge"))
      .map((node) => node.textContent)
      .join(" ")
      .replace(/\s+/g, " ")
      .trim();

  /* What a cell is sorted by: its number, or its words, or nothing where it holds none. */
  function keyOf(cell) {
    const text = own(cell);
    const value = cell.dataset.value === undefined ? NaN : Number(cell.dataset.value);
    if (Number.isFinite(value)) return { number: value, text };
    if (!text || cell.querySelector(".absent")) return { absent: true, text };
    return { number: numberIn(text), text };
  }

  /* Numbers before words, and what is absent last whichever way it is sorted. */
  function compare(one, other, way) {
    if (one.absent || other.absent) return Boolean(one.absent) - Boolean(other.absent);
    const numbers = [one, other].map((key) => typeof key.number === "number");
    if (numbers[0] !== numbers[1]) return numbers[0] ? -1 : 1;
    return way * (numbers[0] ? one.number - other.number : 0) || way * collator.compare(one.text, other.text);
  }

  function sorted({ rows, column, way }) {
    if (!way) return rows;
    const keyed = rows.map((row) => [keyOf(row.cells[column]), row]);
    return keyed.sort((one, other) => compare(one[0], other[0], way)).map(([, row]) => row);
  }

  /* Puts rows in order, hides what the filter leaves out and, unfiltered, what waits behind the button. */
  function arrange(state) {
    const { body, table, words, atOnce } = state;
    let found = 0;
    const order = sorted(state);
    for (const row of order) {
      const text = (state.texts.get(row) ?? state.texts.set(row, [...row.cells].map(own).join(" ").toLowerCase()).get(row));
      row.hidden = !words.every((word) => text.includes(word));
      found += !row.hidden;
      row.classList.toggle("beyond", !row.hidden && !state.all && !words.length && found > atOnce);
    }
    body.append(...order);
    for (const [place, heading] of [...table.tHead.rows[0].cells].entries()) {
      if (state.way && place === state.column) heading.setAttribute("aria-sort", state.way > 0 ? "ascending" : "descending");
      else heading.removeAttribute("aria-sort");
    }
    if (state.select) state.select.value = state.way ? `${state.column} ${state.way}` : "";
    if (state.output) state.output.value = words.length ? `${found} of ${state.rows.length} rows` : `${state.rows.length} rows`;
    if (state.more) state.more.hidden = words.length > 0;
  }

  /* Up, down, and as it was. */
  function sortBy(state, column) {
    const way = state.column === column ? { 0: 1, 1: -1, "-1": 0 }[state.way] : 1;
    Object.assign(state, { column, way });
    arrange(state);
  }

  function sortButtons(state) {
    const buttons = [...state.table.tHead.rows[0].cells].map((heading, column) => {
      const one = button("", () => sortBy(state, column), { className: "sort", title: "Sort: up, down, as it was" });
      one.append(...heading.childNodes);
      heading.append(one);
      return one;
    });
    // On a phone headings are out of sight, where nothing may take the focus; "Sort by" stands for them.
    const reach = () => buttons.forEach((one) => (one.tabIndex = narrow.matches ? -1 : 0));
    narrow.addEventListener("change", reach);
    reach();
  }

  function sortSelect(state) {
    const select = make("select", {}, make("option", { value: "" }, "the order of the report"));
    for (const [column, heading] of [...state.table.tHead.rows[0].cells].entries()) {
      const name = heading.textContent.trim();
      select.append(make("option", { value: `${column} 1` }, `${name}, up`), make("option", { value: `${column} -1` }, `${name}, down`));
    }
    select.addEventListener("change", () => {
      const [column, way] = select.value ? select.value.split(" ").map(Number) : [-1, 0];
      Object.assign(state, { column, way });
      arrange(state);
    });
    state.select = select;
    return make("label", { className: "sortby" }, make("span", {}, "Sort by"), select);
  }

  function filterField(state) {
    const input = make("input", { type: "search", autocomplete: "off", spellcheck: false, title: "/ comes here, Escape clears", "aria-keyshortcuts": "/" });
    const look = () => {
      state.words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      arrange(state);
    };
    input.addEventListener("input", look);
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      input.value = "";
      look();
    });
    state.output = make("output", { "aria-live": "polite" });
    const caption = make("span", { className: "sr" }, `: ${state.table.caption?.textContent.trim() ?? ""}`);
    if (awaited) requestAnimationFrame(() => (awaited &&= !toFilter()));
    const label = make("label", {}, make("span", {}, "Filter rows", caption), input);
    if (!document.querySelector("input[type=search]")) label.append(make("kbd", { title: "This key comes here" }, "/"));
    return [label, state.output];
  }

  /* The rest of a table lies behind a line that opens it; both are sorted and filtered as one. */
  function joined(table, region) {
    const rest = region.nextElementSibling;
    const rows = [...table.tBodies[0].rows];
    // On a phone a row is a card, and of a long table the first few are shown.
    const few = narrow.matches && rows.length > 1.5 * AT_ONCE ? AT_ONCE : null;
    if (!rest?.matches("details.more")) return { rows, atOnce: few ?? Infinity };
    const others = [...rest.querySelectorAll("tbody > tr")];
    rest.remove();
    return { rows: [...rows, ...others], atOnce: few ?? rows.length };
  }

  function moreButton(state) {
    const left = state.rows.length - state.atOnce;
    const text = () => (state.all ? `Show the first ${state.atOnce} rows` : `Show ${left} more row${left > 1 ? "s" : ""}`);
    state.more = button(text(), () => {
      state.all = !state.all;
      state.more.textContent = text();
      arrange(state);
    });
    return state.more;
  }

  function setUpTable(table) {
    const region = table.closest(".scroll") ?? table;
    // A continuation that was joined to the table before it is gone from the page.
    if (!table.isConnected || !table.tHead?.rows.length || !table.tBodies[0]) return;
    const state = { table, body: table.tBodies[0], ...joined(table, region), column: -1, way: 0, words: [], all: false, texts: new Map() };
    if (state.rows.length < 2 || state.rows.some((row) => row.cells.length < table.tHead.rows[0].cells.length)) return;
    const tools = make("div", { className: "tools" });
    if (state.rows.length > AT_ONCE) tools.append(...filterField(state));
    tools.append(sortSelect(state));
    tools.classList.toggle("few", state.rows.length <= AT_ONCE);
    region.before(tools);
    sortButtons(state);
    if (state.rows.length > state.atOnce) region.after(moreButton(state));
    arrange(state);
  }

  let awaited = false; // whether the key was pressed before there was a filter
  let settingUp = true;

  function toFilter() {
    const first = [...document.querySelectorAll(".tools input[type=search]")].find((input) => input.checkVisibility());
    first?.focus();
    return Boolean(first);
  }

  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
    awaited = !toFilter() && settingUp;
    if (awaited || document.activeElement?.type === "search") event.preventDefault();
  });

  // ------------------------------------------------------------------ charts

  const DASHES = [[], [9, 4], [9, 3, 2, 3], [2, 3], [14, 4], [14, 3, 2, 3, 2, 3], [5, 2], [1, 2]];
  const MARKS = { measured: "circle", estimated: "square", modelled: "triangle", simulated: "diamond" };
  const FONT = '12px system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif';
  let charted = 0;

  /* A colour of the style sheet as a canvas understands it: light-dark() means nothing there. */
  function colour(name) {
    const probe = make("span", { hidden: true });
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  const colours = () => {
    const found = { lines: Array.from({ length: 8 }, (_, place) => colour(`line-${place + 1}`)) };
    for (const name of ["ink", "muted", "line", "card"]) found[name] = colour(name);
    return found;
  };

  const isNumbers = (list, length) =>
    Array.isArray(list) && list.length === length && list.every((value) => value === null || Number.isFinite(value));

  /* A text whose control and format characters are spelt out, as in the rest of the page. */
  const seen = (_name, value) =>
    typeof value !== "string" ? value : value.replace(/[^\P{C}\n\t]|[\u2028\u2029]/gu, (one) => `\\u${one.codePointAt(0).toString(16).padStart(4, "0")}`);

  /* What a section says once of the commits that all of its charts are over. */
  function commitsOf(place, x) {
    const all = JSON.parse(place.closest("section").querySelector("script.commits").textContent, seen);
    if (!x.every((at) => Array.isArray(all[at]))) throw new Error("a commit that nobody knows");
    return x.map((at) => all[at]);
  }

  /* What a page says of a chart, or an error: a picture that stands is better than half a chart. */
  function payloadOf(place) {
    const payload = JSON.parse(place.querySelector('script[type="application/json"]').textContent, seen);
    const { kind, x } = payload;
    if (kind === "trend") payload.commits = commitsOf(place, x);
    if (!Array.isArray(x) || x.length < 2 || !isNumbers(x, x.length)) throw new Error("no places on its axis");
    if (x.some((value, at) => value === null || (at && value < x[at - 1]))) throw new Error("its axis goes back");
    const columns = kind === "trace" ? payload.lines.map((line) => line.y) : [payload.value, payload.low, payload.high];
    if (!["trace", "trend"].includes(kind) || !columns.length) throw new Error("nothing that is known to draw");
    if (!columns.every((column) => isNumbers(column, x.length))) throw new Error("a line of another length");
    return payload;
  }

  /* A trace's rows, where a domain that was not read at a moment is passed over and a row of nulls parts the lines. */
  function traceColumns({ x, lines }) {
    const parted = x.map((_, at) => lines.every((line) => line.y[at] === null));
    return lines.map((line) => line.y.map((value, at) => (value === null && !parted[at] ? undefined : value)));
  }

  const trace = {
    columns: traceColumns,
    full: ({ x, bands }) => [Math.min(x[0], bands[0]?.from ?? x[0]), Math.max(x[x.length - 1], bands[bands.length - 1]?.to ?? 0)],
    least: ({ x }) => (x[x.length - 1] - x[0]) / 2000,
    reach: (low, high) => [Math.min(0, low), (high || 1) * 1.12],
    where: (payload, at) => {
      const band = bandAt(payload, payload.x[at]);
      return `${quantity(payload.x[at], "s")}${band ? `, ${band.label}${band.throttled ? ", throttled" : ""}` : ""}`;
    },
    values: (payload, found) => payload.lines.flatMap((line, place) => (found[place] === undefined ? [] : `${line.label} ${quantity(found[place], payload.unit)}`)).join(", "),
    axis: (payload) => ({ values: (u, splits, _a, _s, step) => ticks(splits, "s", step), space: 80, label: "time, windows end to end" }),
    series: ({ lines }, ink) =>
      lines.map((line, place) => ({ label: line.label, stroke: ink.lines[place % 8], width: 1.6, dash: DASHES[place % 8], points: { size: 4, width: 1 } })),
    under: drawBands,
    over: drawThrottled,
  };

  const trend = {
    columns: ({ value, low, high }) => [value, low, high],
    full: ({ x }) => [x[0] - 0.6, x[x.length - 1] + 0.6],
    least: () => 3,
    reach: (low, high) => {
      const size = Math.max(high - low, 0.02 * Math.max(Math.abs(low), Math.abs(high)), 1e-30);
      return [low - 0.1 * size, high + 0.25 * size];
    },
    where: (payload, at) => payload.commits[at].filter(Boolean).join(" · "),
    values: (payload, _found, at) => {
      const { unit, value, low, high, levels, changes, steps, x } = payload;
      const limits = low[at] === null || high[at] === null ? "" : ` (${span(low[at], high[at], unit, value[at])})`;
      const level = levels.find((one) => one.first <= x[at] && x[at] <= one.last);
      return [
        `${quantity(value[at], unit)}${limits}`,
        ...(level ? [`level ${quantity(level.value, unit)}`] : []),
        ...changes.filter((one) => one.place === x[at]).map((one) => `changed: ${one.text}`),
        ...steps.filter((one) => one.place === x[at]).map((one) => `also changed here: ${one.text}`),
      ].join("; ");
    },
    axis: ({ x, commits }) => {
      const names = new Map(x.map((place, at) => [place, commits[at][0].slice(0, 7)]));
      return { values: (_u, splits) => splits.map((place) => names.get(place) ?? ""), space: 76, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000], label: "commits" };
    },
    // Values are drawn by `over`; uPlot scales by them and finds them under the cursor.
    series: (_payload, ink) =>
      ["value", "low", "high"].map((label, place) => ({ label, stroke: ink.lines[0], paths: () => null, points: { show: false }, width: place ? 0 : 1.6 })),
    under: drawIntervals,
    over: drawTrend,
  };

  const bandAt = ({ bands }, x) => bands.find((band) => band.from <= x && x <= band.to);

  /* Every other window shaded; a throttled one hatched, with a letter. */
  function drawBands(u, payload, ink) {
    const { ctx, bbox } = u;
    for (const [place, band] of payload.bands.entries()) {
      const left = u.valToPos(band.from, "x", true);
      const wide = u.valToPos(band.to, "x", true) - left;
      ctx.fillStyle = ctx.strokeStyle = ink.muted;
      ctx.globalAlpha = 0.1;
      if (place % 2 === 0) ctx.fillRect(left, bbox.top, wide, bbox.height);
      ctx.globalAlpha = 1;
      if (band.throttled) hatch(ctx, left, bbox.top, wide, bbox.height);
    }
  }

  /* The letter stands above the lines, in the middle of what is seen of its window. */
  function drawThrottled(u, payload, ink) {
    const { ctx, bbox } = u;
    const size = 16 * devicePixelRatio;
    ctx.font = `bold ${ctx.font}`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    for (const band of payload.bands.filter((one) => one.throttled && one.from < u.scales.x.max && one.to > u.scales.x.min)) {
      const [from, to] = [Math.max(band.from, u.scales.x.min), Math.min(band.to, u.scales.x.max)].map((x) => u.valToPos(x, "x", true));
      ctx.fillStyle = ink.card;
      ctx.fillRect((from + to - size) / 2, bbox.top + size / 8, size, size);
      ctx.fillStyle = ink.ink;
      ctx.fillText("T", (from + to) / 2, bbox.top + (5 * size) / 8);
    }
  }

  function hatch(ctx, left, top, wide, high) {
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, wide, high);
    ctx.clip();
    ctx.globalAlpha = 0.45;
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    const step = 9 * devicePixelRatio;
    // Only what is in sight: a window that was zoomed into may be many screens wide.
    const from = Math.max(left, 0) - high;
    for (let x = from - (from % step); x < Math.min(left + wide, ctx.canvas.width); x += step) {
      ctx.moveTo(x, top + high);
      ctx.lineTo(x + high, top);
    }
    ctx.stroke();
    ctx.restore();
  }

  const shownPlaces = (u, { x }) => x.flatMap((place, at) => (place >= u.scales.x.min - 1 && place <= u.scales.x.max + 1 ? [at] : []));

  /* A bar over each interval: side by side they are a band. */
  function drawIntervals(u, payload, ink) {
    const { ctx } = u;
    const each = Math.abs(u.valToPos(1, "x", true) - u.valToPos(0, "x", true));
    const wide = Math.min(Math.max(each, 1), 12 * devicePixelRatio);
    ctx.fillStyle = ink.lines[0];
    ctx.globalAlpha = 0.25;
    for (const at of shownPlaces(u, payload)) {
      if (payload.low[at] === null || payload.high[at] === null) continue;
      const [top, end] = [payload.high[at], payload.low[at]].map((value) => u.valToPos(value, "y", true));
      ctx.fillRect(u.valToPos(payload.x[at], "x", true) - wide / 2, top, wide, Math.max(end - top, 1));
    }
    ctx.globalAlpha = 1;
  }

  function drawTrend(u, payload, ink) {
    drawSteps(u, payload, ink);
    drawLevels(u, payload, ink);
    drawMarks(u, payload, ink);
    drawChanges(u, payload, ink);
  }

  function drawSteps(u, { steps }, ink) {
    const { ctx, bbox } = u;
    ctx.strokeStyle = ink.muted;
    ctx.lineWidth = 1.6 * devicePixelRatio;
    ctx.setLineDash([2, 3].map((one) => one * devicePixelRatio));
    ctx.beginPath();
    for (const { place } of steps) {
      const x = u.valToPos(place - 0.5, "x", true);
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
    }
    ctx.stroke();
    ctx.setLineDash([]);
  }

  function drawLevels(u, { levels }, ink) {
    const { ctx } = u;
    ctx.strokeStyle = ink.muted;
    ctx.lineWidth = 2.2 * devicePixelRatio;
    ctx.beginPath();
    for (const { first, last, value } of levels) {
      const y = u.valToPos(value, "y", true);
      ctx.moveTo(u.valToPos(first - 0.4, "x", true), y);
      ctx.lineTo(u.valToPos(last + 0.4, "x", true), y);
    }
    ctx.stroke();
  }

  /* The mark of a kind of joule, as in the badges; dots where marks would cover one another. */
  function drawMarks(u, payload, ink) {
    const { ctx } = u;
    const shown = shownPlaces(u, payload).filter((at) => payload.value[at] !== null);
    const room = (0.45 * u.bbox.width) / shown.length;
    const size = Math.min(Math.max(room, 1.2 * devicePixelRatio), 3.8 * devicePixelRatio);
    ctx.fillStyle = ink.lines[0];
    ctx.beginPath();
    for (const at of shown) {
      mark(ctx, MARKS[payload.provenance] ?? "circle", u.valToPos(payload.x[at], "x", true), u.valToPos(payload.value[at], "y", true), size);
    }
    ctx.fill();
  }

  function mark(ctx, shape, x, y, size) {
    const corners = { square: [[-1, -1], [1, -1], [1, 1], [-1, 1]], triangle: [[0, -1.2], [1.2, 1], [-1.2, 1]], diamond: [[0, -1.4], [1.4, 0], [0, 1.4], [-1.4, 0]] }[shape];
    ctx.moveTo(x + size, y);
    if (!corners) {
      ctx.arc(x, y, size, 0, 2 * Math.PI);
      return;
    }
    ctx.moveTo(x + corners[0][0] * size, y + corners[0][1] * size);
    for (const [across, down] of corners.slice(1)) ctx.lineTo(x + across * size, y + down * size);
    ctx.closePath();
  }

  /* At changes how much, where the words do not cover one another; the largest were told first. */
  function drawChanges(u, { changes }, ink) {
    const { ctx, bbox } = u;
    const pad = 3 * devicePixelRatio;
    const taken = [];
    ctx.strokeStyle = ink.ink;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([5, 3].map((one) => one * devicePixelRatio));
    ctx.beginPath();
    for (const { place } of changes) {
      const x = u.valToPos(place - 0.5, "x", true);
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
    }
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.textBaseline = "top";
    ctx.textAlign = "left";
    for (const { place, text } of changes.filter((one) => one.place >= u.scales.x.min && one.place <= u.scales.x.max)) {
      const wide = ctx.measureText(text).width;
      const at = u.valToPos(place, "x", true);
      const left = Math.min(Math.max(at - wide / 2, bbox.left + pad), bbox.left + bbox.width - wide - pad);
      if (taken.some(([from, to]) => left < to && from < left + wide + 2 * pad)) continue;
      taken.push([left, left + wide + 2 * pad]);
      ctx.fillStyle = ink.card;
      ctx.fillRect(left - pad, bbox.top + 1, wide + 2 * pad, 17 * devicePixelRatio);
      ctx.fillStyle = ink.ink;
      ctx.fillText(text, left, bbox.top + pad);
    }
  }

  const KINDS = { trace, trend };

  /* The nearest row that has a value of a line, within the stretch that is not parted. */
  function nearest(column, at) {
    if (column[at] !== undefined) return column[at] === null ? null : at;
    for (let away = 1; away < column.length; away += 1) {
      for (const other of [at - away, at + away]) if (column[other] !== undefined && column[other] !== null) return other;
      if (column[at - away] === null || column[at + away] === null) return null;
    }
    return null;
  }

  const HINT = "Move over the chart, or focus it and press → and ←.";
  const KEYS = [
    "← and → go from value to value, with Shift ten at a time; Home and End go to the ends",
    "+ and − zoom, 0 shows all",
    "With a mouse: drag across what is to be shown, double click to show all",
  ];

  /* A line as it is drawn, for the legend: its dashes tell it from others as well as its colour. */
  function sample(place) {
    const space = "http://www.w3.org/2000/svg";
    const [picture, line] = ["svg", "line"].map((tag) => document.createElementNS(space, tag));
    const values = { x1: 0, x2: 44, y1: 7, y2: 7, stroke: "currentColor", "stroke-width": 2.5, "stroke-dasharray": DASHES[place % 8].join(" ") };
    for (const [name, value] of Object.entries(values)) line.setAttribute(name, value);
    picture.setAttribute("viewBox", "0 0 44 14");
    picture.setAttribute("aria-hidden", "true");
    picture.setAttribute("class", `line-${(place % 8) + 1}`);
    picture.append(line);
    return picture;
  }

  /* What uPlot moves along a line under the cursor. */
  function dot() {
    const made = make("div");
    Object.assign(made.style, { width: "8px", height: "8px", marginLeft: "-4px", marginTop: "-4px" });
    return made;
  }

  /* A chart in place of a picture. It can be zoomed by mouse, keys and buttons, and turned back into the picture. */
  class Chart {
    constructor(place) {
      this.payload = payloadOf(place);
      this.kind = KINDS[this.payload.kind];
      this.columns = this.kind.columns(this.payload);
      this.full = this.range = this.kind.full(this.payload);
      this.off = new Set();
      this.at = null;
      this.place = place;
      this.picture = place.querySelector("picture, svg");
      this.build();
    }

    build() {
      const { payload } = this;
      const id = `chart-${(charted += 1)}`;
      const kind = payload.provenance in MARKS ? payload.provenance : "other";
      const title = make("p", { className: "chart-title", id: `${id}-title` }, make("span", {}, payload.title), " ", make("span", { className: `badge ${kind}` }, payload.provenance));
      this.plot = make("div", { className: "plot", tabIndex: 0, role: "application", "aria-roledescription": "chart", "aria-labelledby": title.id, "aria-describedby": `${id}-keys` });
      this.readout = make("p", { className: "readout" }, HINT);
      this.live = make("p", { className: "sr", "aria-live": "polite" });
      this.reset = button("Show all", () => this.zoom(this.full), { disabled: true });
      const keys = make("ul", { id: `${id}-keys` }, ...KEYS.map((text) => make("li", {}, text)));
      const help = make("details", { className: "keys" }, make("summary", {}, "Keys and mouse"), keys);
      this.turn = button("Show as picture", () => this.turnOver());
      this.parts = [title, this.plot, this.legend(), this.readout, this.live];
      const zoom = (sign, name, by) => button(sign, () => this.zoomBy(by), { title: name, "aria-label": name });
      this.zooms = [zoom("+", "Zoom in", 0.5), zoom("−", "Zoom out", 2), this.reset];
      this.bar = make("div", { className: "chart-bar" }, ...this.zooms, this.turn, help);
      this.zooms.push(help);
    }

    /* Only where drawing went well is the picture put away. */
    show() {
      this.place.append(...this.parts, this.bar);
      this.place.classList.add("live", this.payload.kind);
      this.picture.toggleAttribute("hidden", true); // an SVG has the attribute, and no property
      try {
        this.draw();
      } catch (error) {
        this.putBack();
        throw error;
      }
      this.plot.addEventListener("keydown", (event) => this.key(event));
      new ResizeObserver(() => this.fit()).observe(this.plot);
      themed.push(() => this.u && this.draw());
    }

    putBack() {
      for (const part of [...this.parts, this.bar]) part.remove();
      this.place.classList.remove("live", this.payload.kind);
      this.picture.toggleAttribute("hidden", false);
    }

    turnOver() {
      const picture = !this.picture.toggleAttribute("hidden"); // whether it is seen now
      for (const part of [...this.parts, ...this.zooms]) part.hidden = picture;
      this.place.classList.toggle("live", !picture);
      this.turn.textContent = picture ? "Show interactive" : "Show as picture";
      if (!picture) this.draw();
    }

    /* A line that was switched off is not drawn; its values are still told. */
    legend() {
      const list = make("ul", { className: "legend" });
      this.told = (this.payload.lines ?? []).map(() => make("b", {}, "–"));
      for (const [place, line] of (this.payload.lines ?? []).entries()) {
        const one = button("", () => this.toggle(place, one), { className: "", title: "Show or hide this line" });
        one.setAttribute("aria-pressed", "true");
        one.append(sample(place), make("span", {}, line.label), " ", this.told[place]);
        list.append(make("li", {}, one));
      }
      return list;
    }

    toggle(place, one) {
      if (!this.off.delete(place)) this.off.add(place);
      one.setAttribute("aria-pressed", !this.off.has(place));
      this.u.setSeries(place + 1, { show: !this.off.has(place) });
    }

    draw() {
      this.u?.destroy();
      const ink = colours();
      const { payload, kind } = this;
      const paint = (drawn) => (u) => {
        u.ctx.save();
        u.ctx.beginPath();
        u.ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
        u.ctx.clip();
        u.ctx.font = FONT.replace("12px", `${12 * devicePixelRatio}px`);
        drawn(u, payload, ink);
        u.ctx.restore();
      };
      const series = kind.series(payload, ink).map((one, place) => ({ ...one, show: !this.off.has(place) }));
      const options = {
        width: this.width(),
        height: payload.kind === "trace" ? 300 : 250,
        legend: { show: false },
        padding: [10, 14, 0, 0],
        cursor: {
          y: false,
          points: { show: (_u, place) => (payload.kind === "trace" || place === 1 ? dot() : null), size: 8 },
          dataIdx: (_u, place, at) => (place ? nearest(this.columns[place - 1], at) : at),
          drag: { setScale: false },
          bind: { dblclick: () => () => this.zoom(this.full) },
        },
        scales: { x: { time: false, range: () => this.range }, y: this.heights() },
        axes: this.axes(ink),
        series: [{}, ...series],
        hooks: {
          drawClear: [paint(kind.under)],
          draw: [paint(kind.over)],
          setCursor: [(u) => this.tell(u)],
          setSelect: [(u) => this.selected(u)],
        },
      };
      this.u = new uPlot(options, [payload.x, ...this.columns], this.plot);
      // Cursor and select are of use to the eye alone.
      this.u.root.setAttribute("aria-hidden", "true");
    }

    heights() {
      if (this.payload.log) return { distr: 3, log: 10 };
      return { range: (_u, low, high) => (low === null ? [0, 1] : this.kind.reach(low, high)) };
    }

    axes(ink) {
      const { payload, kind } = this;
      const common = { stroke: ink.muted, font: FONT, labelFont: FONT, labelSize: 20, grid: { stroke: ink.line, width: 1 }, ticks: { stroke: ink.line, width: 1, size: 5 } };
      const widest = (u, values) => Math.max(44, ...(values ?? []).map((text) => 16 + 7 * (text?.length ?? 0)));
      const values = (_u, splits, _axis, _space, step) => (payload.log ? splits.map((one) => (one === null ? "" : quantity(one, payload.unit))) : ticks(splits, payload.unit, step));
      const word = payload.unit === "%" ? "" : ` ${payload.unit}`;
      return [
        { ...common, size: 34, ...kind.axis(payload) },
        { ...common, size: widest, values, space: 34, label: `${payload.provenance}${word}${payload.per ? ` ${payload.per}` : ""}` },
      ];
    }

    width() {
      return Math.max(this.plot.clientWidth, 200);
    }

    fit() {
      if (!this.picture.hasAttribute("hidden") || !this.u || this.u.width === this.width()) return;
      this.u.setSize({ width: this.width(), height: this.u.height });
    }

    zoom([low, high]) {
      const [first, last] = this.full;
      const wide = Math.min(Math.max(high - low, this.kind.least(this.payload)), last - first);
      const from = Math.min(Math.max(low, first), last - wide);
      this.range = [from, from + wide];
      this.reset.disabled = wide >= last - first;
      this.u.setScale("x", { min: from, max: from + wide });
    }

    selected(u) {
      const { left, width } = u.select;
      if (width < 4) return;
      u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      this.zoom([u.posToVal(left, "x"), u.posToVal(left + width, "x")]);
    }

    /* Around where the cursor stands, else around the middle. */
    zoomBy(factor) {
      const [low, high] = this.range;
      const x = this.at === null ? (low + high) / 2 : this.payload.x[this.at];
      const middle = x < low || x > high ? (low + high) / 2 : x;
      this.zoom([middle - (middle - low) * factor, middle + (high - middle) * factor]);
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = event.shiftKey ? 10 : 1;
      const acts = {
        ArrowLeft: () => this.move(-step),
        ArrowRight: () => this.move(step),
        Home: () => this.move(-Infinity),
        End: () => this.move(Infinity),
        "+": () => this.zoomBy(0.5),
        "=": () => this.zoomBy(0.5),
        "-": () => this.zoomBy(2),
        0: () => this.zoom(this.full),
      };
      if (!Object.hasOwn(acts, event.key)) return;
      event.preventDefault();
      acts[event.key]();
    }

    /* To a row that has a value, from where the cursor stands or from the edge of what is shown. */
    move(by) {
      const { x } = this.payload;
      const last = x.length - 1;
      const [low, high] = this.range;
      const edge = by > 0 ? x.findIndex((one) => one >= low) - 1 : x.findLastIndex((one) => one <= high) + 1;
      const way = by > 0 ? 1 : -1;
      let at = Math.min(Math.max((this.at ?? edge) + by, 0), last);
      const empty = (row) => this.columns.every((column) => column[row] === null || column[row] === undefined);
      while (at > 0 && at < last && empty(at)) at += way;
      if (empty(at)) return;
      const half = (high - low) / 2;
      if (x[at] < low || x[at] > high) this.zoom([x[at] - half, x[at] + half]);
      this.u.setCursor({ left: this.u.valToPos(x[at], "x"), top: this.u.over.clientHeight / 2 });
      this.at = at;
      this.live.textContent = this.words(at);
    }

    found(at) {
      return this.columns.map((column) => {
        const row = nearest(column, at);
        return row === null ? undefined : column[row];
      });
    }

    words(at) {
      const values = this.kind.values(this.payload, this.found(at), at);
      return `${this.kind.where(this.payload, at)}: ${values || "no value"}`;
    }

    /* What stands under the cursor, in words below the chart. */
    tell(u) {
      this.at = u.cursor.idx ?? null;
      const found = this.at === null ? [] : this.found(this.at);
      for (const [place, value] of this.told.entries()) {
        value.textContent = found[place] === undefined ? "–" : quantity(found[place], this.payload.unit);
      }
      if (this.at === null) this.readout.textContent = HINT;
      else this.readout.textContent = this.payload.kind === "trace" ? this.kind.where(this.payload, this.at) : this.words(this.at);
    }
  }

  function chart(place) {
    try {
      new Chart(place).show();
    } catch (error) {
      console.warn(`The chart ${place.dataset.chart} stays a picture: ${error.message}`);
    }
  }

  /* Charts are made when they come near, each in a turn of its own. */
  function charts() {
    const places = document.querySelectorAll(".chart[data-chart]");
    if (!places.length || typeof uPlot === "undefined") return;
    const near = new IntersectionObserver(
      (entries) => {
        for (const { isIntersecting, target } of entries) {
          if (!isIntersecting) continue;
          near.unobserve(target);
          setTimeout(() => chart(target));
        }
      },
      { rootMargin: "400px" },
    );
    for (const place of places) near.observe(place);
  }

  function start() {
    themeButtons();
    const tables = [...document.querySelectorAll("table.points")];
    const ready = () => (settingUp = awaited = false);
    inTurn([...tables.map((table) => () => setUpTable(table)), () => requestAnimationFrame(() => requestAnimationFrame(ready)), charts]);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
