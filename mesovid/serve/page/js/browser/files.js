// Files of the site, as bytes. Packed ones are unpacked here, unless the host has done so.

/** @param {URL | string} address */
export async function fetched(address) {
  let answer;
  try {
    answer = await fetch(address);
  } catch {
    throw new Error(`A file of this page cannot be fetched: ${address}`);
  }
  if (!answer.ok)
    throw new Error(`A file of this page is missing: ${address} (status ${answer.status})`);
  return unpacked(new Uint8Array(await answer.arrayBuffer()));
}

/** What gzip packed; other bytes as they are. */
export async function unpacked(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  if (typeof DecompressionStream === "undefined") {
    throw new Error("This browser cannot unpack files. A newer one can (of 2023 or later).");
  }
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
