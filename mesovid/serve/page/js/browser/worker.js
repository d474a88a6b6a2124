// The core beside the page: one question at a time, in the order in which they come.

import { Core, buffers } from "./core.js";
import { fetched } from "./files.js";

let turn = Promise.resolve();
/** @type {any} */
let core = null;

onmessage = ({ data: { number, task, given, base } }) => {
  core ||= new Core((path) => fetched(new URL(path, base)));
  turn = turn.then(async () => {
    try {
      const answer = await core[task](given);
      postMessage({ number, answer }, { transfer: buffers(answer) });
    } catch (error) {
      postMessage({ number, problem: String(error instanceof Error ? error.message : error) });
    }
  });
};
