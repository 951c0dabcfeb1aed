// What stands around a chart: views, axes, legend, zoom, keyboard, its data as a table.
(() => {
  const {data, figures, make} = report;
  const numeric = chart => chart.x.scale !== 'category';
  const positive = (chart, role) => chart.series.some(series => series[role].some(value => value > 0));

  class Figure {
    constructor(element) {
      this.element = element;
      this.plot = element.querySelector('.plot');
      this.ids = element.dataset.views.split(' ');
      this.hidden = new Set();
      this.title = element.querySelector('h3, h4').textContent;
      this.canvas = make('canvas', {tabIndex: 0});
      // An application gets the arrow keys, which screen readers keep to themselves elsewhere.
      this.canvas.setAttribute('role', 'application');
      this.canvas.setAttribute('aria-roledescription', 'chart');
      this.holder = make('div', {className: 'canvas'}, this.canvas);
      this.tools = make('div', {className: 'tools'});
      this.legend = make('div', {className: 'legend'});
      this.legend.setAttribute('role', 'group');
      this.legend.setAttribute('aria-label', `Series of ${this.title}: shown or not`);
      this.readout = make('p', {className: 'readout'});
      this.readout.setAttribute('aria-live', 'polite');
      this.table = make('div', {className: 'scroll', tabIndex: 0});
      this.link = make('a', {className: 'csv'});
      this.link.addEventListener('click', event => report.download(event, this.id));
      this.details = make('details', {}, make('summary', {}, `Data of “${this.title}” as a table`), this.table);
      this.details.addEventListener('toggle', () => this.fillTable());
      this.plot.append(this.tools, this.holder, this.readout, this.legend, this.details,
        make('p', {className: 'under'}, this.link));
      this.listen();
      this.show(this.ids[0]);
    }

    /// Changes to the view `id`.
    show(id) {
      this.id = id;
      this.chart = data.charts[id];
      this.log = {x: this.chart.x.scale === 'log', y: this.chart.y.scale === 'log' && positive(this.chart, 'y')};
      this.zoom = null;
      this.at = -1;
      this.canvas.setAttribute('aria-label', `${this.chart.summary} Arrow keys read it point by point; the data are in the table below.`);
      this.link.href = `report/${id}.csv`;
      this.link.download = `${id}.csv`;
      this.link.textContent = `Download ${id}.csv`;
      this.plot.className = `plot ${this.chart.kind}`;
      const rows = new Set([].concat(...this.chart.series.map(series => series.x)));
      const height = [...rows].some(row => String(row).length > 36) ? 64 : 40;
      this.holder.style.flexBasis = this.chart.kind === 'interval' ? `${height * rows.size + 75}px` : '';
      this.buildTools();
      this.buildLegend();
      this.fillTable();
      if (this.drawn) this.draw();
    }

    draw() {
      if (this.drawn) this.drawn.destroy();
      this.drawn = new Chart(this.canvas, report.configuration(this));
      this.applyHidden();
    }

    /// What another view's legend has hidden is in sight where there is no legend to bring it back.
    isHidden(series) {
      return this.chart.series.length > 1 && this.hidden.has(series.name);
    }

    applyHidden() {
      if (!this.drawn) return;
      this.chart.series.forEach((series, i) => this.drawn.setDatasetVisibility(i, !this.isHidden(series)));
      this.drawn.update('none');
    }

    // ---- Tools

    button(text, pressed, act) {
      const button = make('button', {type: 'button'}, text);
      if (pressed !== null) button.setAttribute('aria-pressed', pressed);
      button.addEventListener('click', () => act(button));
      return button;
    }

    /// The axes that can be logarithmic; of intervals where that is what they begin with.
    logRoles() {
      if (this.chart.kind === 'interval') return this.chart.y.scale === 'log' && positive(this.chart, 'y') ? ['y'] : [];
      if (!numeric(this.chart) || this.chart.kind === 'step') return [];
      return ['x', 'y'].filter(role => positive(this.chart, role));
    }

    buildTools() {
      const tools = [];
      if (this.ids.length > 1) {
        const views = make('div', {className: 'views'});
        views.setAttribute('role', 'group');
        views.setAttribute('aria-label', `What ${this.title} shows`);
        for (const id of this.ids) {
          views.append(this.button(data.charts[id].label, id === this.id, () => {
            this.show(id);
            this.tools.querySelector('[aria-pressed="true"]').focus();
          }));
        }
        tools.push(views);
      }
      for (const role of this.logRoles()) {
        // Values of intervals lie along the bottom.
        tools.push(this.button(`Log ${this.chart.kind === 'interval' ? 'x' : role}`, this.log[role], button => {
          this.log[role] = !this.log[role];
          button.setAttribute('aria-pressed', this.log[role]);
          if (this.drawn) this.draw();
        }));
      }
      if (numeric(this.chart) && this.chart.kind === 'line') {
        tools.push(this.button('Later half', null, () => {
          const {min, max} = this.drawn.scales.x;
          this.setZoom([this.log.x ? Math.sqrt(min * max) : (min + max) / 2, max]);
        }));
        this.reset = this.button('Whole range', null, () => this.setZoom(null));
        this.reset.hidden = true;
        tools.push(this.reset);
      } else {
        this.reset = null;
      }
      this.tools.replaceChildren(...tools);
      this.tools.hidden = !tools.length;
    }

    setZoom(range) {
      if (this.reset) {
        if (!range && document.activeElement === this.reset) this.canvas.focus();
        this.reset.hidden = !range;
      }
      this.zoom = range;
      this.draw();
    }

    // ---- Legend

    buildLegend() {
      const series = this.chart.series;
      this.legend.replaceChildren();
      this.legend.hidden = series.length < 2;
      if (series.length < 2) return;
      const colors = report.colorsOf(this.chart);
      const entries = series.map((one, i) => {
        const entry = this.button('', !this.isHidden(one), () => {});
        entry.append(this.swatch(one, colors[i]), one.name);
        entry.title = 'Click: on or off. Shift and click: only this one.';
        entry.addEventListener('click', event => this.toggle(one.name, event.shiftKey));
        return entry;
      });
      if (series.length > 4) {
        const all = this.button('All', null, () => this.setHidden([]));
        const none = this.button('None', null, () => this.setHidden(series.map(one => one.name)));
        all.className = none.className = 'all';
        this.legend.append(all, none);
      }
      this.legend.append(...entries);
      this.entries = entries;
    }

    swatch(series, color) {
      const bar = ['bar', 'stack'].includes(this.chart.kind);
      const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
      const line = document.createElementNS('http://www.w3.org/2000/svg', 'path');
      for (const [key, value] of [['width', 18], ['height', 10], ['aria-hidden', true]]) svg.setAttribute(key, value);
      line.setAttribute('d', bar ? 'M3 5H15' : 'M0 5H18');
      line.setAttribute('stroke', color);
      line.setAttribute('stroke-width', bar ? 10 : 3);
      line.setAttribute('stroke-dasharray', bar ? '' : report.dashOf(this.chart, series).join(' '));
      svg.append(line);
      return svg;
    }

    toggle(name, only) {
      if (only) {
        this.setHidden(this.chart.series.map(one => one.name).filter(other => other !== name));
        return;
      }
      if (!this.hidden.delete(name)) this.hidden.add(name);
      this.setHidden([...this.hidden]);
    }

    setHidden(names) {
      this.hidden = new Set(names);
      this.entries.forEach((entry, i) => entry.setAttribute('aria-pressed', !this.isHidden(this.chart.series[i])));
      this.applyHidden();
    }

    // ---- Table

    fillTable() {
      this.table.replaceChildren();
      if (!this.details.open) return;
      const [head, ...rows] = report.rowsOf(this.id);
      const body = make('tbody');
      for (const row of rows.slice(0, report.rowsInTables)) {
        body.append(make('tr', {}, ...row.map(value =>
          make('td', {className: typeof value === 'number' ? 'n' : ''}, value === null ? '–' : String(value)))));
      }
      const caption = make('caption', {}, `${this.title}, ${this.chart.label.toLowerCase()}` +
        (rows.length > report.rowsInTables ? `: the first ${report.rowsInTables} of ${rows.length} rows, the CSV has all` : ''));
      const heads = head.map(name => {
        const cell = make('th', {}, name);
        cell.setAttribute('scope', 'col');
        return cell;
      });
      this.table.append(make('table', {}, caption, make('thead', {}, make('tr', {}, ...heads)), body));
    }

    // ---- Pointer and keyboard

    listen() {
      let start = null;
      let box = null;
      const zooms = () => this.drawn && numeric(this.chart) && this.chart.kind === 'line';
      const inside = x => Math.min(Math.max(x, this.drawn.chartArea.left), this.drawn.chartArea.right);
      const stop = () => {
        if (box) box.remove();
        start = box = null;
      };
      this.canvas.addEventListener('pointerdown', event => {
        if (event.button === 0 && zooms()) start = inside(event.offsetX);
      });
      this.canvas.addEventListener('pointermove', event => {
        if (start === null) return;
        const end = inside(event.offsetX);
        if (!box && Math.abs(end - start) > 8) {
          box = make('div', {className: 'drag'});
          this.holder.append(box);
          this.canvas.setPointerCapture(event.pointerId);
        }
        if (!box) return;
        const area = this.drawn.chartArea;
        Object.assign(box.style, {left: `${Math.min(start, end)}px`, width: `${Math.abs(end - start)}px`,
          top: `${area.top}px`, height: `${area.height}px`});
      });
      this.canvas.addEventListener('pointerup', event => {
        if (box) {
          const x = this.drawn.scales.x;
          const ends = [start, inside(event.offsetX)].sort((a, b) => a - b);
          this.setZoom(ends.map(place => x.getValueForPixel(place)));
        }
        stop();
      });
      this.canvas.addEventListener('pointercancel', stop);
      this.canvas.addEventListener('dblclick', () => { if (this.zoom) this.setZoom(null); });
      this.canvas.addEventListener('keydown', event => this.key(event));
      this.canvas.addEventListener('blur', () => this.point([]));
    }

    /// Arrow keys go from point to point and say what is there.
    key(event) {
      const steps = {ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -Infinity, End: Infinity};
      if (!this.drawn || !(event.key in steps)) return;
      event.preventDefault();
      const along = this.chart.kind === 'interval' ? 'y' : 'x';
      const places = [];
      for (const meta of this.drawn.getSortedVisibleDatasetMetas()) {
        for (const element of meta.data) {
          if (!element.skip && !Number.isNaN(element.y) && !Number.isNaN(element.x)) places.push(element);
        }
      }
      const stops = [...new Set(places.map(element => Math.round(element[along])))].sort((a, b) => a - b);
      if (!stops.length) return;
      this.at = Math.min(Math.max(this.at + steps[event.key], 0), stops.length - 1);
      const target = places.find(element => Math.round(element[along]) === stops[this.at]);
      const mode = this.drawn.options.interaction;
      const found = Chart.Interaction.modes[mode.mode](this.drawn, {x: target.x, y: target.y, native: true, type: 'key'},
        {axis: mode.axis || 'x', intersect: false}, true);
      this.point(found, target);
      const tip = this.drawn.tooltip;
      if (tip.body) this.readout.textContent = [...tip.title, ...tip.body.map(part => part.lines.join(' '))].join('; ');
    }

    point(found, target) {
      if (!this.drawn) return;
      const active = found.map(item => ({datasetIndex: item.datasetIndex, index: item.index}));
      this.drawn.setActiveElements(active);
      this.drawn.tooltip.setActiveElements(active, target ? {x: target.x, y: target.y} : {x: 0, y: 0});
      this.drawn.draw();
      if (!found.length) this.readout.textContent = '';
    }
  }

  for (const element of document.querySelectorAll('figure.chart')) figures.push(new Figure(element));

  /// Charts are drawn when they come near.
  const watcher = new IntersectionObserver(entries => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      const figure = figures.find(one => one.element === entry.target);
      if (!figure.drawn) figure.draw();
    }
  }, {rootMargin: '300px'});
  figures.forEach(figure => watcher.observe(figure.element));

  report.drawAll = () => figures.forEach(figure => { if (!figure.drawn) figure.draw(); });
  /// After a change of theme.
  report.recolor = () => {
    report.forgetColors();
    figures.forEach(figure => {
      figure.buildLegend();
      if (figure.drawn) figure.draw();
    });
  };
  window.addEventListener('beforeprint', report.drawAll);
})();
