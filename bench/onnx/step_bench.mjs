// Times what `sluice export --to onnx` wrote in ONNX Runtime: loading with the first token, and one token
// after another, each the most probable. Prints a JSON object.
//
//   npm install --ignore-scripts --prefix build/npm onnxruntime-node
//   node bench/onnx/step_bench.mjs build/npm DIR [TOKENS] [THREADS]
import {createRequire} from 'node:module';
import {join, resolve} from 'node:path';
import {performance} from 'node:perf_hooks';

const [prefix, directory, count = '100', threads = '1'] = process.argv.slice(2);
const require = createRequire(join(resolve(prefix), 'node_modules', 'x.js'));
const ort = require('onnxruntime-node');
const {version} = require('onnxruntime-node/package.json');

const started = performance.now();
const session = await ort.InferenceSession.create(join(directory, 'step.onnx'),
  {intraOpNumThreads: Number(threads), interOpNumThreads: 1, logSeverityLevel: 3});
const states = session.inputNames.filter((name) => name !== 'tokens');
let feeds = {};
for (const name of states) {
  const {shape} = session.inputMetadata.find((input) => input.name === name);
  const dims = [1, ...shape.slice(1)];
  feeds[name] = new ort.Tensor('float32', new Float32Array(dims.reduce((a, b) => a * b)), dims);
}
let token = 0n;
async function next() {
  const out = await session.run({...feeds, tokens: new ort.Tensor('int64', [token], [1, 1])});
  const values = out.log_probs.data;
  let best = 0;
  for (let i = 1; i < values.length; ++i) if (values[i] > values[best]) best = i;
  token = BigInt(best);
  feeds = Object.fromEntries(states.map((name) => [name, out[name.replace('state', 'next')]]));
}
await next();
const first = performance.now() - started;
for (let i = 0; i < 10; ++i) await next();  // warm
const times = [];
for (let i = 0; i < Number(count); ++i) {
  const begun = performance.now();
  await next();
  times.push(performance.now() - begun);
}
times.sort((a, b) => a - b);
const at = (share) => times[Math.floor(share * (times.length - 1))];
console.log(JSON.stringify({runtime: `onnxruntime ${version}`, threads: Number(threads),
  first_token_ms: Number(first.toFixed(1)), tokens_per_second: Number((1000 / at(0.5)).toFixed(1)),
  quartiles: [0.75, 0.25].map((share) => Number((1000 / at(share)).toFixed(1)))}));
