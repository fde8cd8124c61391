/**
 * A priority queue of processors by (time, id): a binary heap on typed arrays, no allocation per
 * step. Ties go to the lower id, so that the order is a function of the times alone.
 */
export class Queue {
  readonly #time: Float64Array; // by heap position
  readonly #id: Int32Array;
  readonly #place: Int32Array; // position of an id; -1 when absent
  #size = 0;
  #parked = -1;
  #parkedTime = 0;

  constructor(capacity: number) {
    this.#time = new Float64Array(capacity);
    this.#id = new Int32Array(capacity);
    this.#place = new Int32Array(capacity).fill(-1);
  }

  get size(): number {
    return this.#size;
  }

  /** Time of the earliest entry; Infinity when empty. */
  get earliest(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : this.#time[0]!;
  }

  /** Id of the earliest entry. */
  get first(): number {
    return this.#id[0]!;
  }

  /** Inserts `id`, or moves it to an earlier time if it is in the queue already. */
  push(id: number, time: number): void {
    let at = this.#place[id]!;
    if (at >= 0) {
      if (time >= this.#time[at]!) return;
    } else {
      at = this.#size++;
    }
    this.#up(at, id, time);
  }

  /**
   * Inserts `id`, which is absent and later than the earliest entry, together with the next `pop`:
   * one way down the heap in place of one up and one down.
   */
  park(id: number, time: number): void {
    this.#parked = id;
    this.#parkedTime = time;
  }

  /** Removes and returns the earliest id. */
  pop(): number {
    const top = this.#id[0]!;
    this.#place[top] = -1;
    if (this.#parked >= 0) {
      this.#down(this.#parked, this.#parkedTime);
      this.#parked = -1;
      return top;
    }
    const last = --this.#size;
    if (last > 0) this.#down(this.#id[last]!, this.#time[last]!);
    return top;
  }

  #up(from: number, id: number, time: number): void {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#before(parent, time, id)) break;
      this.#set(at, this.#id[parent]!, this.#time[parent]!);
      at = parent;
    }
    this.#set(at, id, time);
  }

  #down(id: number, time: number): void {
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#size) break;
      const right = child + 1;
      if (right < this.#size && this.#before(right, this.#time[child]!, this.#id[child]!)) {
        child = right;
      }
      if (!this.#before(child, time, id)) break;
      this.#set(at, this.#id[child]!, this.#time[child]!);
      at = child;
    }
    this.#set(at, id, time);
  }

  #before(at: number, time: number, id: number): boolean {
    const t = this.#time[at]!;
    return t < time || (t === time && this.#id[at]! < id);
  }

  #set(at: number, id: number, time: number): void {
    this.#id[at] = id;
    this.#time[at] = time;
    this.#place[id] = at;
  }
}
