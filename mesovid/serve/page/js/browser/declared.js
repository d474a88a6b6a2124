// What a file says of its making: `mesovid.provenance` as far as a browser reads it. Signatures are
// not checked here, and what a file was made from is not told apart from the file.

const MOST_BYTES = 2 ** 26; // of a picture, or of a box, that are looked through
const MOST_BOXES = 10_000;
const TAGS = 2 ** 20; // bytes at either end of a Matroska file
const FIRST_BOXES = ["ftyp", "moov", "mdat", "wide", "free", "skip"];
const CREDENTIALS_BOX = "d8fec3d61b0e483c92975828877ec481";
const XMP_BOX = "be7acfcb97a942e89c71999491e3afac";
/** @type {Record<string, string>} IPTC's digital source types; of others nothing is said */
export const TYPES = {
  trainedAlgorithmicMedia: "ai",
  trainedAlgorithmicData: "ai",
  compositeWithTrainedAlgorithmicMedia: "partly ai",
  compositeSynthetic: "partly ai",
  digitalCapture: "camera",
  computationalCapture: "camera",
};
// in XMP quotes may be written as XML's entities
const LABELLED = /AIGC[^]{0,2000}?Label(?:"|&quot;|&#34;)\s*:\s*(?:"|&quot;|&#34;)?([123])\b/;
const LABELS = { 1: "ai", 2: "perhaps ai", 3: "perhaps ai" };
/** @type {[string, string, RegExp][]} tools, and what they leave in their files */
export const GENERATORS = [
  ["InvokeAI", "ai", /invokeai_metadata/],
  ["NovelAI", "ai", /NovelAI (?:generated image|Diffusion)/],
  ["SwarmUI", "ai", /"sui_image_params\\*"/],
  [
    "Stable Diffusion web UI, or a tool like it",
    "ai",
    /Steps: \d{1,5}, Sampler: [^\n]{1,200}?CFG scale: \d/,
  ],
  ["ComfyUI", "perhaps ai", /"(?:class_type|last_link_id)\\*"\s*:/],
];
const WORDS = {
  ai: "it was made by AI",
  "partly ai": "it was made by AI in part",
  "perhaps ai": "it may have been made by AI",
  camera: "it was captured by a camera",
  other: "nothing is said of AI",
};

/** @param {Blob} file @param {boolean} picture
 * @returns {Promise<object[]>} as `declared` of the JSON has it */
export async function declared(file, picture) {
  const found = [];
  const kinds = new Set();
  let signed = false;
  let generator;
  for await (const text of pieces(file, picture)) {
    generator ||= generatorIn(text);
    signed ||= text.includes("jumb") && text.includes("c2pa");
    for (const [, kind] of text.matchAll(/digitalsourcetype\/(\w{1,64})/g)) {
      if (Object.hasOwn(TYPES, kind)) kinds.add(TYPES[kind]);
    }
    const label = text.match(LABELLED);
    if (label && !found.length) found.push(said("AIGC label", LABELS[label[1]]));
  }
  const made = ["ai", "partly ai", "camera"].filter((each) => kinds.has(each));
  if (signed) found.push(said("Content Credentials", made[0] || "other", { signed: true }));
  else found.push(...made.map((each) => said("XMP", each)));
  if (generator) found.push(said("metadata", generator[1], { tool: generator[0] }));
  return found;
}

/** What was judged of a file that says so much of itself: what names AI is not called real, unless
 * by a threshold of the user's own. */
export function heeded(judged, list, threshold = null) {
  const byAi = list.find((each) => ["ai", "partly ai", "perhaps ai"].includes(each.made));
  if (!byAi || judged.verdict !== "real" || threshold !== null) return judged;
  return { ...judged, verdict: "uncertain", reason: `${judged.reason} But ${byAi.words}.` };
}

/** The generator whose settings are among these words, if there is one. */
function generatorIn(text) {
  const plain = text.replaceAll("\0", ""); // EXIF has them in UTF-16, too
  return GENERATORS.find(([, , pattern]) => pattern.test(plain));
}

function said(source, made, { signed = false, tool = null } = {}) {
  const unchecked = signed ? ", which this page does not check," : "";
  const words = `by its own ${source}${unchecked} ${WORDS[made]}${tool ? ` (${tool})` : ""}`;
  return { source, made, tool, signer: null, intact: null, words };
}

/** Where metadata lies, a character a byte. */
async function* pieces(file, picture) {
  if (picture) {
    if (file.size <= MOST_BYTES) yield textOf(file, 0, file.size);
    return;
  }
  if (!FIRST_BOXES.includes(await textOf(file, 4, 8))) {
    yield textOf(file, 0, TAGS);
    if (file.size > TAGS) yield textOf(file, file.size - TAGS, file.size);
    return;
  }
  let start = 0;
  for (let n = 0; n < MOST_BOXES && start + 8 <= file.size; n += 1) {
    const head = new DataView(await file.slice(start, start + 16).arrayBuffer());
    const name = await textOf(file, start + 4, start + 8);
    let [size, inner] = [head.getUint32(0), start + 8];
    if (size === 1 && head.byteLength === 16) {
      [size, inner] = [Number(head.getBigUint64(8)), start + 16];
    } else if (size === 0) size = file.size - start;
    if (size < inner - start) return;
    const end = Math.min(start + size, inner + MOST_BYTES);
    if (name === "moov") yield textOf(file, inner, end);
    if (name === "uuid") {
      const id = new Uint8Array(await file.slice(inner, inner + 16).arrayBuffer());
      const hex = Array.from(id, (byte) => byte.toString(16).padStart(2, "0")).join("");
      if ([CREDENTIALS_BOX, XMP_BOX].includes(hex)) yield textOf(file, inner + 16, end);
    }
    start += size;
  }
}

const textOf = async (file, from, to) =>
  new TextDecoder("latin1").decode(await file.slice(from, to).arrayBuffer());
