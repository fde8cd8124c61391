/**
 * The store buffer of one processor under total store order: stores leave for memory in order, some
 * time after they were performed; the processor's own loads see them at once. Addresses are
 * physical, because a store is translated when it is performed.
 *
 * Leaves out: stores narrower than the low half, and forwarding from half a word (the processor
 * waits until such a store has left).
 */

export interface BufferedStore {
  readonly pa: number;
  readonly lo: number;
  readonly hi: number;
  /** Only the low 32 bits are stored. */
  readonly half: boolean;
  /** Id of the context that stored. */
  readonly by: number;
}

export class StoreBuffer {
  readonly stores: BufferedStore[] = [];

  get isEmpty(): boolean {
    return this.stores.length === 0;
  }

  push(store: BufferedStore): void {
    this.stores.push(store);
  }

  /** Takes the oldest store out. */
  leave(): BufferedStore | undefined {
    return this.stores.shift();
  }

  /** The newest store to `pa`. */
  newest(pa: number): BufferedStore | undefined {
    for (let i = this.stores.length - 1; i >= 0; i--) {
      if (this.stores[i]!.pa === pa) return this.stores[i];
    }
    return undefined;
  }
}
