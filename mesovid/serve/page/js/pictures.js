// Pictures of faces as pixels.

/** The picture at an address as a canvas. @param {string} address */
export async function picture(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error("The picture of this face is gone.");
  return opened(await answer.blob());
}

/** A picture file as a canvas: its pixels as they lie in the file, whatever colours the screen has.
 * @param {Blob} file */
export async function opened(file) {
  const bitmap = await createImageBitmap(file, {
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
