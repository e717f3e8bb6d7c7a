// Where a picture is inside the element that shows it, and which place of the picture a pointer is at.

/** The rectangle of a picture in an element, in the element's pixels. box, picture: { width, height }. fit: the CSS value
 * of object-fit. With "cover", the picture is larger than the element. */
export function pictureRect(box, picture, fit = "contain") {
  const scales = [box.width / picture.width, box.height / picture.height];
  const [across, down] = fit === "fill" ? scales : Array(2).fill(fit === "cover" ? Math.max(...scales) : Math.min(...scales));
  const [width, height] = [picture.width * across, picture.height * down];
  return { left: (box.width - width) / 2, top: (box.height - height) / 2, width, height };
}

/** A place of the picture, 0 to 1 from its upper left corner as seen, for a point of the element in pixels. It is outside
 * 0 to 1 beside the picture. */
export const seenPlace = ({ x, y }, rect) => [(x - rect.left) / rect.width, (y - rect.top) / rect.height];

export const isInside = (place) => place.every((number) => number >= 0 && number <= 1);

export const clamped = (place) => place.map((number) => Math.min(1, Math.max(0, number)));

/** Between what the user sees and the picture itself; the same in both directions. */
export const flipped = ([x, y], mirrored) => [mirrored ? 1 - x : x, y];
