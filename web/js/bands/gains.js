/** Gains as they are typed: one number for each band, finest first, the residual's last. The rules are those of blending/frequency/separation.py. */

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const LONGEST_TEXT = 10_000;
export const MOST_LAYERS = 7;

/** The numbers of `text` as they are written: a list of words; null where it is no list of gains. */
export function readGains(text) {
  if (typeof text !== "string" || text.length > LONGEST_TEXT) return null;
  const words = text.replace(/[;\n]/g, ",").replace(/^[, ]+|[, ]+$/g, "").split(",").map((word) => word.trim());
  const sound = words.length >= 2 && words.length <= MOST_LAYERS && words.every((word) => NUMBER.test(word) && Number.isFinite(+word));
  return sound ? words : null;
}

/** The same with number `index` changed; the others stay as they are written. */
export const withGain = (words, index, gain) => words.map((word, i) => (i === index ? String(gain) : word)).join(", ");

/** So many gains out of others: those of the finest bands, and the residual's. */
export function resized(words, count) {
  const bands = Array.from({ length: count - 1 }, (_, i) => (i < words.length - 1 ? words[i] : "1"));
  return [...bands, words.at(-1)].join(", ");
}

/** What a layer of so many is called: [short name, what it is]. */
export function nameOf(index, count) {
  if (index === count - 1) return ["residual", "residual, what is coarser than all bands"];
  const which = index === 0 ? ", the finest" : index === count - 2 ? ", the coarsest" : "";
  return [`band ${index + 1}`, `band ${index + 1}${which}`];
}
