// Goes through the report as its readers would and says what it found: report_test.cpp looks at `found`.
// `problems` holds what went wrong so far.
const found = {figures: [], csv: {}};
const copy = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const dots = figure => {
  const {width, height} = figure.canvas;
  Object.assign(copy.canvas, {width, height});
  copy.drawImage(figure.canvas, 0, 0);
  return new Uint32Array(copy.getImageData(0, 0, width, height).data.buffer);
};
/// A number that changes when the picture does.
const picture = figure => dots(figure).reduce((hash, dot) => (Math.imul(hash, 31) + dot) | 0, 7);
const colors = figure => new Set(dots(figure)).size;
const press = (element, text) => [...element.querySelectorAll('button')].find(button => button.textContent === text);
const key = (element, name) => element.dispatchEvent(new KeyboardEvent('keydown', {key: name, bubbles: true}));

function lookAt(figure) {
  const seen = {title: figure.title, views: [], label: figure.canvas.getAttribute('aria-label'), role: figure.canvas.getAttribute('role'),
    description: figure.canvas.getAttribute('aria-roledescription')};
  for (const id of figure.ids) {
    if (figure.ids.length > 1) press(figure.tools, report.data.charts[id].label).click();
    const view = {id, shown: figure.id, colors: colors(figure)};
    figure.canvas.focus();
    key(figure.canvas, 'ArrowRight');
    view.readout = figure.readout.textContent;
    figure.canvas.blur();

    figure.details.open = true;
    figure.fillTable();
    view.rows = figure.table.querySelectorAll('tbody tr').length;
    view.points = report.rowsOf(id).length - 1;
    figure.details.open = false;

    const entries = [...figure.legend.querySelectorAll('button[aria-pressed]')];
    if (entries.length) {
      const before = picture(figure);
      const last = entries[entries.length - 1];
      last.focus();
      view.focused = document.activeElement === last;
      last.click();
      view.off = !figure.drawn.isDatasetVisible(entries.length - 1) && last.getAttribute('aria-pressed') === 'false';
      view.changed = picture(figure) !== before;
      last.click();
      view.on = figure.drawn.isDatasetVisible(entries.length - 1) && picture(figure) === before;
      entries[0].dispatchEvent(new MouseEvent('click', {shiftKey: true}));
      view.only = figure.drawn.getVisibleDatasetCount();
      figure.setHidden([]);
    }
    const later = press(figure.tools, 'Later half');
    if (later) {
      const {min, max} = figure.drawn.scales.x;
      later.click();
      view.zoomed = figure.drawn.scales.x.min > min && figure.drawn.scales.x.max === max;
      press(figure.tools, 'Whole range').click();
      view.whole = figure.drawn.scales.x.min === min;
    }
    const scale = () => figure.drawn.scales[figure.chart.kind === 'interval' ? 'x' : 'y'];
    view.scale = scale().type;
    const log = press(figure.tools, figure.chart.kind === 'interval' ? 'Log x' : 'Log y');
    if (log) {
      const type = scale().type;
      log.click();
      view.log = scale().type !== type && colors(figure) > 1;
      log.click();
    }
    if (figure.chart.kind === 'interval') {
      view.places = figure.drawn.getSortedVisibleDatasetMetas().flatMap(meta => meta.data.map(dot => Math.round(dot.x)));
    }
    seen.views.push(view);
  }
  // Whatever other views hide, a view without a legend shows its series.
  const each = act => figure.ids.forEach((id, i) => {
    if (figure.ids.length > 1) press(figure.tools, report.data.charts[id].label).click();
    act(seen.views[i], figure.chart.series.map(one => one.name));
  });
  each((view, names) => { if (names.length > 1) figure.setHidden(names); });
  each(view => { view.blank = figure.legend.hidden && !figure.drawn.getVisibleDatasetCount(); });
  each((view, names) => { if (names.length > 1) figure.setHidden([]); });
  found.figures.push(seen);
}

/// The contrast (WCAG 2.2) of text of colour `ink` on layers of backgrounds.
function contrast(ink, ...layers) {
  const parse = text => {
    const numbers = text.match(/[\d.]+(e-?\d+)?/g).map(Number);
    const scale = text.startsWith('color(') ? 1 : 255;
    return [...numbers.slice(0, 3).map(number => number / scale), numbers.length > 3 ? numbers[3] : 1];
  };
  const light = color => color.map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
    .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
  let back = [1, 1, 1];
  for (const [r, g, b, alpha] of layers.map(parse)) back = [r, g, b].map((x, i) => alpha * x + (1 - alpha) * back[i]);
  const [a, b] = [light(parse(ink).slice(0, 3)), light(back)].sort();
  return (b + 0.05) / (a + 0.05);
}

function contrasts() {
  const style = element => getComputedStyle(element);
  const back = element => style(element).backgroundColor;
  const pairs = {};
  const heat = document.getElementById('heat');
  if (heat) {
    for (let i = 1; i < 12; ++i) {
      const token = heat.appendChild(Object.assign(document.createElement('span'), {className: `s${i}`}));
      pairs[`s${i}`] = contrast(style(token).color, back(heat), back(token));
      token.remove();
    }
  }
  for (const badge of document.querySelectorAll('.badge')) pairs[badge.className] = contrast(style(badge).color, back(badge));
  const note = document.querySelector('figcaption p');
  if (note) pairs.note = contrast(style(note).color, back(note.closest('figure')));
  const term = document.querySelector('.facts dt');
  if (term) pairs.term = contrast(style(term).color, back(document.body));
  return pairs;
}

try {
  report.drawAll();
  report.figures.forEach(lookAt);
  const ids = [...Object.keys(report.data.charts), ...Object.keys(report.data.tables)];
  for (const id of ids) found.csv[id] = report.rowsOf(id).length > 2000 ? null : report.csv(id);

  // Themes.
  const theme = document.getElementById('theme');
  const page = () => getComputedStyle(document.body).backgroundColor;
  found.themes = {};
  for (let i = 0; i < 2; ++i) {
    found.themes[page()] = {lightest: Math.min(...Object.values(contrasts())), all: contrasts(), series: report.figures.length ? report.figures[0].drawn.data.datasets[0].borderColor : ''};
    theme.click();
  }

  // Printed it is light, whatever it is on the screen.
  const print = () => {
    const before = [page(), document.documentElement.dataset.theme];
    const line = () => report.figures.length ? report.figures[0].drawn.data.datasets[0].borderColor : '';
    dispatchEvent(new Event('beforeprint'));
    const printed = [page(), line()];
    dispatchEvent(new Event('afterprint'));
    return {printed, restored: before.join() === [page(), document.documentElement.dataset.theme].join()};
  };
  found.prints = [];
  for (let i = 0; i < 2; ++i) {
    found.prints.push(print());
    theme.click();
  }

  // A table sorts by its last column, down after up.
  const table = document.querySelector('table.sortable');
  if (table && table.tBodies[0].rows.length > 1) {
    const sorter = table.tHead.rows[0].cells[1].querySelector('button');
    sorter.click();
    const up = [...table.tBodies[0].rows].map(row => row.dataset.row).join();
    sorter.click();
    const down = [...table.tBodies[0].rows].map(row => row.dataset.row).reverse().join();
    found.sorts = table.tHead.rows[0].cells[1].getAttribute('aria-sort') === 'descending' && up === down;
  }

  const heat = document.getElementById('heat');
  if (heat) {
    heat.children[3].dispatchEvent(new MouseEvent('mouseover', {bubbles: true}));
    found.token = document.getElementById('readout').textContent;
    key(heat, 'ArrowRight');
    found.next = document.getElementById('readout').textContent;
  }

  found.headings = [...document.querySelectorAll('h1, h2, h3, h4')].map(heading => Number(heading.tagName[1]));
  found.unnamed = [...document.querySelectorAll('button, a')].filter(element => !element.textContent.trim()).length;
  found.requests = performance.getEntriesByType('resource').map(entry => entry.name);
  found.width = [innerWidth, document.documentElement.scrollWidth];
} catch (error) {
  problems.push(error.stack);
}
// Errors of handlers come as events.
setTimeout(() => {
  found.problems = problems;
  const probe = document.createElement('pre');
  probe.id = 'probe';
  probe.textContent = JSON.stringify(found);
  document.body.append(probe);
}, 500);
