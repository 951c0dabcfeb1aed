// Times a language model that makes a text token by token in ONNX Runtime, by the protocol of
// bench/README.md. The graph is what bench/pytorch/generate_bench.py --export writes.
//
//   npm install --ignore-scripts --prefix build/onnx onnxruntime-node
//   printf 'go 50\nquit\n' | node bench/onnx/generate_bench.mjs build/onnx MODEL.onnx 2

import {createRequire} from 'node:module';
import {readFileSync} from 'node:fs';
import {createInterface} from 'node:readline';
import {resolve} from 'node:path';

const [packages, model, threads] = process.argv.slice(2);
const require = createRequire(resolve(packages, 'package.json'));
const ort = require('onnxruntime-node');
const {version} = require('onnxruntime-node/package.json');

const session = await ort.InferenceSession.create(model, {
  intraOpNumThreads: Number(threads), interOpNumThreads: 1, graphOptimizationLevel: 'all'});
const shape = JSON.parse(readFileSync(`${model}.json`, 'ascii')).state;
const start = () => new ort.Tensor(
    'float32', new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);

for await (const line of createInterface({input: process.stdin})) {
  const [command, count] = line.split(' ');
  if (command === 'quit') break;
  let token = new ort.Tensor('int64', BigInt64Array.from([1n]), [1]);
  let state = start();
  const begun = process.hrtime.bigint();
  for (let i = 0; i < Number(count); ++i) {
    const out = await session.run({token, state});
    token = out.next;
    state = out.next_state;
  }
  const seconds = Number(process.hrtime.bigint() - begun) * 1e-9;
  console.log(JSON.stringify({seconds, tokens: Number(count), version: `onnxruntime ${version}`}));
}
process.exit(0);
