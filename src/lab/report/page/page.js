// The page around the charts: theme, tables that sort, CSV, the text shaded by surprisal, contents.
(() => {
  const {make} = report;

  // ---- Light and dark: as the system has it, until the button says otherwise

  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)');
  const button = document.getElementById('theme');
  const kept = value => {
    try {
      if (value) localStorage.setItem('sluice-theme', value);
      return localStorage.getItem('sluice-theme');
    } catch (error) {
      return null;  // a browser that keeps nothing for files
    }
  };
  const dark = () => root.dataset.theme ? root.dataset.theme === 'dark' : system.matches;
  const label = () => { button.textContent = dark() ? 'Light theme' : 'Dark theme'; };
  const earlier = kept();
  if (earlier === 'dark' || earlier === 'light') {
    root.dataset.theme = earlier;
    report.recolor();
  }
  button.hidden = false;
  label();
  button.addEventListener('click', () => {
    root.dataset.theme = dark() ? 'light' : 'dark';
    kept(root.dataset.theme);
    label();
    report.recolor();
  });
  system.addEventListener('change', () => { label(); report.recolor(); });

  // Paper is light: page.css sees to the text, and charts are drawn anew.
  const paint = theme => {
    if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
    report.recolor();
  };
  let restore = null;
  addEventListener('beforeprint', () => {
    if (!dark()) return;
    const before = root.dataset.theme;
    restore = () => paint(before);
    paint('light');
  });
  addEventListener('afterprint', () => {
    if (restore) restore();
    restore = null;
  });

  // ---- Tables

  function sortBy(table, values, column, heads) {
    const up = heads[column].getAttribute('aria-sort') !== 'ascending';
    heads.forEach(head => head.removeAttribute('aria-sort'));
    heads[column].setAttribute('aria-sort', up ? 'ascending' : 'descending');
    const order = (a, b) => {
      const [p, q] = [values[a.dataset.row][column], values[b.dataset.row][column]];
      if (p === null || q === null) return (p === null) - (q === null);
      const less = typeof p === 'string' ? p.localeCompare(String(q), 'en', {numeric: true}) : p - q;
      return up ? less : -less;
    };
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort(order));
  }

  for (const table of document.querySelectorAll('table.sortable')) {
    const values = report.data.tables[table.id.replace('table-', '')].rows;
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (values.length && typeof values[0][column] === 'number') head.classList.add('n');
      const sorter = make('button', {type: 'button'}, head.textContent);
      sorter.addEventListener('click', () => sortBy(table, values, column, heads));
      head.replaceChildren(sorter);
    });
  }
  for (const link of document.querySelectorAll('a[data-table]')) {
    link.addEventListener('click', event => report.download(event, link.dataset.table));
  }

  // ---- The text: what the pointer or the arrow keys are at

  const heat = document.getElementById('heat');
  if (heat) {
    const readout = document.getElementById('readout');
    const tokens = heat.getElementsByTagName('span');
    let at = -1;
    const tell = index => {
      if (tokens[at]) tokens[at].classList.remove('at');
      at = index;
      const token = tokens[at];
      if (!token) return;
      token.classList.add('at');
      const nats = Number(token.dataset.nats);
      const name = token.textContent.replace(/ /g, '␣').replace(/\n/g, '');
      readout.textContent = 'nats' in token.dataset
        ? `token ${at}, “${name}”: ${nats} nats, probability ${Number(Math.exp(-nats).toPrecision(3))}`
        : `token ${at}, “${name}”: not predicted`;
    };
    heat.addEventListener('mouseover', event => {
      if (event.target.parentNode === heat) tell([...tokens].indexOf(event.target));
    });
    heat.addEventListener('keydown', event => {
      const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      if (!step) return;
      event.preventDefault();
      tell(Math.min(Math.max(at + step, 0), tokens.length - 1));
      tokens[at].scrollIntoView({block: 'nearest'});
    });
  }

  // ---- Contents: where the reader is

  const links = new Map([...document.querySelectorAll('nav a')].map(link => [link.hash.slice(1), link]));
  const reader = new IntersectionObserver(entries => {
    for (const entry of entries) {
      const link = links.get(entry.target.id);
      if (!link) continue;
      if (entry.isIntersecting) link.setAttribute('aria-current', 'true'); else link.removeAttribute('aria-current');
    }
  }, {rootMargin: '-20% 0px -60% 0px'});
  document.querySelectorAll('main > section').forEach(section => reader.observe(section));
})();
