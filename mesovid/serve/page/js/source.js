// Where the page has its scans, faces and numbers from. Pages are given a Source and know no more
// of it than what stands here, so that the same page works with a server and without one.

/** A refusal: one sentence that says what was wrong and what would be right. */
export class Problem extends Error {
  /** @param {any} body of problem+json @param {number} status */
  constructor(body, status) {
    super(body.detail || `the server answered ${status}`);
    this.kind = (body.type || "").replace("/problems/", "");
    this.status = status;
  }
}

/** Numbers in rows, the last side innermost.
 * @typedef {{shape: number[], values: Float32Array | number[]}} Numbers */

/** One face judged; `arrays` hold the maps that were asked for, by `layer.stage`.
 * @typedef {{model: string, fake_probability: number, logit: number, label: string, split?: any,
 *   arrays: Record<string, Numbers>}} Prediction */

/** What is asked of one face; `layers` and `stages` name maps.
 * @typedef {{model: string, layers?: string[], stages?: string[], split?: boolean}} Asked */

/** A face: `{scan, n}` of a scan, `{set, n}` of a set of samples.
 * @typedef {any} FaceOf */

/** What each method gives is what the API's route of the same name gives; `face`, `frame`, `video`,
 * `sample` and `result` give addresses that the browser can fetch.
 * @typedef {object} Source
 * @property {() => Promise<any>} about version, limits, kinds of files, default model
 * @property {(token: string) => Promise<void>} enter
 * @property {() => Promise<any[]>} models cards
 * @property {(name: string) => Promise<any>} model a card with its layers
 * @property {(name: string, layer: string) => Promise<Numbers>} filters of a layer
 * @property {() => Promise<any[]>} samples
 * @property {(id: string) => string} sample
 * @property {() => Promise<any[]>} scans newest first
 * @property {(id: string) => Promise<any>} scan
 * @property {(id: string) => Promise<void>} erase
 * @property {(file: Blob, name: string, settings: Record<string, any>,
 *   told: (share: number) => void) => {done: Promise<any>, cancel: () => void}} send
 * @property {(id: string, acts: Record<string, (event: any) => void>) => () => void} follow
 *   calls an act for each event of a scan; gives what ends it
 * @property {(id: string) => Promise<any[]>} faces
 * @property {(id: string, rules?: Record<string, any>) => Promise<any>} verdict
 * @property {(id: string, model: string) => Promise<any>} firing
 * @property {(id: string, n: number) => string} face
 * @property {(id: string, n: number) => string} frame
 * @property {(id: string) => string} video
 * @property {(id: string, format: string) => string} result
 * @property {(picture: Blob, asked: Asked) => Promise<Prediction>} predict
 * @property {(face: FaceOf, asked: {model: string, cells?: number, methods?: string[]}) =>
 *   Promise<any>} explain
 * What only a server gives; pages leave out what the source has not.
 * @property {(name: string) => Promise<any>} [curves] of a model's training and measurements
 * @property {(face: FaceOf, asked: {model: string, layer: string, map: number, row: number,
 *   column: number}) => Promise<any>} [arithmetic] behind one number of a map
 * @property {(id: string) => string} [report] of a scan, a page of its own
 * @property {(query: Record<string, any>) => Promise<any>} [results] a page of an archive's
 * @property {(n: number) => Promise<any>} [recorded] one of them
 * @property {(n: number) => Promise<any>} [reopen] one of them, as a scan
 * @property {() => Promise<any[]>} [sets] of samples on the user's disk
 * @property {(name: string, query: Record<string, any>) => Promise<any>} [drawn] faces of a set
 * @property {(name: string, n: number) => string} [drawnFace]
 */
