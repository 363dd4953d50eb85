// Answers digits with ONNX Runtime Web, in WebAssembly: node answer.mjs LIBRARY MODEL
// Over standard input and output, as float32 in this machine's byte order: one number N
// (uint32) and N images of 64 numbers in; N times 10 logits out; again and again.

import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

// One line; by itself, Node would print the whole library, which is a single line.
process.on("uncaughtException", (error) => {
  console.error(`${error.name}: ${error.message}`);
  process.exit(1);
});

const [library, model] = process.argv.slice(2);
const ort = await import(pathToFileURL(library));
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(await readFile(model));

let waiting = Buffer.alloc(0);
for await (const chunk of process.stdin) {
  waiting = Buffer.concat([waiting, chunk]);
  while (waiting.length >= 4) {
    const count = new Uint32Array(new Uint8Array(waiting.subarray(0, 4)).buffer)[0];
    const end = 4 + count * 64 * 4;
    if (waiting.length < end) break;
    const numbers = new Float32Array(new Uint8Array(waiting.subarray(4, end)).buffer);
    waiting = waiting.subarray(end);
    const input = new ort.Tensor("float32", numbers, [count, 1, 8, 8]);
    const { output } = await session.run({ input });
    const { buffer, byteOffset, byteLength } = output.data;
    process.stdout.write(Buffer.from(buffer, byteOffset, byteLength));
  }
}
