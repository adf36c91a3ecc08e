// Values under the pointer, zooming and choosing of lines. The page can be read without this.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const make = (parent, name, attributes = {}) => {
    const element = parent.namespaceURI === SVG && name !== "div" ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    parent.append(element);
    return element;
  };
  const finite = (v) => v !== null && Number.isFinite(v);
  const clamp = (v, low, high) => Math.min(Math.max(v, low), high);
  const round = (v) => Math.round(clamp(v, -1e4, 1e4) * 10) / 10;

  // Numbers as the drawings have them.
  const raised = (e) => "10" + [...String(e)].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c])).join("");
  const short = (v) => {
    if (!finite(v)) return "not finite";
    if (v === 0) return "0";
    const [mantissa, power] = Math.abs(v).toExponential(3).split("e");
    const e = Number(power);
    const sign = v < 0 ? "−" : "";
    if (e >= -3 && e < 5) return sign + String(Number(Math.abs(v).toFixed(Math.max(0, 3 - e))));
    return sign + (Number(mantissa) === 1 ? "" : Number(mantissa) + "×") + raised(e);
  };

  // An axis is even in the value itself or in its logarithm.
  const even = (axis, v) => (!finite(v) ? NaN : axis.log ? (v > 0 ? Math.log10(v) : NaN) : v);
  const uneven = (axis, e) => (axis.log ? 10 ** e : e);

  // Multiples of 1, 2 or 5 times a power of ten.
  const linearTicks = (low, high, wanted) => {
    const rough = (high - low) / wanted;
    if (!(rough > 0)) return [];
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999) ?? 10 * power;
    const first = Math.ceil(low / step - 1e-9);
    const ticks = [];
    for (let k = 0; k <= wanted + 1; k++) {
      const v = (first + k) * step;
      if (v > high + step * 1e-6) break;
      const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
      const plain = Math.max(Math.abs(low), Math.abs(high)) < 1e5 && digits <= 6;
      ticks.push([v, Math.abs(v) < step * 1e-6 ? "0" : plain ? v.toFixed(digits).replace("-", "−") : short(v)]);
    }
    return ticks;
  };
  // Powers of ten, with what is between where there are few.
  const logTicks = (low, high, wanted) => {
    const decades = high - low;
    if (decades < 0.7) return linearTicks(10 ** low, 10 ** high, wanted);
    const stride = Math.max(1, Math.ceil(decades / wanted));
    const labelled = decades < 1.3 ? [1, 2, 3, 5] : decades < 2.3 ? [1, 2, 5] : [1];
    const ticks = [];
    for (let e = Math.floor(low); e <= Math.ceil(high); e++) {
      for (let digit = 1; digit < 10; digit++) {
        const v = digit * 10 ** e;
        const at = Math.log10(v);
        if (at < low - 1e-9 || at > high + 1e-9) continue;
        const text = e % stride === 0 && labelled.includes(digit);
        if (text || (stride === 1 && decades < 6)) ticks.push([v, text ? (Math.abs(e) > 3 && digit === 1 ? raised(e) : short(v)) : ""]);
      }
    }
    return ticks;
  };

  class Panel {
    constructor(box, frame, data, figure) {
      Object.assign(this, { box, data, figure, frame, pointers: new Map(), at: null });
      this.svg = box.querySelector("svg");
      [this.left, this.top, this.width, this.height] = frame;
      const span = (axis) => [even(axis, axis.low), even(axis, axis.high)];
      this.home = { x: span(data.x), y: span(data.y) };
      this.view = this.home;
      // Drawn in another order, where some end with a cross.
      this.lines = [...this.svg.querySelectorAll(".series")].sort((a, b) => a.dataset.s - b.dataset.s);
      this.bands = [...this.svg.querySelectorAll(".band")];
      const rises = (xs) => xs.every((x, k) => k === 0 || x >= xs[k - 1]);
      this.along = data.series.every((s) => rises(s.x));
      this.overlay = make(this.svg, "g", { class: "overlay" });
      const [x, y, width, height] = frame;
      this.hit = make(this.svg, "rect", { class: "hit", x, y, width, height });
      this.tip = make(box, "div", { class: "tip", role: "status" });
      this.svg.setAttribute("tabindex", "0");
      this.svg.setAttribute("aria-keyshortcuts", "ArrowLeft ArrowRight + - 0");
      this.tools();
      this.listen();
    }

    visible(k) { return !this.figure.hidden.has(this.data.series[k].entry); }
    px(v) { return this.left + ((even(this.data.x, v) - this.view.x[0]) / (this.view.x[1] - this.view.x[0])) * this.width; }
    py(v) { return this.top + (1 - (even(this.data.y, v) - this.view.y[0]) / (this.view.y[1] - this.view.y[0])) * this.height; }
    // Where the pointer is, in units of the drawing.
    point(event) {
      const box = this.svg.getBoundingClientRect();
      const scale = this.svg.viewBox.baseVal.width / box.width;
      return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    }
    within([x, y]) {
      return [clamp(x, this.left, this.left + this.width), clamp(y, this.top, this.top + this.height)];
    }

    tools() {
      const tools = make(this.box, "div", { class: "tools", role: "group", "aria-label": "Zoom" });
      const button = (text, label, act) => {
        const element = make(tools, "button", { type: "button", "aria-label": label, title: label });
        element.textContent = text;
        element.addEventListener("click", act);
        return element;
      };
      const values = this.data.series.flatMap((s) => s.y).filter(finite);
      if (values.length && values.every((v) => v > 0)) {
        const scale = button("log", "Logarithmic vertical axis", () => {
          this.data.y.log = !this.data.y.log;
          scale.setAttribute("aria-pressed", String(this.data.y.log));
          this.rescale(values);
        });
        scale.setAttribute("aria-pressed", String(this.data.y.log));
      }
      button("+", "Zoom in", () => this.zoom(0.5));
      button("−", "Zoom out", () => this.zoom(2));
      button("⟲", "Show all", () => this.reset());
    }
    // The vertical axis on its other scale.
    rescale(values) {
      const { log, low, high } = this.data.y;
      const least = Math.min(...values);
      this.home = { x: this.home.x, y: log ? [Math.log10(low > 0 ? low : least * 0.9), Math.log10(high)] : [low > 0 && low < high * 0.25 ? 0 : low, high] };
      this.reset();
    }

    // Around a point of the drawing; by default the middle.
    zoom(factor, at = [this.left + this.width / 2, this.top + this.height / 2]) {
      const part = [(at[0] - this.left) / this.width, 1 - (at[1] - this.top) / this.height];
      const scaled = ([low, high], p) => {
        const fixed = low + (high - low) * p;
        return [fixed - (fixed - low) * factor, fixed + (high - fixed) * factor];
      };
      this.show(scaled(this.view.x, part[0]), scaled(this.view.y, part[1]));
    }
    // The part between two corners; a thin choice is of one axis only.
    choose([x0, y0], [x1, y1]) {
      const part = (a, b, from, size, [low, high]) => {
        const ends = [Math.min(a, b), Math.max(a, b)].map((v) => low + ((v - from) / size) * (high - low));
        return Math.abs(a - b) < 10 ? [low, high] : ends;
      };
      const y = part(this.top * 2 + this.height - y0, this.top * 2 + this.height - y1, this.top, this.height, this.view.y);
      this.show(part(x0, x1, this.left, this.width, this.view.x), y);
    }
    // No further than numbers go, nor than all there is.
    show(x, y) {
      const fit = ([low, high], home) => {
        const size = home[1] - home[0];
        if (high - low >= size) return home;
        if (high - low < size * 1e-4) return null;
        const shift = Math.max(home[0] - low, 0) + Math.min(home[1] - high, 0);
        return [low + shift, high + shift];
      };
      const fitted = { x: fit(x, this.home.x), y: fit(y, this.home.y) };
      if (!fitted.x || !fitted.y) return;
      this.view = fitted;
      const whole = fitted.x === this.home.x && fitted.y === this.home.y;
      this.box.classList.toggle("zoomed", !whole);
      this.redraw();
    }
    reset() { this.show(this.home.x, this.home.y); }

    redraw() {
      this.axes();
      this.data.series.forEach((series, k) => {
        const at = series.x.map((x, i) => [this.px(x), this.py(series.y[i])]);
        const shown = ([x, y]) => Number.isFinite(x) && Number.isFinite(y);
        let path = "";
        if (!series.apart) at.forEach((p, i) => { if (shown(p)) path += (i > 0 && shown(at[i - 1]) ? " " : "M") + round(p[0]) + " " + round(p[1]); });
        this.lines[k].querySelector(".line").setAttribute("d", path);
        for (const mark of this.lines[k].querySelectorAll("[data-k]")) {
          const p = at[mark.dataset.k];
          const visible = p !== undefined && shown(p);
          mark.classList.toggle("off", !visible);
          // A cross is in the frame where its line leaves it.
          const y = mark.classList.contains("mark") ? p?.[1] : clamp(p?.[1], this.top + 7, this.top + this.height - 7);
          if (visible) mark.setAttribute("transform", `translate(${round(p[0])} ${round(y)})`);
        }
        this.bands[k].setAttribute("d", series.low ? this.band(series) : "");
      });
      this.hide();
    }
    band(series) {
      const floor = uneven(this.data.y, this.view.y[0]);
      const low = (v) => this.py(this.data.y.log && v !== null && v <= 0 ? floor : v);
      let path = "";
      let run = [];
      const close = () => {
        const text = (p) => round(p[0]) + " " + round(p[1]);
        if (run.length > 1) path += "M" + run.map(([x, , high]) => text([x, high])).concat(run.reverse().map(([x, l]) => text([x, l]))).join(" ") + "Z";
        run = [];
      };
      series.x.forEach((x, i) => {
        const p = [this.px(x), low(series.low[i]), this.py(series.high[i])];
        if (p.every(Number.isFinite)) run.push(p);
        else close();
      });
      close();
      return path;
    }
    axes() {
      const group = this.svg.querySelector(".axes");
      group.replaceChildren();
      const grid = make(group, "path", { class: "grid" });
      const marks = make(group, "path", { class: "ticks" });
      const [right, bottom] = [this.left + this.width, this.top + this.height];
      const text = (x, y, anchor, words) => { make(group, "text", { class: "tick", x, y, "text-anchor": anchor }).textContent = words; };
      const ticks = (axis, [low, high], wanted) => (axis.log ? logTicks(low, high, wanted) : linearTicks(low, high, wanted));
      const given = this.data.ticks.filter((v) => even(this.data.x, v) >= this.view.x[0] - 1e-9 && even(this.data.x, v) <= this.view.x[1] + 1e-9);
      const whole = this.view.x === this.home.x;
      let lines = "";
      let small = "";
      const across = whole ? given.map((v) => [v, short(v)]) : ticks(this.data.x, this.view.x, 4);
      let end = -Infinity;
      for (const [v, words] of across) {
        const x = round(this.px(v));
        const half = words.length * 3;
        small += `M${x} ${bottom}v${words ? 5 : 3}`;
        if (!words || x - half < end + 4) continue;
        end = x + half;
        lines += `M${x} ${this.top}V${bottom}`;
        text(x, bottom + 16, "middle", words);
      }
      for (const [v, words] of ticks(this.data.y, this.view.y, Math.max(2, Math.floor(this.height / 40)))) {
        const y = round(this.py(v));
        small += `M${this.left} ${y}h${words ? -5 : -3}`;
        if (!words) continue;
        lines += `M${this.left} ${y}H${right}`;
        text(this.left - 8, y + 4, "end", words);
      }
      grid.setAttribute("d", lines);
      marks.setAttribute("d", small);
    }

    // The points nearest to a place: of each line, where lines run along the axis, else one of all.
    nearest([x, y]) {
      const found = [];
      this.data.series.forEach((series, k) => {
        if (!this.visible(k)) return;
        let best = null;
        series.x.forEach((v, i) => {
          const [px, py] = [this.px(v), this.py(series.y[i])];
          if (!Number.isFinite(px) || !Number.isFinite(py)) return;
          const away = this.along ? Math.abs(px - x) : Math.hypot(px - x, py - y);
          if (!best || away < best.away) best = { series, k, i, px, py, away };
        });
        if (best) found.push(best);
      });
      found.sort((a, b) => a.away - b.away);
      if (!this.along) return found.slice(0, 1);
      // Lines that end elsewhere have no value here.
      const here = found.filter((p) => p.away - found[0].away < 12);
      return here.sort((a, b) => a.py - b.py);
    }
    hover(place) {
      const points = this.nearest(place);
      this.overlay.replaceChildren();
      this.tip.replaceChildren();
      if (!points.length) return;
      const first = points.reduce((a, b) => (a.away <= b.away ? a : b));
      this.at = first;
      if (this.along) make(this.overlay, "path", { class: "rule", d: `M${round(first.px)} ${this.top}V${this.top + this.height}` });
      const row = (name, value, extra, colour) => {
        const line = make(this.tip, "div");
        const label = make(line, colour ? "i" : "b", colour ? { class: colour } : {});
        const words = make(label, "span", { style: "color:var(--ink)" });
        words.textContent = name;
        const shown = make(line, "span");
        shown.textContent = value;
        if (extra) make(shown, "span").textContent = " " + extra;
      };
      row(this.data.x.label, short(first.series.x[first.i]));
      for (const { series, i, px, py } of points) {
        const band = series.low && finite(series.low[i]) ? `(${short(series.low[i])}–${short(series.high[i])})` : "";
        row(series.name, short(series.y[i]), band, series.class.split(" ")[0]);
        if (py >= this.top - 1 && py <= this.top + this.height + 1) {
          make(this.overlay, "circle", { class: "dot " + series.class.split(" ")[0], cx: round(px), cy: round(py), r: 4.5 });
        }
      }
      this.place(first.px);
    }
    // The tip beside the point, within the panel's width; above the frame, or under it where the screen ends.
    place(x) {
      const drawing = this.svg.getBoundingClientRect();
      const scale = drawing.width / this.svg.viewBox.baseVal.width;
      const [width, height] = [this.tip.offsetWidth, this.tip.offsetHeight];
      const right = x * scale + 14;
      const left = right + width <= drawing.width ? right : x * scale - 14 - width;
      const above = this.top * scale - height - 4;
      const under = (this.top + this.height) * scale + 4;
      this.tip.style.left = clamp(left, 0, Math.max(0, drawing.width - width)) + "px";
      this.tip.style.top = (drawing.top + above >= 0 ? above : under) + "px";
    }
    hide() {
      this.overlay.replaceChildren();
      this.tip.replaceChildren();
      this.at = null;
    }
    // To the next point of the line that the keyboard is on.
    step(by) {
      const all = this.data.series.map((s, k) => [s, k]).filter(([s, k]) => this.visible(k) && s.x.length);
      if (!all.length) return;
      const [series] = this.at ? [this.at.series] : all[0];
      const i = this.at ? clamp(this.at.i + by, 0, series.x.length - 1) : 0;
      this.hover([this.px(series.x[i]), this.py(series.y[i])]);
      if (this.at) this.at = { ...this.at, series, i };
    }

    listen() {
      const hit = this.hit;
      let start = null;
      let choice = null;
      const drop = () => { choice?.remove(); choice = null; start = null; };
      hit.addEventListener("pointerdown", (event) => {
        const p = this.point(event);
        this.pointers.set(event.pointerId, p);
        if (event.pointerType === "mouse" && event.button === 0) {
          start = p;
          hit.setPointerCapture(event.pointerId);
        } else if (event.pointerType !== "mouse" && this.pointers.size === 1) this.hover(p);
      });
      hit.addEventListener("pointermove", (event) => {
        const p = this.within(this.point(event));
        if (this.pointers.size === 2 && this.pointers.has(event.pointerId)) return this.pinch(event.pointerId, p);
        if (this.pointers.has(event.pointerId)) this.pointers.set(event.pointerId, p);
        if (!start) return this.hover(p);
        this.hide();
        choice ??= make(this.svg, "rect", { class: "choice" });
        const thin = [Math.abs(p[0] - start[0]) < 10, Math.abs(p[1] - start[1]) < 10];
        const [x, width] = thin[0] ? [this.left, this.width] : [Math.min(p[0], start[0]), Math.abs(p[0] - start[0])];
        const [y, height] = thin[1] ? [this.top, this.height] : [Math.min(p[1], start[1]), Math.abs(p[1] - start[1])];
        for (const [key, value] of Object.entries({ x, y, width, height })) choice.setAttribute(key, value);
      });
      hit.addEventListener("pointerup", (event) => {
        this.pointers.delete(event.pointerId);
        const p = this.within(this.point(event));
        if (start && (Math.abs(p[0] - start[0]) >= 10 || Math.abs(p[1] - start[1]) >= 10)) this.choose(start, p);
        drop();
      });
      hit.addEventListener("pointercancel", (event) => { this.pointers.delete(event.pointerId); drop(); this.hide(); });
      hit.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse" && !start) this.hide(); });
      hit.addEventListener("dblclick", () => this.reset());
      hit.addEventListener("wheel", (event) => {
        // Plain wheels scroll the page; pinching a touchpad comes as a wheel with the control key.
        if (!event.ctrlKey) return;
        event.preventDefault();
        this.zoom(2 ** (clamp(event.deltaY, -50, 50) / 100), this.within(this.point(event)));
      }, { passive: false });
      this.svg.addEventListener("keydown", (event) => {
        const acts = {
          ArrowRight: () => this.step(1), ArrowLeft: () => this.step(-1), Escape: () => this.hide(),
          "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), 0: () => this.reset(),
        };
        if (!acts[event.key] || event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        acts[event.key]();
      });
      this.svg.addEventListener("blur", () => this.hide());
    }
    // Two fingers: by how much they part, around their middle.
    pinch(id, p) {
      const [a, b] = [...this.pointers.values()];
      this.pointers.set(id, p);
      const [c, d] = [...this.pointers.values()];
      const apart = (m, n) => Math.max(Math.hypot(m[0] - n[0], m[1] - n[1]), 1);
      this.zoom(apart(a, b) / apart(c, d), this.within([(c[0] + d[0]) / 2, (c[1] + d[1]) / 2]));
    }
  }

  for (const element of document.querySelectorAll("figure")) {
    const data = JSON.parse(element.querySelector("script").textContent);
    const figure = { hidden: new Set() };
    const boxes = [...element.querySelectorAll(".panel")];
    const panels = boxes.map((box, k) => new Panel(box, data.frame, data.panels[k], figure));
    for (const button of element.querySelectorAll(".legend button")) {
      button.disabled = false;
      button.addEventListener("click", () => {
        const entry = Number(button.dataset.l);
        if (!figure.hidden.delete(entry)) figure.hidden.add(entry);
        button.setAttribute("aria-pressed", String(!figure.hidden.has(entry)));
        for (const panel of panels) {
          panel.lines.concat(panel.bands).forEach((drawn) => drawn.classList.toggle("off", !panel.visible(drawn.dataset.s)));
          panel.hide();
        }
      });
    }
  }

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = document.getElementById("theme");
  const current = () => document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
  const other = () => (current() === "dark" ? "light" : "dark");
  const name = () => { theme.textContent = other(); theme.setAttribute("aria-label", `Show in ${other()} colours`); };
  theme.addEventListener("click", () => { document.documentElement.dataset.theme = other(); name(); });
  dark.addEventListener("change", name);
  theme.hidden = false;
  name();

  // A link to a claim opens its details, wherever they are folded.
  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
    if (target?.tagName === "DETAILS") target.scrollIntoView();
  };
  addEventListener("hashchange", unfold);
  unfold();

  // On paper nothing can be opened, so settings are open; values stay what the figures show.
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details:not(.values)")) part.open = true;
  });
})();
