// Asks the core: in a worker, so that the page stays awake; where a page may have none (a file that
// was opened by itself), on the page's own thread. One question is in flight; of questions that
// replace each other only the newest is put.

import { Core, buffers } from "./core.js";

export class Engine {
  /** @param {{worker?: URL, base?: string, read?: any}} where a worker's script and the base of its
   * paths; or what reads the files of a page that has none */
  constructor({ worker, base, read }) {
    this.base = base;
    /** @type {any[]} */
    this.waiting = [];
    /** @type {any} */
    this.flight = null;
    this.broken = "";
    /** @type {Worker | null} */
    this.worker = null;
    /** @type {Core | null} */
    this.core = null;
    this.number = 0;
    if (worker) {
      this.worker = new Worker(worker, { type: "module" });
      this.worker.onmessage = ({ data }) => this.ended(data);
      this.worker.onerror = (event) => {
        event.preventDefault();
        this.broken = "The part of this page that computes could not be started.";
        if (this.flight) this.ended({ number: this.flight.number, problem: this.broken });
      };
    } else {
      this.core = new Core(read);
    }
  }

  /** @param {string} task a method of the core @param {string} [newest] what a later question of the
   * same name replaces as long as it waits @returns {Promise<any>} */
  ask(task, given, newest = "") {
    return new Promise((resolve, reject) => {
      const replaced = newest && this.waiting.find((each) => each.newest === newest);
      if (replaced) {
        this.waiting.splice(this.waiting.indexOf(replaced), 1);
        replaced.reject(new DOMException("A newer question took its place.", "AbortError"));
      }
      this.number += 1;
      this.waiting.push({ number: this.number, task, given, newest, resolve, reject });
      this.next();
    });
  }

  next() {
    if (this.flight || !this.waiting.length) return;
    this.flight = this.waiting.shift();
    const { number, task, given } = this.flight;
    if (this.broken) this.ended({ number, problem: this.broken });
    else if (this.worker) {
      this.worker.postMessage(
        { number, task, given, base: this.base },
        { transfer: buffers(given.images || []) },
      );
    } else {
      // the page gets a turn before each question
      setTimeout(() =>
        /** @type {any} */ (this.core)[task](given).then(
          (answer) => this.ended({ number, answer }),
          (error) => this.ended({ number, problem: String(error.message || error) }),
        ),
      );
    }
  }

  /** @param {{number: number, answer?: any, problem?: string}} told */
  ended({ number, answer, problem }) {
    if (!this.flight || this.flight.number !== number) return;
    const { resolve, reject } = this.flight;
    this.flight = null;
    if (problem === undefined) resolve(answer);
    else reject(new Error(problem));
    this.next();
  }

  close() {
    if (this.worker) this.worker.terminate();
  }
}
