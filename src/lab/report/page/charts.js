'use strict';
// The report's charts: each <figure class="chart"> names the charts it can show; their data are in the
// page's JSON. What a chart looks like follows from its kind: line, step, points, bar, stack, interval.
const report = (() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const figures = [];
  const rowsInTables = 1000;

  const make = (name, attributes, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key in element && key !== 'role') element[key] = value; else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  };

  // ---- Numbers

  const significant = value => {
    if (value === 0) return '0';
    const size = Math.abs(value);
    if (size >= 1e7 || size < 1e-4) return value.toExponential(2).replace(/\.?0*e\+?/, 'e');
    return String(Number(value.toPrecision(4)));
  };
  const count = value => {
    const size = Math.abs(value);
    for (const [unit, name] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
      if (size >= unit) return `${Number((value / unit).toPrecision(3))}${name}`;
    }
    return significant(value);
  };
  const seconds = value => {
    if (value < 60) return `${Number(value.toPrecision(3))} s`;
    const two = number => String(Math.floor(number)).padStart(2, '0');
    const hours = Math.floor(value / 3600);
    return hours ? `${hours}:${two(value / 60 % 60)}:${two(value % 60)}` : `${Math.floor(value / 60)}:${two(value % 60)}`;
  };
  const formats = {number: significant, count, seconds, percent: value => `${Number((100 * value).toPrecision(3))}%`};
  const shown = (axis, value) => (formats[axis.format] || significant)(value);

  // ---- Colours

  const probe = make('span', {hidden: true});
  document.body.append(probe);
  const known = new Map();
  const color = name => {
    if (!known.has(name)) {
      probe.style.color = `var(--${name})`;
      known.set(name, getComputedStyle(probe).color);
    }
    return known.get(name);
  };
  /// After a change of theme.
  const forgetColors = () => known.clear();
  const faint = (text, alpha) => text.replace(/^rgba?\(([^,]+),([^,]+),([^,)]+).*$/, `rgba($1,$2,$3,${alpha})`);
  const names = 8;
  const dashes = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
  const dashOf = (chart, series) => chart.ordered ? [] : dashes[Math.floor(series.color / names) % dashes.length];

  /// The place of series i of n between four colours.
  const ordered = (i, n) => {
    const place = n > 1 ? 3 * i / (n - 1) : 0;
    const low = Math.min(2, Math.floor(place));
    const parse = text => text.match(/[\d.]+/g).map(Number);
    const [a, b] = [parse(color(`o${low}`)), parse(color(`o${low + 1}`))];
    return `rgb(${a.slice(0, 3).map((x, k) => Math.round(x + (b[k] - x) * (place - low))).join(',')})`;
  };
  const colorsOf = chart => chart.series.map((series, i) =>
    chart.ordered ? ordered(i, chart.series.length) : color(`c${series.color % names}`));

  // ---- Points under the pointer

  const nearest = (elements, axis, place) => {
    let low = 0;
    let high = elements.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (elements[middle][axis] < place) low = middle + 1; else high = middle;
    }
    return low > 0 && place - elements[low - 1][axis] < elements[low][axis] - place ? low - 1 : low;
  };

  /// Of every series the point nearest in x; when they are too many to tell, the one nearest in y.
  Chart.Interaction.modes.column = (chart, event) => {
    let found = [];
    for (const meta of chart.getSortedVisibleDatasetMetas()) {
      if (!meta.data.length) continue;
      const index = nearest(meta.data, 'x', event.x);
      const element = meta.data[index];
      if (Number.isNaN(element.y)) continue;
      found.push({element, datasetIndex: meta.index, index, off: Math.abs(element.x - event.x)});
    }
    const least = Math.min(...found.map(item => item.off));
    found = found.filter(item => item.off <= least + 6);
    if (found.length <= 8) return found;
    const height = item => Math.abs(item.element.y - event.y);
    return [found.reduce((best, item) => height(item) < height(best) ? item : best)];
  };

  // ---- Intervals: bands, and bars at points

  const rangeOf = set => set.source.low && set.source.low.length ? set.source : null;

  function drawBand(chart, set) {
    const {x, y} = chart.scales;
    const {low, high} = set.source;
    const at = set.data.map(point => x.getPixelForValue(point.x));
    const c = chart.ctx;
    c.fillStyle = faint(set.borderColor, 0.16);
    c.beginPath();
    let open = [];
    const close = () => {
      open.forEach((i, k) => k ? c.lineTo(at[i], y.getPixelForValue(high[i])) : c.moveTo(at[i], y.getPixelForValue(high[i])));
      open.reverse().forEach(i => c.lineTo(at[i], y.getPixelForValue(low[i])));
      open = [];
    };
    low.forEach((value, i) => { if (value === null || high[i] === null) close(); else open.push(i); });
    close();
    c.fill();
  }

  function drawBars(chart, index, set, kind) {
    const scale = kind === 'interval' ? chart.scales.x : chart.scales.y;
    const c = chart.ctx;
    c.strokeStyle = set.borderColor;
    c.lineWidth = kind === 'interval' ? 3 : 1.5;
    chart.getDatasetMeta(index).data.forEach((element, i) => {
      const {low, high} = set.source;
      if (low[i] === null || high[i] === null || low[i] === undefined) return;
      const [a, b] = [scale.getPixelForValue(low[i]), scale.getPixelForValue(high[i])];
      c.beginPath();
      if (kind === 'interval') {
        c.moveTo(a, element.y); c.lineTo(b, element.y);
        c.moveTo(a, element.y - 5); c.lineTo(a, element.y + 5);
        c.moveTo(b, element.y - 5); c.lineTo(b, element.y + 5);
      } else {
        c.moveTo(element.x, a); c.lineTo(element.x, b);
        c.moveTo(element.x - 4, a); c.lineTo(element.x + 4, a);
        c.moveTo(element.x - 4, b); c.lineTo(element.x + 4, b);
      }
      c.stroke();
    });
  }

  const spread = {
    id: 'spread',
    beforeDatasetsDraw(chart) {
      const {kind, reference} = chart.options.plugins.spread;
      const c = chart.ctx;
      const area = chart.chartArea;
      c.save();
      c.beginPath();
      c.rect(area.left, area.top, area.width, area.height);
      c.clip();
      // No place for it: on a logarithmic axis, 0.
      const drawn = reference !== null && (chart.scales.x.type !== 'logarithmic' || reference > 0);
      if (kind === 'interval' && drawn) {
        const place = chart.scales.x.getPixelForValue(reference);
        c.strokeStyle = color('soft');
        c.lineWidth = 1.5;
        c.beginPath(); c.moveTo(place, area.top); c.lineTo(place, area.bottom); c.stroke();
      }
      chart.data.datasets.forEach((set, i) => {
        if (!chart.isDatasetVisible(i) || !rangeOf(set)) return;
        if (kind === 'line' || kind === 'step') drawBand(chart, set); else drawBars(chart, i, set, kind);
      });
      c.restore();
    }
  };

  /// Fits the axis of values to what is in sight, intervals included.
  const fit = chart => scale => {
    const across = chart.kind === 'interval' ? null : scale.chart.scales.x;
    const log = scale.type === 'logarithmic';
    let [min, max] = [Infinity, -Infinity];
    let least = Infinity;
    const hold = value => {
      if (typeof value !== 'number' || Number.isNaN(value) || (log && value <= 0)) return;
      min = Math.min(min, value);
      max = Math.max(max, value);
    };
    scale.chart.data.datasets.forEach((set, k) => {
      if (!scale.chart.isDatasetVisible(k)) return;
      const range = rangeOf(set);
      set.data.forEach((point, i) => {
        if (across && (point.x < across.min || point.x > across.max)) return;
        const value = across ? point.y : point.x;
        hold(value);
        if (value < least) least = value;
        if (range) [range.low[i], range.high[i]].forEach(hold);
      });
    });
    hold(chart.reference);
    if (min >= max) return;
    const room = 0.05 * (max - min);
    const times = Math.max(1.15, (max / min) ** 0.03);
    [scale.min, scale.max] = log ? [min / times, max * times] : [min - room, max + room];
    // An interval may reach below what a loss or a share can be.
    if (least >= 0) scale.min = Math.max(scale.min, 0);
  };

  // ---- Ticks

  const steps = {
    number: [1, 2, 5, 10],
    seconds: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400]
  };

  /// Round numbers between min and max, about as many as `room` has place for.
  function linearTicks(min, max, room, format) {
    const least = (max - min) / room;
    let step;
    if (format === 'seconds' && least >= 0.5) step = steps.seconds.find(one => one >= least);
    if (!step) {
      const unit = 10 ** Math.floor(Math.log10(least));
      step = unit * steps.number.find(one => one * unit >= least * 0.999);
    }
    const ticks = [];
    for (let i = Math.ceil(min / step - 1e-9); i * step <= max + step * 1e-9; ++i) ticks.push(Number((i * step).toPrecision(12)));
    return ticks;
  }

  /// 1, 2 and 5 of each power of ten, or only 1 when there are many, or all digits when there are few.
  function logTicks(min, max, room) {
    const [first, last] = [Math.floor(Math.log10(min)), Math.ceil(Math.log10(max))];
    const make = digits => {
      const ticks = [];
      for (let power = first; power <= last; ++power) {
        for (const digit of digits) {
          const tick = Number((digit * 10 ** power).toPrecision(2));
          if (tick >= min * 0.999 && tick <= max * 1.001) ticks.push(tick);
        }
      }
      return ticks;
    };
    const some = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 5], [1]].map(make).find(ticks => ticks.length <= room);
    if (some) return some;
    const tens = make([1]);
    return tens.filter((tick, i) => i % Math.ceil(tens.length / room) === 0);
  }

  // ---- From a chart's data to Chart.js

  const categories = chart => [...new Set([].concat(...chart.series.map(series => series.x)))];

  function datasets(figure, labels) {
    const {chart, log} = figure;
    const colors = colorsOf(chart);
    const places = new Map(labels.map((label, i) => [label, i]));
    return chart.series.map((series, i) => {
      const x = chart.x.scale === 'category' ? series.x.map(label => places.get(label)) : series.x;
      const value = y => y === null || (log.y && y <= 0) ? NaN : y;
      // What a logarithmic axis has no place for is left out.
      const least = log.x ? Math.min(...x.filter(place => place > 0)) : 0;
      const point = (place, k) => log.x && place <= 0 ? {x: least, y: NaN} : {x: place, y: value(series.y[k])};
      const many = chart.series.length > 20;
      const set = {
        label: series.name, source: series, borderColor: colors[i], backgroundColor: colors[i],
        borderWidth: many ? 1 : 2, borderDash: dashOf(chart, series), borderJoinStyle: 'round',
        data: x.map((place, k) => chart.kind === 'interval' ? {x: value(series.y[k]), y: place} : point(place, k))
      };
      if (chart.kind === 'bar' || chart.kind === 'stack') {
        return Object.assign(set, {borderWidth: 0, borderRadius: 3, maxBarThickness: 46});
      }
      const dots = chart.kind !== 'line' && chart.kind !== 'step';
      const ring = k => k === series.marked;
      return Object.assign(set, {
        pointRadius: dots ? context => ring(context.dataIndex) ? 7 : x.length > 24 ? 2 : 4 : x.length === 1 ? 3 : 0,
        pointBackgroundColor: dots ? context => ring(context.dataIndex) ? color('card') : colors[i] : colors[i],
        pointBorderColor: colors[i], pointBorderWidth: dots ? 2 : 0, pointHoverRadius: 5, hitRadius: 8,
        showLine: chart.kind !== 'interval', stepped: chart.kind === 'step' ? 'middle' : false
      });
    });
  }

  const wrapped = (text, width) => {
    const lines = [''];
    for (const word of text.split(' ')) {
      const last = lines[lines.length - 1];
      if (last && last.length + word.length >= width) lines.push(word);
      else lines[lines.length - 1] = last ? `${last} ${word}` : word;
    }
    if (lines.length > 4) lines.splice(3, lines.length, `${lines[3]} …`);
    return lines.map(line => line.length > width + 8 ? `${line.slice(0, width + 7)}…` : line);
  };

  function scaleOptions(figure, chart, axis, labels, role) {
    const log = axis.scale !== 'category' && figure.log[role];
    const options = {
      type: axis.scale === 'category' ? 'category' : log ? 'logarithmic' : 'linear',
      title: {display: axis.scale !== 'category' || chart.kind !== 'interval', text: axis.label, color: color('soft')},
      grid: {color: color('grid'), borderColor: color('line'), tickColor: color('line')},
      ticks: {color: color('soft'), maxRotation: 50}
    };
    if (axis.scale === 'category') {
      options.labels = labels;
      options.offset = true;
      options.grid.display = false;
      if (chart.kind === 'interval') {
        options.ticks.autoSkip = false;
        options.ticks.callback = function (value) {
          return wrapped(this.getLabelForValue(value), this.chart.width < 560 ? 18 : 40);
        };
      }
      return options;
    }
    const along = role === (chart.kind === 'interval' ? 'y' : 'x');
    const tried = [...new Set([].concat(...chart.series.map(series => series.x)))].sort((a, b) => a - b);
    options.ticks.callback = value => shown(axis, value);
    options.afterBuildTicks = scale => {
      const length = along ? scale.chart.width / 75 : scale.chart.height / 38;
      const {min, max} = scale;
      let ticks = log ? logTicks(min, max, Math.max(3, length)) : linearTicks(min, max, Math.max(2, length), axis.format);
      if (log && role === 'x' && chart.kind === 'points' && tried.length <= 14) ticks = tried.filter(value => value > 0);
      scale.ticks = ticks.map(value => ({value}));
    };
    options.bounds = 'data';
    if (role === 'x' && log && chart.kind === 'points') {
      options.afterDataLimits = scale => {
        const room = (scale.max / scale.min) ** 0.03;
        [scale.min, scale.max] = [scale.min / room, scale.max * room];
      };
    }
    if (role === 'x' && !log) options.beginAtZero = true;
    if (role === 'x' && chart.kind === 'step') options.max = 1;
    if (role === 'y' && ['bar', 'stack'].includes(chart.kind)) {
      options.bounds = 'ticks';
      if (chart.kind === 'stack' && axis.format === 'percent') options.max = 1;
      delete options.afterBuildTicks;
    } else if (role === 'y') {
      options.afterDataLimits = fit(chart);
    }
    return options;
  }

  function tooltip(chart, labels) {
    const along = chart.kind === 'interval' ? 'y' : 'x';
    return {
      backgroundColor: color('tip'), titleColor: color('tipink'), bodyColor: color('tipink'), padding: 10,
      boxPadding: 5, usePointStyle: true, caretPadding: 8,
      callbacks: {
        title: items => {
          if (!items.length) return '';
          const place = items[0].parsed[along];
          return chart.x.scale === 'category' ? labels[place] : `${chart.x.label}: ${shown(chart.x, place)}`;
        },
        label: item => {
          const series = item.dataset.source;
          const value = item.parsed[along === 'x' ? 'y' : 'x'];
          const i = item.dataIndex;
          const known = series.low && series.low.length && series.low[i] !== null;
          return `${series.name ? `${series.name}: ` : ''}${shown(chart.y, value)}` +
            (known ? ` (${shown(chart.y, series.low[i])} to ${shown(chart.y, series.high[i])})` : '');
        }
      }
    };
  }

  function configuration(figure) {
    const chart = figure.chart;
    const labels = chart.x.scale === 'category' ? categories(chart) : [];
    const lying = chart.kind === 'interval';
    const x = scaleOptions(figure, chart, chart.x, labels, 'x');
    const y = scaleOptions(figure, chart, chart.y, labels, 'y');
    if (chart.kind === 'stack') x.stacked = y.stacked = true;
    if (figure.zoom) Object.assign(x, {min: figure.zoom[0], max: figure.zoom[1]});
    const interaction = lying ? {mode: 'nearest', axis: 'y', intersect: false}
      : chart.x.scale === 'category' ? {mode: 'index', intersect: false} : {mode: 'column', intersect: false};
    return {
      type: chart.kind === 'bar' || chart.kind === 'stack' ? 'bar' : 'line',
      data: {labels, datasets: datasets(figure, labels)},
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, parsing: false, normalized: true,
        indexAxis: lying ? 'y' : 'x', interaction, scales: lying ? {x: y, y: x} : {x, y},
        plugins: {legend: {display: false}, tooltip: tooltip(chart, labels), spread: {kind: chart.kind, reference: chart.reference}}
      },
      plugins: [spread]
    };
  }

  // ---- CSV

  const cell = value => {
    if (value === null || value === undefined) return '';
    const text = String(value);
    return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };

  /// The rows of a chart, its header first, as in report/ID.csv.
  function chartRows(chart) {
    const ranges = chart.series.some(series => series.low);
    const rows = [[...chart.keys, chart.x.column, chart.y.column, ...(ranges ? ['low', 'high'] : [])]];
    for (const series of chart.series) {
      series.x.forEach((x, i) => {
        const row = [...series.keys, x, series.y[i]];
        if (ranges) row.push(series.low ? series.low[i] : null, series.low ? series.high[i] : null);
        rows.push(row);
      });
    }
    return rows;
  }
  const tableRows = table => [table.columns, ...table.rows];
  const rowsOf = id => data.charts[id] ? chartRows(data.charts[id]) : tableRows(data.tables[id]);
  const csv = id => rowsOf(id).map(row => `${row.map(cell).join(',')}\n`).join('');

  /// Hands the CSV out from the page itself: the files may not be beside it.
  function download(event, id) {
    event.preventDefault();
    const address = URL.createObjectURL(new Blob([csv(id)], {type: 'text/csv'}));
    const link = make('a', {href: address, download: `${id}.csv`});
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }

  return {data, figures, make, forgetColors, dashOf, colorsOf, configuration, rowsOf, csv, download, rowsInTables};
})();
