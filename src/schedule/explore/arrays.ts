/** Typed arrays that grow: engines keep their stacks and graphs in them, not in objects. */

/** The same numbers in an array of `length`, the rest 0. */
export function enlarged(array: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(length);
  larger.set(array);
  return larger;
}
