// Pictures of faces as pixels.

/** A picture as a canvas: its pixels as they lie in the file, whatever colours the screen has.
 * @param {string} address */
export async function picture(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error("The picture of this face is gone.");
  const bitmap = await createImageBitmap(await answer.blob(), {
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  });
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  context(canvas).drawImage(bitmap, 0, 0);
  return canvas;
}

/** A context whose pixels are read. @param {HTMLCanvasElement} canvas */
export function context(canvas) {
  return /** @type {CanvasRenderingContext2D} */ (
    canvas.getContext("2d", { willReadFrequently: true })
  );
}
