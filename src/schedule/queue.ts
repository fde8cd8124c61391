/**
 * A priority queue of processors by (time, id): a binary heap on typed arrays, no allocation per
 * step. Ties go to the lower id, so that the order is a function of the times alone.
 */
export class Queue {
  readonly #time: Float64Array; // by heap position
  readonly #id: Int32Array;
  readonly #place: Int32Array; // position of an id; -1 when absent
  #size = 0;
  /** Time of the earliest entry; Infinity when empty. */
  earliest = Number.POSITIVE_INFINITY;
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
    this.earliest = this.#time[0]!;
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
    else this.earliest = Number.POSITIVE_INFINITY;
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

  /** Puts an entry in the root's place, and from there where it belongs. */
  #down(id: number, time: number): void {
    const times = this.#time;
    const ids = this.#id;
    const places = this.#place;
    const size = this.#size;
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      let earlier = times[child]!;
      const right = child + 1;
      if (right < size) {
        const other = times[right]!;
        if (other < earlier || (other === earlier && ids[right]! < ids[child]!)) {
          child = right;
          earlier = other;
        }
      }
      const next = ids[child]!;
      if (earlier > time || (earlier === time && next > id)) break;
      times[at] = earlier;
      ids[at] = next;
      places[next] = at;
      at = child;
    }
    this.#set(at, id, time);
    this.earliest = times[0]!;
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
