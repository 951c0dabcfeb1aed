// Runs exported graphs in ONNX Runtime and compares what they say with what the models themselves said:
// whole texts, texts token by token and in parts, sherpa-onnx's layouts, int8.
// usage: node onnx_test.mjs MODELS ONNXRUNTIME-NODE
import assert from 'node:assert/strict';
import {existsSync, readFileSync, readdirSync} from 'node:fs';
import {createRequire} from 'node:module';
import {join} from 'node:path';

const [models, runtime] = process.argv.slice(2);
const ort = createRequire(import.meta.url)(runtime);

const open = (file) => ort.InferenceSession.create(file,
  {intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3});
const integers = (values, dims) =>
  new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
const zeros = (dims) => new ort.Tensor('float32', new Float32Array(dims.reduce((a, b) => a * b, 1)), dims);

function furthest(got, expected) {
  assert.equal(got.length, expected.length);
  let most = 0;
  for (let i = 0; i < got.length; ++i) {
    assert.ok(Number.isFinite(got[i]), `element ${i} is ${got[i]}`);
    most = Math.max(most, Math.abs(got[i] - expected[i]));
  }
  return most;
}
function close(got, expected, what, tolerance = 1e-4) {
  const most = furthest(got, expected);
  assert.ok(most <= tolerance, `${what}: off by ${most}`);
}

// Rows [B, count, V] of expected [B, T, V] from `first` on.
function rows({batch, time, vocabulary}, expected, first, count) {
  const out = new Float32Array(batch * count * vocabulary);
  for (let b = 0; b < batch; ++b) {
    const begin = (b * time + first) * vocabulary;
    out.set(expected.subarray(begin, begin + count * vocabulary), b * count * vocabulary);
  }
  return out;
}
// Columns [B, count] of the tokens.
function columns({batch, time, tokens}, first, count) {
  const out = [];
  for (let b = 0; b < batch; ++b) out.push(...tokens.slice(b * time + first, b * time + first + count));
  return integers(out, [batch, count]);
}
// -log p of the token at `at`, given those before it.
const nll_of = ({time, vocabulary, tokens}, expected, b, at) =>
  -expected[(b * time + at - 1) * vocabulary + tokens[b * time + at]];

async function whole(directory, one, expected, tolerance) {
  const session = await open(join(directory, 'whole.onnx'));
  const out = await session.run({tokens: columns(one, 0, one.time)});
  assert.deepEqual([...out.log_probs.dims], [one.batch, one.time, one.vocabulary]);
  close(out.log_probs.data, expected, 'whole', tolerance);
  assert.deepEqual([...out.nll.dims], [one.batch, one.time - 1]);
  const nll = [];
  for (let b = 0; b < one.batch; ++b) for (let t = 1; t < one.time; ++t) nll.push(nll_of(one, expected, b, t));
  close(out.nll.data, nll, 'nll', tolerance);
}

async function streamed(directory, one, expected, parts, tolerance) {
  const session = await open(join(directory, 'step.onnx'));
  const names = session.inputNames.filter((name) => name !== 'tokens');
  const feeds = {};
  for (const name of names) {
    const {shape} = session.inputMetadata.find((input) => input.name === name);
    feeds[name] = zeros([one.batch, ...shape.slice(1)]);
  }
  let first = 0;
  for (const count of parts) {
    const out = await session.run({...feeds, tokens: columns(one, first, count)});
    close(out.log_probs.data, rows(one, expected, first, count),
      `step: ${count} from ${first} on`, tolerance);
    for (const name of names) feeds[name] = out[name.replace('state', 'next')];
    first += count;
  }
  assert.equal(first, one.time);
}

// As sherpa-onnx's offline-rnn-lm asks: rows of several lengths, without <s> and </s>.
async function sherpa_offline(directory, one, expected) {
  const session = await open(join(directory, 'lm.onnx'));
  assert.deepEqual(session.inputNames, ['x', 'x_lens']);
  const longest = one.time - 1;
  const lengths = Array.from({length: one.batch}, (_, b) => longest - 2 * b);
  const x = [];
  for (let b = 0; b < one.batch; ++b) {
    for (let t = 0; t < longest; ++t) x.push(t < lengths[b] ? one.tokens[b * one.time + 1 + t] : 0);
  }
  const out = await session.run({x: integers(x, [one.batch, longest]), x_lens: integers(lengths, [one.batch])});
  const nll = lengths.map((length, b) => {
    let sum = 0;
    for (let t = 1; t <= length; ++t) sum += nll_of(one, expected, b, t);
    return sum - expected[(b * one.time + length) * one.vocabulary];  // </s>, which is token 0
  });
  close(out.nll.data, nll, 'lm.onnx', 1e-3);
}

// As sherpa-onnx's online-rnn-lm asks: names by their order, states of the sizes that the metadata say.
async function sherpa_online(directory, one, expected, metadata) {
  const session = await open(join(directory, 'lm-streaming.onnx'));
  assert.deepEqual(session.inputNames, ['x', 'h0', 'c0']);
  const [score, next_h, next_c] = session.outputNames;
  const dims = [Number(metadata.num_layers), one.batch, Number(metadata.hidden_size)];
  let h = zeros(dims), c = zeros(dims);
  for (let t = 0; t < one.time; ++t) {
    const out = await session.run({x: columns(one, t, 1), h0: h, c0: c});
    assert.deepEqual([...out[score].dims], [one.batch, one.vocabulary]);
    close(out[score].data, rows(one, expected, t, 1), `lm-streaming.onnx at ${t}`);
    h = out[next_h];
    c = out[next_c];
  }
}

// A ModelProto's metadata: field 14, of messages of a key (1) and a value (2).
function metadata_of(file) {
  const bytes = readFileSync(file);
  const found = {};
  let at = 0;
  const varint = () => {
    let value = 0n, shift = 0n;
    for (;;) {
      const byte = bytes[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(value);
      shift += 7n;
    }
  };
  const fields = (end, each) => {
    while (at < end) {
      const key = varint();
      const size = varint();
      if ((key & 7) !== 2) continue;  // whole numbers
      const next = at + size;
      each(key >> 3, next);
      at = next;
    }
  };
  fields(bytes.length, (field, end) => {
    if (field !== 14) return;
    const pair = {};
    fields(end, (part, part_end) => { pair[part] = bytes.toString('utf8', at, part_end); });
    found[pair[1]] = pair[2];
  });
  return found;
}

let failed = 0;
const seen = new Set();
let worst = 0;
for (const name of readdirSync(models).sort()) {
  const directory = join(models, name);
  const one = JSON.parse(readFileSync(join(directory, 'case.json')));
  const expected = new Float32Array(new Uint8Array(readFileSync(join(directory, 'expected.f32'))).buffer);
  try {
    await whole(directory, one, expected);
    if (one.all) {
      await streamed(directory, one, expected, new Array(one.time).fill(1));
      await streamed(directory, one, expected, [4, 1, one.time - 5]);
      await sherpa_offline(directory, one, expected);
      const metadata = metadata_of(join(directory, 'lm-streaming.onnx'));
      assert.equal(metadata.architecture, one.arch);
      assert.equal(metadata.sos_id, '0');
      assert.equal(metadata.vocab_size, String(one.vocabulary));
      assert.equal(JSON.parse(metadata.vocabulary)[2], 'w2');
      await sherpa_online(directory, one, expected, metadata);
      const int8 = join(directory, 'int8');
      const session = await open(join(int8, 'whole.onnx'));
      const out = await session.run({tokens: columns(one, 0, one.time)});
      const off = furthest(out.log_probs.data, expected);
      worst = Math.max(worst, off);
      console.log(`${name}: int8 off by ${off.toFixed(3)}`);
      assert.ok(off > 1e-6, 'int8 is exact: is it int8?');
      assert.ok(off < 0.5, `int8: off by ${off}`);
    }
    seen.add(one.arch);
  } catch (error) {
    ++failed;
    console.error(`${name} (${one.summary}): ${error.message}`);
  }
}
assert.equal(seen.size, 7, 'not every architecture was looked at');
assert.ok(existsSync(join(models, 'gcnn', 'whole.onnx.weights')));
process.exit(failed === 0 ? 0 : 1);
