/**
 * Queues of signals in flight, as values: equal contents are equal numbers, so that a state holds
 * one number per queue. The empty queue is 0.
 */
export class SignalQueues {
  readonly #contents: (readonly number[])[] = [[]];
  readonly #known = new Map<string, number>([['', 0]]);

  content(queue: number): readonly number[] {
    return this.#contents[queue]!;
  }

  push(queue: number, signal: number): number {
    return this.#intern([...this.#contents[queue]!, signal]);
  }

  shift(queue: number): number {
    return this.#intern(this.#contents[queue]!.slice(1));
  }

  hash(queue: number): number {
    let hash = 0;
    for (const signal of this.#contents[queue]!) hash = (Math.imul(hash, 31) + signal + 1) | 0;
    return hash;
  }

  #intern(content: readonly number[]): number {
    const key = content.join(',');
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    this.#contents.push(content);
    this.#known.set(key, this.#contents.length - 1);
    return this.#contents.length - 1;
  }
}
