// The last hour of each host as charts with hover, in the place of the drawings the server made.
// Read once from /api/v1/hosts/NAME/trend, then carried on by the events that come anyway. What is
// drawn (channels, names, unit, scale) is said by the page; a time of which nothing is known is a gap.
(() => {
  "use strict";

  const HOUR = 3600;
  const LEAST = 300;
  const SMALL = 56;
  const LARGE = 132;
  const DASH = "–";
  // A scale that follows what was seen is not magnified beyond this.
  const QUIET = { "%": 5, "°C": 50, W: 20, MHz: 500, B: 2 ** 30, "B/s": 100 * 1024, "": 1 };
  const BINARY = Array.from({ length: 45 }, (_, power) => 2 ** power);
  const skew = Date.now() - Date.parse(document.body.dataset.now);
  const now = () => (Date.now() - skew) / 1000;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const clock = new Intl.DateTimeFormat([], { timeStyle: "short" });

  // ---- figures, as the server reckons and writes them

  const known = (values) => values.filter((value) => value !== null && value !== undefined);
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const some = (values, fold) => (values.length ? fold(values) : null);
  const figures = (sample) => {
    const of = (name) => known(sample.gpus.map((gpu) => gpu[name]));
    const held = known(sample.gpus.flatMap((gpu) => gpu.processes.map((one) => one.used_bytes)));
    const { total, available, pressure_some: pressure } = sample.memory;
    return {
      gpu: some(of("utilization"), (all) => sum(all) / all.length),
      temperature: some(of("temperature"), (all) => Math.max(...all)),
      power: some(of("power"), sum),
      clock: some(of("clock_sm"), (all) => Math.max(...all)),
      used: total === null || available === null ? null : Math.max(0, total - available),
      held: some(held, sum),
      pressure,
      load: sample.load ? sample.load[0] : null,
      received: some(known(sample.nics.map((nic) => nic.rx_rate)), sum),
      sent: some(known(sample.nics.map((nic) => nic.tx_rate)), sum),
    };
  };
  const size = (bytes) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let value = bytes;
    let unit = 0;
    while (value >= 1024 && unit < units.length - 1) {
      value /= 1024;
      unit += 1;
    }
    return `${value.toFixed(unit ? 1 : 0)} ${units[unit]}`;
  };
  const written = (value, unit) => {
    if (value === null || value === undefined) return DASH;
    if (unit === "B") return size(value);
    if (unit === "B/s") return `${size(value)}/s`;
    const digits = value >= 10 || value === 0 || unit === "%" || unit === "MHz" ? 0 : 1;
    return `${value.toFixed(digits)} ${unit}`.trimEnd();
  };

  // ---- one host: its buckets, and a chart for each figure

  class Host {
    constructor(place) {
      this.place = place;
      this.step = 15;
      this.times = [];
      this.columns = new Map();
      this.newest = 0; // samples in the newest bucket
      this.charts = [];
      place.addEventListener("sample", (event) => this.heard(event.detail.sample));
    }

    async load() {
      try {
        const name = encodeURIComponent(this.place.dataset.curves);
        const answer = await fetch(`/api/v1/hosts/${name}/trend`);
        if (!answer.ok) return;
        this.take(await answer.json());
      } catch {
        return; // no connection: what is drawn stays, and the page says that it is stale
      }
      if (!this.charts.length) this.draw();
      this.show();
    }

    take({ start, step, host, ...columns }) {
      this.step = step;
      const count = columns.gpu?.length ?? 0;
      this.times = Array.from({ length: count }, (_, place) => start + place * step);
      this.columns = new Map(Object.entries(columns));
      this.newest = 1;
    }

    heard(sample) {
      if (!sample || !this.charts.length) return;
      const at = Math.floor(Date.parse(sample.at) / 1000 / this.step) * this.step;
      const last = this.times.at(-1);
      if (last !== undefined && at < last) return;
      const fresh = at !== last;
      this.newest = fresh ? 1 : this.newest + 1;
      if (fresh) {
        for (let gap = last + this.step; gap < at && at - gap < HOUR; gap += this.step) this.add(gap, {});
        this.add(at, {});
      }
      for (const [name, value] of Object.entries(figures(sample))) this.mean(name, value);
      while (this.times[0] < at - HOUR) {
        this.times.shift();
        for (const column of this.columns.values()) column.shift();
      }
      this.show();
    }

    // Soon after a start the little that is known fills the chart.
    from() {
      return Math.max(now() - HOUR, Math.min(this.times[0] ?? 0, now() - LEAST));
    }

    add(at, values) {
      this.times.push(at);
      for (const [name, column] of this.columns) column.push(values[name] ?? null);
    }

    mean(name, value) {
      const column = this.columns.get(name);
      if (!column || value === null || value === undefined) return;
      const end = column.length - 1;
      const before = column[end];
      column[end] = before === null ? value : before + (value - before) / this.newest;
    }

    draw() {
      this.place.dataset.drawn = "yes";
      this.charts = [...this.place.querySelectorAll(".curve")].map((figure) => new Drawing(figure, this));
    }

    show() {
      for (const chart of this.charts) chart.show();
    }
  }

  class Drawing {
    constructor(figure, host) {
      this.host = host;
      this.lines = figure.dataset.lines.split(" ");
      this.names = figure.dataset.names.split("|");
      this.unit = figure.dataset.unit;
      this.top = Number(figure.dataset.top) || 0;
      this.value = figure.querySelector("[data-value]");
      this.plot = figure.querySelector("[data-plot]");
      this.large = figure.closest(".large") !== null;
      this.label = figure.querySelector(".name").textContent;
      this.plot.replaceChildren();
      this.plot.setAttribute("role", "img");
      this.chart = new uPlot(this.options(), this.data(), this.plot);
      new ResizeObserver(() => this.fit()).observe(this.plot);
      if (this.large) this.walkable();
    }

    // By keyboard: arrows go from place to place, and the figure there is said.
    walkable() {
      this.plot.tabIndex = 0;
      this.plot.addEventListener("focus", () => this.value.setAttribute("aria-live", "polite"));
      this.plot.addEventListener("blur", () => {
        this.value.removeAttribute("aria-live");
        this.point(null);
      });
      this.plot.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: 20, PageDown: -20 }[event.key];
        if (event.key === "Escape") this.point(null);
        if (!step || !this.host.times.length) return;
        event.preventDefault();
        const end = this.host.times.length - 1;
        const from = this.chart.cursor.left >= 0 ? this.chart.cursor.idx : end + 1;
        this.point(Math.min(end, Math.max(0, from + step)));
      });
    }

    point(place) {
      const left = place === null ? -10 : this.chart.valToPos(this.host.times[place], "x");
      this.chart.setCursor({ left, top: place === null ? -10 : 5 });
    }

    options() {
      const axis = { stroke: () => colour("--muted"), grid: { stroke: () => colour("--line"), width: 1 } };
      const font = "12px system-ui, sans-serif";
      return {
        width: this.plot.clientWidth || 100,
        height: this.large ? LARGE : SMALL,
        padding: this.large ? [12, 8, 0, 0] : [3, 0, 1, 0],
        legend: { show: false },
        cursor: {
          y: false,
          drag: { x: false, y: false },
          points: { size: 6 },
          sync: { key: this.host.place.dataset.curves },
        },
        scales: {
          x: { range: () => [this.host.from(), now()] },
          y: { range: (_, least, most) => [0, this.top || Math.max(most * 1.15, QUIET[this.unit])] },
        },
        axes: this.large
          ? [
              { ...axis, font, size: 26, ticks: { show: false }, space: 60, values: (_, all) => all.map((at) => clock.format(at * 1000)) },
              { ...axis, font, size: this.unit === "B/s" ? 80 : 64, ticks: { show: false }, space: 30, ...(this.unit.startsWith("B") && { incrs: BINARY }), values: (_, all) => all.map((one) => written(one, this.unit)) },
            ]
          : [{ show: false }, { show: false }],
        series: [
          {},
          ...this.lines.map((_, place) => ({
            stroke: () => colour(`--line-${place + 1}`),
            fill: place === 0 ? () => colour("--line-soft") : undefined,
            width: 1.5,
            points: { show: false },
            spanGaps: false,
          })),
        ],
        hooks: { setCursor: [() => this.say()] },
      };
    }

    data() {
      const columns = this.lines.map((name) => this.host.columns.get(name) ?? []);
      return [this.host.times, ...columns];
    }

    show() {
      this.chart.setData(this.data());
      this.say();
    }

    fit() {
      const width = this.plot.clientWidth;
      if (width && width !== this.chart.width) this.chart.setSize({ width, height: this.chart.height });
    }

    // The newest figure, or the one that is pointed at with its time.
    say() {
      const chart = this.chart;
      const place = chart?.cursor.idx;
      const pointed = place !== null && place !== undefined && chart.cursor.left >= 0;
      const end = this.host.times.length - 1;
      const values = this.lines.map((name) => this.host.columns.get(name)?.[pointed ? place : end]);
      let text = written(values[0], this.unit);
      if (this.lines.length > 1 && (this.large || pointed)) {
        text = values.map((value, line) => `${this.names[line]} ${written(value, this.unit)}`).join(", ");
      }
      if (pointed) text = `${text} · ${clock.format(this.host.times[place] * 1000)}`;
      if (this.value.textContent !== text) this.value.textContent = text;
      if (!pointed) this.plot.setAttribute("aria-label", `${this.label} in the last hour, last ${text}`);
      this.value.title = text;
    }
  }

  const hosts = new Map();
  const find = () => {
    for (const [place] of hosts) if (!place.isConnected) hosts.delete(place);
    for (const place of document.querySelectorAll("[data-curves]:not([data-drawn])")) {
      if (hosts.has(place)) continue;
      const host = new Host(place);
      hosts.set(place, host);
      host.load();
    }
  };
  const all = (act) => {
    for (const host of hosts.values()) act(host);
  };

  // After a break the snapshot comes first: what was missed is read, not guessed.
  document.getElementById("events").addEventListener("snapshot", () => all((host) => host.load()));
  document.addEventListener("htmx:after:swap", find);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    all((host) => host.charts.forEach((one) => one.chart.redraw(false))),
  );
  setInterval(() => all((host) => host.show()), 15000); // time goes on for a silent host too
  find();
})();
