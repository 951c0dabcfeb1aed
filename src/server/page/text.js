// The text, shaded by how surprising its words are.
const state = {words: [], others: null, full: 12, scored: '', at: -1, scoring: null, chipping: null, looking: null, chips: []};

/// Words with what the model says of them: their place in the text, and their tokens.
function wordsOf(answer, text) {
  // The server counts characters, JavaScript counts UTF-16 units.
  const places = /[\ud800-\udfff]/.test(text) ? [...text].reduce((list, c) => (list.push(list[list.length - 1] + c.length), list), [0]) : null;
  const place = n => places ? places[n] : n;
  return answer.words.map(word => ({...word, begin: place(word.begin), end: place(word.end), bits: -word.log_probability / Math.LN2}));
}

function shadeOf(i) {
  const bits = state.words[i].bits;
  if (!state.others) return `rgba(var(--heat), ${Math.min(.85, .85 * Math.max(0, bits - 1) / state.full).toFixed(3)})`;
  const other = state.others[i];
  if (!other) return 'none';
  const more = other.bits - bits;
  return `rgba(var(${more > 0 ? '--mine' : '--heat'}), ${Math.min(.8, Math.abs(more) / 6).toFixed(3)})`;
}

function drawShade() {
  const text = $('text').value;
  const same = Math.min(text.length, state.scored.length);
  let common = 0;
  while (common < same && text[common] === state.scored[common]) ++common;
  const parts = document.createDocumentFragment();
  let done = 0;
  state.words.forEach((word, i) => {
    if (word.end > common || word.begin < done || word.end === word.begin) return;
    parts.append(text.slice(done, word.begin));
    const span = element('span', {textContent: text.slice(word.begin, word.end), className: i === state.at ? 'at' : ''});
    span.style.background = shadeOf(i);
    parts.append(span);
    done = word.end;
  });
  // A last line end takes up a line of its own only with something behind it.
  parts.append(text.slice(done) + '\u200b');
  $('shade').replaceChildren(parts);
}

function fit() {
  $('text').style.height = 'auto';
  $('text').style.height = `${$('text').scrollHeight}px`;
}

function drawLegend() {
  const heat = a => `rgba(var(--heat), ${a})`, mine = a => `rgba(var(--mine), ${a})`;
  const bar = element('i');
  const [low, high] = state.others ? [`${$('other').value} knows better`, `${$('model').value} knows better`] : ['expected', 'surprising'];
  bar.style.background = state.others ? `linear-gradient(90deg, ${heat(.8)}, transparent, ${mine(.8)})` : `linear-gradient(90deg, transparent, ${heat(.85)})`;
  $('legend').replaceChildren(low, bar, high);
}

function drawWhole(answer, milliseconds) {
  const rows = [['Perplexity', answer.perplexity?.toLocaleString('en', {maximumSignificantDigits: 4}) ?? '–'],
    ['Tokens', answer.tokens.toLocaleString('en')], ['Words', state.words.filter(word => word.text !== '\n').length.toLocaleString('en')],
    ['Bits per character', $('text').value ? (-answer.log_probability / Math.LN2 / [...$('text').value].length).toFixed(2) : '–'],
    ['Not in the vocabulary', answer.oov.toLocaleString('en')], ['Scored in', `${Math.round(milliseconds)} ms`]];
  $('whole').replaceChildren(...listed(rows).childNodes);
}

const row = (...cells) => element('tr', {}, ...cells.map(cell => element('td', {}, ...[cell].flat())));
const listed = rows => element('dl', {}, ...rows.flatMap(([name, value]) => [element('dt', {textContent: name}), element('dd', {textContent: value})]));

/// A table of texts and probabilities, with bars as long as they are among these.
function bars(caption, list) {
  const most = Math.max(...list.map(([, p]) => p));
  return element('table', {className: 'bars'}, element('caption', {textContent: caption}), element('tbody', {}, ...list.map(([text, p]) => {
    const share = element('span', {className: 'share'});
    share.style.width = `${(100 * p / most).toFixed(1)}%`;
    return row([visible(text), share], percent(p));
  })));
}

function drawWord() {
  state.looking?.abort();
  const word = state.words[state.at];
  if (!word) {
    $('word').replaceChildren(element('p', {className: 'hint', textContent: 'Put the caret on a word.'}));
    return;
  }
  const rows = [['Probability', percent(Math.exp(word.log_probability))], ['Surprisal', `${word.bits.toFixed(1)} bits`]];
  if (word.tokens.length === 1) rows.splice(1, 0, ['Place', word.tokens[0].rank.toLocaleString('en')]);
  if (word.oov) rows.push(['Vocabulary', 'not in it']);
  const other = state.others?.[state.at];
  if (other) rows.push([`In ${$('other').value}`, percent(Math.exp(other.log_probability))]);
  const parts = [element('p', {className: 'chosen', textContent: visible(word.text)}), listed(rows)];
  const instead = element('div');
  parts.push(instead);
  if (word.tokens.length > 1) {
    parts.push(element('table', {}, element('caption', {textContent: 'Token by token'}),
      element('thead', {}, element('tr', {}, ...['token', 'place', 'expected', 'probability'].map(name => element('th', {scope: 'col', textContent: name})))),
      element('tbody', {}, ...word.tokens.map(token => row(visible(token.text), token.rank.toLocaleString('en'),
        token.expected.slice(0, 3).map(one => visible(one.text)).join(' '), percent(Math.exp(token.log_probability)))))));
  } else {
    const tokens = word.tokens[0]?.expected ?? [];
    instead.append(bars('Expected', tokens.map(one => [one.text, Math.exp(one.log_probability)])));
  }
  $('word').replaceChildren(...parts);
  if (word.tokens.length > 1) wordsInstead(word, instead);
}

/// Which words the model expected in the place of one of several tokens.
async function wordsInstead(word, place) {
  const abort = state.looking = new AbortController();
  try {
    const answer = await askFor('v1/next', {model: $('model').value, text: state.scored.slice(0, word.begin), n: 6}, abort.signal);
    place.replaceChildren(bars('Expected', answer.next.map(one => [one.text, one.probability])));
  } catch (error) {
    if (error.name !== 'AbortError') say(error.message, true);
  }
}

function chooseWord() {
  const at = $('text').selectionStart;
  const within = state.words.findIndex(word => at >= word.begin && at < word.end);
  const found = within >= 0 ? within : state.words.findLastIndex(word => at === word.end && word.end > word.begin);
  if (found === state.at) return;
  state.at = found;
  drawShade();
  drawWord();
}

/// Scores the text again; only the last call counts.
async function score() {
  state.scoring?.abort();
  const abort = state.scoring = new AbortController();
  const text = $('text').value;
  const begin = performance.now();
  try {
    const request = model => askFor('v1/score', {model, text, words: true, alternatives: 5}, abort.signal);
    const [mine, other] = await Promise.all([request($('model').value), $('other').value ? request($('other').value) : null]);
    state.words = wordsOf(mine, text);
    state.others = other ? wordsOf(other, text) : null;
    // Long words of small tokens have many bits: the scale is as long as most words need.
    state.full = Math.max(12, state.words.map(word => word.bits).sort((a, b) => a - b)[Math.floor(.9 * state.words.length)] ?? 0);
    state.scored = text;
    state.at = -1;
    drawWhole(mine, performance.now() - begin);
    drawLegend();
    chooseWord();
    drawShade();
    if (state.at < 0) drawWord();
    if ($('status').className === 'bad') say('');
  } catch (error) {
    if (error.name !== 'AbortError') say(error.message, true);
  }
}

/// Words that may come next, as on a phone's keyboard.
async function suggest() {
  state.chipping?.abort();
  const abort = state.chipping = new AbortController();
  try {
    const answer = await askFor('v1/next', {model: $('model').value, text: $('text').value, n: 8}, abort.signal);
    state.chips = answer.next;
    $('chips').replaceChildren(...answer.next.map((one, i) => element('button', {
      type: 'button', title: `Alt ${i + 1}`, onclick: () => takeWord(i),
    }, visible(one.text), element('small', {textContent: percent(one.probability)}))));
  } catch (error) {
    if (error.name !== 'AbortError') $('chips').replaceChildren();
  }
}

/// Puts a chip's word behind the text, completing one that was begun.
function takeWord(i) {
  const chip = state.chips[i];
  if (!chip) return;
  setText($('text').value + chip.insert + ' ');
  $('text').focus();
}

function setText(text) {
  $('text').value = text;
  $('text').setSelectionRange(text.length, text.length);
  changed();
}

let typing = 0;
/// More keys may follow a key, but nothing a paste: its text is scored before next words are looked for.
function changed(event) {
  fit();
  drawShade();
  clearTimeout(typing);
  if (event?.inputType === 'insertFromPaste') score().then(suggest);
  else typing = setTimeout(() => { score(); suggest(); }, 60);
}
