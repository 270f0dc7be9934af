// Draws the charts of a report with Observable Plot. The data lies in two elements of the page:
// `results` is results.json, `charts` is what was computed from it.
(() => {
  "use strict";

  const element = (id) => document.getElementById(id);
  const resultsText = element("results").textContent;
  const results = JSON.parse(resultsText);
  const charts = JSON.parse(element("charts").textContent);
  const variants = charts.variants;
  // Runs that ended well and are believed.
  const refused = new Set(charts.refused);
  const runs = results.runs.filter((run, place) => run.status === "ok" && !refused.has(place));

  const colour = (index) => `var(--v${index % 8})`;
  const symbols = ["circle", "triangle", "square", "diamond", "star", "cross", "wye"];
  const symbol = (index) => symbols[index % symbols.length];

  const width = (plot) => Math.max(240, Math.floor(plot.clientWidth));
  const narrow = (text, letters) => (text.length > letters ? `${text.slice(0, letters - 1)}…` : text);

  // Three significant digits, without an exponent where it can be read without.
  const digits = (value) => {
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 1e6 || size < 1e-4) return value.toExponential(2);
    const text = value.toPrecision(3);
    const plain = text.includes("e") ? String(Number(text)) : text;
    return size >= 1e4 ? Number(plain).toLocaleString("en").replace(/,/g, "\u202f") : plain;
  };

  // Of an axis: no more digits than it needs.
  const axisNumber = (value) => (Math.abs(value) >= 1e6 || (value !== 0 && Math.abs(value) < 1e-4) ? value.toExponential() : String(Number(value.toPrecision(6))));

  const duration = (ns) => {
    const units = [["s", 1e9], ["ms", 1e6], ["µs", 1e3], ["ns", 1]];
    const [name, length] = units.find(([, least]) => ns >= least) ?? units[3];
    return `${digits(ns / length)} ${name}`;
  };

  // ---- Metrics ---------------------------------------------------------------------------------

  // All values of a series that went well, in the unit that is shown.
  const pointsOf = (series) =>
    runs
      .filter((run) => run.workload === series.workload)
      .map((run) => ({
        variant: variants.indexOf(run.variant),
        round: run.round,
        value: run.values[series.metric],
      }))
      .filter((point) => point.variant >= 0 && Number.isFinite(point.value))
      .map((point) => ({ ...point, value: point.value * series.factor }));

  // A logarithmic axis where the values lie far apart.
  const scaleOf = (values) => {
    const least = Math.min(...values);
    const most = Math.max(...values);
    return least > 0 && most / least > 25 ? { type: "log" } : { type: "linear", nice: true };
  };

  const axisFormat = (scale, values) => {
    if (scale.type !== "log") return undefined;
    const decades = Math.log10(Math.max(...values) / Math.min(...values));
    // Between decades only where there are few.
    return (value) => {
      const first = Number(value.toExponential()[0]);
      const shown = first === 1 || (decades < 2.5 && (first === 2 || first === 5));
      return shown ? axisNumber(value) : "";
    };
  };

  // The same round lies at the same height for all variants: a golden-ratio sequence from the
  // seed spreads them evenly.
  const seed = Number(BigInt(results.seed ?? 0) % 997n);
  const jitter = (round) => (((round + seed) * 0.6180339887498949) % 1) - 0.5;

  const unitLabel = (series) => (series.unit ? `${series.title} (${series.unit})` : series.title);
  const tipText = (point, series) =>
    `${variants[point.variant]}, round ${point.round + 1}\n${digits(point.value)} ${series.unit}`;

  const byVariant = (plot, series, points) => {
    const values = points.map((point) => point.value);
    const scale = scaleOf(values);
    const total = width(plot);
    const letters = Math.max(...variants.map((name) => name.length));
    const marginLeft = Math.ceil(Math.min(letters * 6.6 + 12, total * 0.34));
    const fits = Math.floor((marginLeft - 12) / 6.6);
    const medians = series.medians
      .map((median, variant) => ({ ...median, variant }))
      .filter((median) => Number.isFinite(median.value));
    const base = medians.find((median) => median.variant === 0);
    return Plot.plot({
      width: total,
      height: variants.length * 30 + 46,
      marginLeft,
      marginRight: 58,
      marginTop: 8,
      marginBottom: 38,
      x: { ...scale, label: unitLabel(series), labelAnchor: "center", labelArrow: "none", tickFormat: axisFormat(scale, values), ticks: Math.max(3, Math.floor(total / 90)), tickSize: 4 },
      y: { domain: [-0.55, variants.length - 0.45], axis: null, reverse: true },
      marks: [
        Plot.gridX({ stroke: "var(--line)", strokeOpacity: 1, ticks: Math.max(3, Math.floor(total / 90)) }),
        base ? Plot.ruleX([base.value], { stroke: "var(--soft)", strokeDasharray: "3 3" }) : null,
        Plot.text(variants, { x: null, frameAnchor: "left", dx: -marginLeft, textAnchor: "start", y: (_, index) => index, text: (name) => narrow(name, fits), title: (name) => name, fill: "var(--ink)" }),
        Plot.rect(medians.filter((median) => median.interval), { x1: (median) => median.interval[0], x2: (median) => median.interval[1], y1: (median) => median.variant - 0.3, y2: (median) => median.variant + 0.3, fill: (median) => colour(median.variant), fillOpacity: 0.2 }),
        Plot.dot(points, { x: "value", y: (point) => point.variant + jitter(point.round) * 0.6, r: 2.6, fill: (point) => colour(point.variant), fillOpacity: 0.72 }),
        Plot.link(medians, { x1: "value", x2: "value", y1: (median) => median.variant - 0.36, y2: (median) => median.variant + 0.36, stroke: (median) => colour(median.variant), strokeWidth: 2.2 }),
        Plot.text(medians, { x: null, frameAnchor: "right", dx: 54, textAnchor: "end", y: "variant", text: "text", fill: "var(--ink)" }),
        Plot.tip(points, Plot.pointer({ x: "value", y: (point) => point.variant + jitter(point.round) * 0.6, title: (point) => tipText(point, series) })),
      ],
    });
  };

  const byRound = (plot, series, points) => {
    const values = points.map((point) => point.value);
    const scale = scaleOf(values);
    const total = width(plot);
    const colours = (point) => colour(point.variant);
    const rounds = Math.max(...points.map((point) => point.round)) + 1;
    return Plot.plot({
      width: total,
      height: 250,
      marginLeft: 58,
      marginRight: 12,
      marginTop: 22,
      marginBottom: 38,
      x: { domain: [0.5, rounds + 0.5], label: "round", labelAnchor: "center", labelArrow: "none", ticks: Math.min(rounds, Math.floor(total / 50)), tickFormat: (round) => (Number.isInteger(round) ? String(round) : ""), tickSize: 4 },
      y: { ...scale, label: unitLabel(series), labelArrow: "none", tickFormat: axisFormat(scale, values), ticks: 5, tickSize: 4 },
      marks: [
        Plot.gridY({ stroke: "var(--line)", strokeOpacity: 1, ticks: 5 }),
        Plot.line(points, { x: (point) => point.round + 1, y: "value", z: "variant", stroke: colours, strokeWidth: 1, strokeOpacity: 0.55, sort: "round" }),
        variants.map((_, index) =>
          Plot.dot(points.filter((point) => point.variant === index), { x: (point) => point.round + 1, y: "value", r: 3, symbol: symbol(index), fill: colour(index) })),
        Plot.tip(points, Plot.pointer({ x: (point) => point.round + 1, y: "value", title: (point) => tipText(point, series) })),
      ].flat(),
    });
  };

  const empty = (text) => {
    const paragraph = document.createElement("p");
    paragraph.className = "hint";
    paragraph.textContent = text;
    return paragraph;
  };

  const drawMetric = (plot, at) => {
    const series = charts.metrics[at];
    const points = pointsOf(series);
    if (points.length === 0) return empty("No run has a value.");
    const chosen = document.querySelector("#arrange input:checked")?.value;
    return chosen === "round" ? byRound(plot, series, points) : byVariant(plot, series, points);
  };

  // ---- Latencies -------------------------------------------------------------------------------

  const share = (value) => `${Number((value * 100).toPrecision(3))} %`;
  const powers = (low, high) =>
    d3.range(Math.floor(Math.log10(low)), Math.ceil(Math.log10(high)) + 1).map((power) => 10 ** power);

  const drawLatency = (plot, at) => {
    const { workload, name, curves } = charts.latencies[at];
    const pooled = curves.flatMap((curve, variant) =>
      (curve?.points ?? []).map(([us, longer]) => ({ variant, us, longer })));
    const single = runs
      .filter((run) => run.workload === workload && run.latencies[name])
      .flatMap((run, z) => {
        const { count, points } = run.latencies[name];
        return points.map(([atMost, us]) => ({
          z,
          variant: variants.indexOf(run.variant),
          us: Math.max(us, 0.1),
          longer: Math.max(1 - atMost, 1 / count),
        }));
      })
      .filter((point) => point.variant >= 0 && Number.isFinite(point.longer));
    const total = width(plot);
    const least = d3.min(pooled, (point) => point.us);
    const most = d3.max(pooled, (point) => point.us);
    const rarest = d3.min(pooled, (point) => point.longer);
    const domain = [least * 0.9, most * 1.12];
    const within = ([low, high]) => (value) => value >= low && value <= high;
    const few = most / least < 300;
    const steps = powers(...domain).flatMap((power) => (few ? [power, 2 * power, 5 * power] : [power]));
    const ticks = steps.filter(within(domain));
    const shares = powers(rarest, 1).filter(within([rarest * 0.999, 1]));
    const inside = (point) => point.us >= least && point.longer >= rarest;
    return Plot.plot({
      width: total,
      height: 300,
      marginLeft: 56,
      marginRight: 14,
      marginTop: 24,
      marginBottom: 38,
      x: { type: "log", domain, label: "latency", labelAnchor: "center", labelArrow: "none", ticks, tickFormat: (us) => duration(us * 1e3).replace(/\.0+ /, " "), tickSize: 4 },
      y: { type: "log", domain: [rarest, 1], label: "share of latencies that are longer", labelArrow: "none", ticks: shares, tickFormat: share, tickSize: 4 },
      marks: [
        Plot.gridX(ticks, { stroke: "var(--line)", strokeOpacity: 1 }),
        Plot.gridY(shares, { stroke: "var(--line)", strokeOpacity: 1 }),
        Plot.line(single.filter(inside), { x: "us", y: "longer", z: "z", stroke: (point) => colour(point.variant), strokeWidth: 0.8, strokeOpacity: 0.22, clip: true }),
        variants.map((_, variant) =>
          Plot.line(pooled.filter((point) => point.variant === variant), { x: "us", y: "longer", stroke: colour(variant), strokeWidth: 2.2, strokeDasharray: charts.dashes[variant % 8], clip: true })),
        Plot.tip(pooled, Plot.pointer({ x: "us", y: "longer", title: (point) => `${variants[point.variant]}\n${share(point.longer)} take longer than ${duration(point.us * 1e3)}` })),
      ].flat(),
    });
  };

  // ---- Timelines -------------------------------------------------------------------------------

  const longest = Math.max(1, ...charts.timelines.map((tracks) => tracks.length_ns));
  const mostWaiting = Math.max(1, d3.max(charts.timelines, (tracks) => d3.max(tracks.waiting, ([, count]) => count)) ?? 1);
  let shown = [0, longest];
  // The colour of what has no colour of its own is grey.
  const kindClass = (kind) => `k${kind < charts.kinds.length ? kind : 6}`;
  const kindColour = (kind) => `var(--${kindClass(kind)})`;
  const kindName = (kind) => charts.kinds[kind] ?? "others and the kernel's threads";

  const slicesOf = (tracks) =>
    tracks.slices
      .map(([cpu, begin, length, task]) => ({ cpu, begin, end: begin + length, task }))
      .filter((slice) => slice.end > shown[0] && slice.begin < shown[1]);

  const waitsOf = (tracks) =>
    tracks.wakeups
      .map(([cpu, begin, length, task]) => ({ cpu, begin, end: begin + length, task }))
      .filter((wait) => wait.end > shown[0] && wait.begin < shown[1]);

  // Steps from one count to the next, cut to the window.
  const stepsOf = (tracks) => {
    const steps = tracks.waiting.map(([time, count], index) => ({
      begin: time,
      end: tracks.waiting[index + 1]?.[0] ?? tracks.length_ns,
      count,
    }));
    return steps.filter((step) => step.end > shown[0] && step.begin < shown[1]);
  };

  const cut = (time) => Math.min(Math.max(time, shown[0]), shown[1]);
  const MARGIN = { left: 56, right: 16, top: 6, bottom: 36 };

  const drawTimeline = (plot, at) => {
    const tracks = charts.timelines[at];
    const total = width(plot);
    const row = tracks.cpus > 16 ? 14 : 26;
    const lane = 34;
    const height = tracks.cpus * row + lane + MARGIN.top + MARGIN.bottom;
    const perPixel = (shown[1] - shown[0]) / (total - MARGIN.left - MARGIN.right);
    const [unit, length] = shown[1] - shown[0] > 2e6 ? ["ms", 1e6] : ["µs", 1e3];
    const x = (time) => cut(time) / length;
    const most = mostWaiting;
    // Rows count downwards in pixels: CPUs first, then the lane of those who wait.
    const top = (cpu) => cpu * row + 5;
    const laneEnd = tracks.cpus * row + lane;
    const slices = slicesOf(tracks);
    const named = slices.filter((slice) => {
      const text = tracks.tasks[slice.task][0].replace(/ \d+$/, "");
      return row > 20 && (cut(slice.end) - cut(slice.begin)) / perPixel > text.length * 6.2 + 6;
    });
    // A border would hide what is hardly wider than itself; without, many such blend into a tint.
    const border = (slice) => (slice.end - slice.begin > 3 * perPixel ? "var(--page)" : "none");
    const about = (slice) => `${tracks.tasks[slice.task][0]} on CPU ${slice.cpu}\n${duration(slice.end - slice.begin)} from ${duration(slice.begin)}`;
    const cpus = d3.range(tracks.cpus);
    return Plot.plot({
      width: total,
      height,
      marginLeft: MARGIN.left,
      marginRight: MARGIN.right,
      marginTop: MARGIN.top,
      marginBottom: MARGIN.bottom,
      x: { domain: shown.map((time) => time / length), label: `time (${unit})`, labelAnchor: "center", labelArrow: "none", ticks: Math.max(3, Math.floor(total / 100)), tickSize: 4 },
      y: { domain: [0, laneEnd], range: [MARGIN.top, height - MARGIN.bottom], axis: null },
      marks: [
        Plot.gridX({ stroke: "var(--line)", strokeOpacity: 1, ticks: Math.max(3, Math.floor(total / 100)) }),
        Plot.text(cpus.filter((cpu) => row > 20 || cpu % 4 === 0), { x: null, frameAnchor: "left", dx: -MARGIN.left, textAnchor: "start", y: (cpu) => top(cpu) + (row - 5) / 2, text: (cpu) => `CPU ${cpu}`, fill: "var(--soft)" }),
        Plot.rect(slices, { x1: (slice) => x(slice.begin), x2: (slice) => x(slice.end), y1: (slice) => top(slice.cpu), y2: (slice) => top(slice.cpu) + row - 6, fill: (slice) => kindColour(tracks.tasks[slice.task][1]), stroke: border, strokeWidth: 0.6 }),
        Plot.rect(waitsOf(tracks), { x1: (wait) => x(wait.begin), x2: (wait) => x(wait.end), y1: (wait) => top(wait.cpu) - 4, y2: (wait) => top(wait.cpu) - 1.5, fill: "var(--worse)" }),
        Plot.text(named, { x: (slice) => (x(slice.begin) + x(slice.end)) / 2, y: (slice) => top(slice.cpu) + (row - 6) / 2, text: (slice) => tracks.tasks[slice.task][0].replace(/ \d+$/, ""), fill: "var(--on-kind)", pointerEvents: "none" }),
        Plot.text([`wait\n0 to ${most}`], { x: null, frameAnchor: "left", dx: -MARGIN.left, textAnchor: "start", lineAnchor: "middle", y: () => laneEnd - lane / 2 + 3, fill: "var(--soft)" }),
        Plot.rect(stepsOf(tracks).filter((step) => step.count > 0), { x1: (step) => x(step.begin), x2: (step) => x(step.end), y1: (step) => laneEnd - (step.count / most) * (lane - 8), y2: laneEnd, fill: "var(--soft)", fillOpacity: 0.45 }),
        Plot.ruleY([laneEnd], { stroke: "var(--line)" }),
        Plot.tip(slices, Plot.pointer({ x: (slice) => (x(slice.begin) + x(slice.end)) / 2, y: (slice) => top(slice.cpu) + (row - 6) / 2, title: about, maxRadius: 60 })),
      ],
    });
  };

  const show = (from, to) => {
    const span = Math.min(Math.max(to - from, longest / 2000, 1000), longest);
    const begin = Math.min(Math.max(from, 0), longest - span);
    shown = [begin, begin + span];
    const text = span >= longest ? "" : `${duration(begin)} to ${duration(begin + span)}`;
    element("window").textContent = text;
    redraw("timeline");
  };

  const zoom = (how) => {
    const [from, to] = shown;
    const span = to - from;
    const moves = {
      in: [from + span / 4, to - span / 4],
      out: [from - span / 2, to + span / 2],
      left: [from - span / 4, to - span / 4],
      right: [from + span / 4, to + span / 4],
      all: [0, longest],
    };
    show(...moves[how]);
  };

  const keys = { "+": "in", "=": "in", "-": "out", ArrowLeft: "left", ArrowRight: "right", 0: "all" };

  const listen = (plot) => {
    plot.addEventListener("keydown", (event) => {
      const how = keys[event.key];
      if (!how || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      zoom(how);
    });
    // Dragging chooses a window; on a touch screen a finger scrolls the page instead.
    let start = null;
    let selection = null;
    const place = (event) => {
      const box = plot.getBoundingClientRect();
      return Math.min(Math.max(event.clientX - box.left, MARGIN.left), box.width - MARGIN.right);
    };
    const timeAt = (pixel) =>
      shown[0] + ((pixel - MARGIN.left) / (width(plot) - MARGIN.left - MARGIN.right)) * (shown[1] - shown[0]);
    const stop = () => {
      selection?.remove();
      start = selection = null;
    };
    plot.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      start = place(event);
    });
    plot.addEventListener("pointermove", (event) => {
      if (start === null) return;
      const svg = plot.querySelector("svg");
      selection ??= d3.select(svg).append("rect").attr("class", "selection").node();
      const now = place(event);
      d3.select(selection)
        .attr("x", Math.min(start, now))
        .attr("width", Math.abs(now - start))
        .attr("y", 0)
        .attr("height", svg.clientHeight - MARGIN.bottom);
    });
    plot.addEventListener("pointerup", (event) => {
      if (start === null) return;
      const [from, to] = [start, place(event)].sort((a, b) => a - b).map(timeAt);
      const far = Math.abs(place(event) - start) > 4;
      stop();
      if (far) show(from, to);
    });
    plot.addEventListener("pointercancel", stop);
    plot.addEventListener("pointerleave", stop);
  };

  const legend = () => {
    const list = element("kinds");
    if (!list) return;
    const kinds = new Set(charts.timelines.flatMap((tracks) => tracks.tasks.map(([, kind]) => kind)));
    for (const kind of [...kinds].sort((a, b) => a - b)) {
      const item = document.createElement("li");
      const swatch = document.createElement("span");
      swatch.className = `swatch ${kindClass(kind)}`;
      swatch.setAttribute("aria-hidden", "true");
      item.append(swatch, kindName(kind));
      list.append(item);
    }
  };

  // ---- The page --------------------------------------------------------------------------------

  const draw = { metric: drawMetric, latency: drawLatency, timeline: drawTimeline };
  const figures = [...document.querySelectorAll("figure.chart")];

  const render = (figure) => {
    const plot = figure.querySelector(".plot");
    if (plot.clientWidth === 0) return;
    const drawing = draw[figure.dataset.chart](plot, Number(figure.dataset.at));
    // The place of the drawing has a label; what is in it says nothing more.
    drawing.setAttribute("aria-hidden", "true");
    plot.replaceChildren(drawing);
    figure.dataset.drawn = plot.clientWidth;
  };

  // Charts that were not seen yet are drawn when they are.
  const redraw = (kind) => {
    for (const figure of figures) {
      if (figure.dataset.chart === kind && figure.dataset.drawn) render(figure);
    }
  };

  const seen = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (isIntersecting && !target.dataset.drawn) render(target);
      }
    },
    { rootMargin: "600px" },
  );

  let resized = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(resized);
    resized = requestAnimationFrame(() => {
      for (const figure of figures) {
        const { clientWidth } = figure.querySelector(".plot");
        if (figure.dataset.drawn && Number(figure.dataset.drawn) !== clientWidth) render(figure);
      }
    });
  });

  addEventListener("beforeprint", () => figures.forEach(render));
  addEventListener("afterprint", () => figures.filter((figure) => figure.dataset.drawn).forEach(render));

  // Where points differ by shape too, the legend tells the shapes.
  const shapes = (shown) => {
    document.querySelectorAll("#measurements .variants li").forEach((item, index) => {
      item.querySelector(".symbol")?.remove();
      item.querySelector(".swatch").hidden = shown;
      if (!shown) return;
      const name = symbol(index);
      const kind = d3[`symbol${name[0].toUpperCase()}${name.slice(1)}`];
      const svg = d3.create("svg").attr("class", `symbol v${index % 8}`).attr("aria-hidden", "true");
      svg.attr("width", 12).attr("height", 12).attr("viewBox", "-6 -6 12 12");
      svg.append("path").attr("d", d3.symbol(kind, 42)());
      item.prepend(svg.node());
    });
  };

  element("arrange")?.addEventListener("change", (event) => {
    shapes(event.target.value === "round");
    redraw("metric");
  });
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => zoom(button.dataset.zoom));
  }
  for (const plot of document.querySelectorAll(".timeline .plot")) listen(plot);

  element("download").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([resultsText], { type: "application/json" }));
    link.download = "results.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  legend();
  for (const figure of figures) seen.observe(figure);
})();
