/**
 * The events of one execution and which of them happened before which: an event comes after the
 * earlier ones of its actor, after those that touched a word that it touches where one of the two
 * writes, and after all that these come after. Kept as vector clocks (Mattern, 1988), one row per
 * event: column a holds the number of the last event of actor a that happened before or is this
 * one, plus 1.
 */
import { enlarged } from './arrays.ts';
import type { Records } from './records.ts';

export class Happened {
  /** Events; they are numbered from 0. */
  length = 0;
  /** Of the event last examined: how many events it is in a race with. */
  races = 0;
  /** Of the event last examined: its layer in the Foata normal form (trace-class.ts). */
  layer = 0;
  readonly #records: Records;
  readonly #actors: number;
  readonly #examined: Int32Array; // clock of the event last examined
  #latest = 0; // of the event last examined: latest event that happened before it, plus 1
  // Of the event last examined: events right before it, and those of them that race with it. (Typed
  // arrays with counts: an array whose length is set to 0 loses its storage.)
  #before = new Int32Array(64);
  #befores = 0;
  #raced = new Int32Array(64);
  readonly #last: Int32Array; // per actor: its last event, plus 1
  // Per event:
  #actor = new Int32Array(64);
  #record = new Int32Array(64);
  #layers = new Int32Array(64);
  #previous = new Int32Array(64); // of the same actor, plus 1
  #clocks: Int32Array<ArrayBuffer>;
  // Accesses of a word form a list, the last one first; `plus 1` in all of them.
  #head = new Int32Array(64); // per word
  #below = new Int32Array(1 << 10); // per access: the one before it
  #owner = new Int32Array(1 << 10); // per access: its event

  constructor(records: Records, actors: number) {
    this.#records = records;
    this.#actors = actors;
    this.#examined = new Int32Array(actors);
    this.#last = new Int32Array(actors);
    this.#clocks = new Int32Array(64 * actors);
  }

  actorAt(event: number): number {
    return this.#actor[event]!;
  }

  recordAt(event: number): number {
    return this.#record[event]!;
  }

  /**
   * Places an event after those that happened, without adding it: what happened before it, and the
   * races, that is the events of other actors that happened right before it, with none between.
   */
  examine(actor: number, record: number): void {
    this.#findBefore(actor, record);
    const clock = this.#examined.fill(0);
    this.races = 0;
    this.layer = 0;
    this.#latest = this.#befores === 0 ? 0 : this.#before[0]! + 1;
    for (let i = 0; i < this.#befores; i++) {
      const event = this.#before[i]!;
      this.layer = Math.max(this.layer, this.#layers[event]! + 1);
      const other = this.#actor[event]!;
      if (clock[other]! > event) continue; // it happened before a later one of these
      if (other !== actor) this.#raced[this.races++] = event;
      const row = event * this.#actors;
      for (let a = 0; a < this.#actors; a++) {
        if (this.#clocks[row + a]! > clock[a]!) clock[a] = this.#clocks[row + a]!;
      }
    }
  }

  /** The races of the event last examined, from 0, latest first. */
  raceAt(i: number): number {
    return this.#raced[i]!;
  }

  /**
   * The first event after `race` that happened before the one last examined; -1 if there is none.
   * No other of these happened before it.
   */
  firstAfter(race: number): number {
    for (let event = race + 1; event < this.#latest; event++) {
      if (this.#examined[this.#actor[event]!]! > event) return event;
    }
    return -1;
  }

  /** Adds the event last examined. */
  push(actor: number, record: number): void {
    const event = this.length++;
    if (event === this.#actor.length) this.#growEvents();
    this.#actor[event] = actor;
    this.#record[event] = record;
    this.#layers[event] = this.layer;
    this.#previous[event] = this.#last[actor]!;
    this.#last[actor] = event + 1;
    this.#clocks.set(this.#examined, event * this.#actors);
    this.#clocks[event * this.#actors + actor] = event + 1;
    this.#link(event, record);
  }

  /** Takes the last event away. */
  pop(): void {
    const event = --this.length;
    const record = this.#record[event]!;
    this.#last[this.#actor[event]!] = this.#previous[event]!;
    for (
      let access = this.#records.end(record) - 1;
      access >= this.#records.from(record);
      access--
    ) {
      this.#head[this.#records.wordAt(access)] = this.#below[access]!;
    }
  }

  #link(event: number, record: number): void {
    const end = this.#records.end(record);
    if (end > this.#below.length) {
      this.#below = enlarged(this.#below, 2 * end);
      this.#owner = enlarged(this.#owner, 2 * end);
    }
    this.#coverWords();
    for (let access = this.#records.from(record); access < end; access++) {
      const word = this.#records.wordAt(access);
      this.#below[access] = this.#head[word]!;
      this.#owner[access] = event;
      this.#head[word] = access + 1;
    }
  }

  /**
   * Events that an event comes right after, and perhaps some that these come after, latest first:
   * the last of its actor, and for each word the last write and, for one that writes, the reads
   * since. What touched the word earlier happened before that write.
   */
  #findBefore(actor: number, record: number): void {
    const records = this.#records;
    this.#befores = 0;
    this.#coverWords();
    if (this.#last[actor]! > 0) this.#addBefore(this.#last[actor]! - 1);
    for (let access = records.from(record); access < records.end(record); access++) {
      const writes = records.wroteAt(access);
      let at = this.#head[records.wordAt(access)]!;
      while (at > 0) {
        const wrote = records.wroteAt(at - 1);
        if (writes || wrote) this.#addBefore(this.#owner[at - 1]!);
        if (wrote) break;
        at = this.#below[at - 1]!;
      }
    }
  }

  #addBefore(event: number): void {
    const before = this.#before;
    let i = this.#befores;
    while (i > 0 && before[i - 1]! < event) i--;
    if (i > 0 && before[i - 1] === event) return;
    before.copyWithin(i + 1, i, this.#befores++);
    before[i] = event;
    if (this.#befores < before.length) return;
    this.#before = enlarged(before, 2 * this.#befores);
    this.#raced = enlarged(this.#raced, 2 * this.#befores);
  }

  #coverWords(): void {
    const { words } = this.#records;
    if (words > this.#head.length) this.#head = enlarged(this.#head, 2 * words);
  }

  #growEvents(): void {
    const length = 2 * this.#actor.length;
    this.#actor = enlarged(this.#actor, length);
    this.#record = enlarged(this.#record, length);
    this.#layers = enlarged(this.#layers, length);
    this.#previous = enlarged(this.#previous, length);
    this.#clocks = enlarged(this.#clocks, length * this.#actors);
  }
}
