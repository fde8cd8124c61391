/**
 * One CPU's TLB. What is *legal* is in the tags and in what each invalidation drops (Intel SDM
 * vol. 3, "Caching Translation Information"; primer/x86.md 1.3); *policy* is only the geometry of
 * the array and its replacement.
 *
 * Three kinds of mappings, each with its paging-structure caches: linear (VPID, PCID),
 * guest-physical (EP4TA), combined (VPID, PCID, EP4TA). A distinct tag is interned as a *space*, a
 * small integer; an invalidation of a whole tag gives the space a new integer, so its old entries
 * never match again.
 *
 * On AMD one tag, the ASID, stands where Intel has VPID and EP4TA: an invalidation of it drops all.
 *
 * Leaves out: the split of L1 and L2 TLBs by page size; entries are 4 KiB pieces of whatever leaf
 * was walked, as hardware does when the two stages differ in size. Global pages.
 */
import { defect } from '../base/assert.ts';

export type MappingKind = 'linear' | 'guest-physical' | 'combined';

interface Space {
  readonly kind: MappingKind;
  readonly vpid: number;
  readonly pcid: number;
  readonly ep4ta: number;
  id: number;
}

export interface TlbShape {
  readonly sets: number;
  readonly ways: number;
  /** Entries of each paging-structure cache. */
  readonly structures: number;
  /** False if nothing is ever looked up here by this class: no guesses are kept then. */
  readonly guesses?: boolean;
}

const GUESSES = 1 << 12;
const ABSENCES = 1 << 8;

function guessAt(space: number, page: number): number {
  return (page ^ Math.imul(space, 0x9e5)) & (GUESSES - 1);
}

export class Tlb {
  readonly #ways: number;
  readonly #setMask: number;
  readonly #page: Float64Array;
  readonly #space: Int32Array;
  readonly #frame: Float64Array;
  readonly #rights: Uint8Array;
  readonly #next: Uint8Array; // round-robin victim per set
  /**
   * Where a page's entry was found last, by a hash of page and space: no part of the hardware, a
   * guess that is checked. It spares the simulator the search through the ways of a set.
   */
  readonly #guess: Int32Array;
  /**
   * Pages that were found absent, by the same hash, each with the number of entries that its set
   * had been given by then: as long as that stands, the page is still absent.
   */
  readonly #absentPage: Float64Array;
  readonly #absentSpace: Int32Array;
  readonly #absentSince: Int32Array;
  readonly #given: Int32Array; // entries that a set has been given so far
  readonly #structureMask: number;
  readonly #structurePage: Float64Array;
  readonly #structureSpace: Int32Array;
  readonly #structureFrame: Float64Array;
  readonly #structureGuest: Float64Array;
  readonly #structureRights: Uint8Array;
  /** Of space ids modulo 32: whether one ever had paging-structure entries. */
  #structured = 0;
  readonly #spaces: Space[] = [];
  #ids = 1;
  /** Rises whenever a space was renumbered: whoever keeps a space id asks again. */
  generation = 0;
  /** Rises with every change of what is cached, and with every VM entry. */
  changes = 0;
  /** Rights of the entry that the last successful lookup hit. */
  rights = 0;
  /** Guest frame of the table that the last successful `structure` found. */
  structureGuestFrame = 0;

  constructor(shape: TlbShape) {
    if ((shape.sets & (shape.sets - 1)) !== 0) defect('Tlb', 'sets must be a power of two');
    const entries = shape.sets * shape.ways;
    const absences = shape.guesses === false ? 0 : ABSENCES;
    this.#guess = new Int32Array(shape.guesses === false ? 0 : GUESSES);
    this.#absentPage = new Float64Array(absences).fill(-1);
    this.#absentSpace = new Int32Array(absences);
    this.#absentSince = new Int32Array(absences);
    this.#ways = shape.ways;
    this.#setMask = shape.sets - 1;
    this.#page = new Float64Array(entries);
    this.#space = new Int32Array(entries);
    this.#frame = new Float64Array(entries);
    this.#rights = new Uint8Array(entries);
    this.#next = new Uint8Array(shape.sets);
    this.#given = new Int32Array(shape.sets);
    this.#structureMask = shape.structures - 1;
    this.#structurePage = new Float64Array(shape.structures);
    this.#structureSpace = new Int32Array(shape.structures);
    this.#structureFrame = new Float64Array(shape.structures);
    this.#structureGuest = new Float64Array(shape.structures);
    this.#structureRights = new Uint8Array(shape.structures);
  }

  /** The space id of a tag; numbers irrelevant to the kind must be 0. */
  space(kind: MappingKind, vpid: number, pcid: number, ep4ta: number): number {
    for (const s of this.#spaces) {
      if (s.kind === kind && s.vpid === vpid && s.pcid === pcid && s.ep4ta === ep4ta) return s.id;
    }
    const fresh = { kind, vpid, pcid, ep4ta, id: this.#ids++ };
    this.#spaces.push(fresh);
    return fresh.id;
  }

  /**
   * Frame that `page` maps to if an entry of the space has `access`, bits of rights as the walk's
   * (format/judge.ts), where the right to write implies that the dirty bits are set; else -1.
   */
  lookup(space: number, page: number, access: number): number {
    const guess = this.#guess[guessAt(space, page)]!;
    const isRight = this.#page[guess] === page && this.#space[guess] === space;
    const at = isRight ? guess : this.#find(space, page);
    if (at < 0) return -1;
    this.rights = this.#rights[at]!;
    return (this.rights & access) === access ? this.#frame[at]! : -1;
  }

  /** As `#search`, but remembers that there is none. */
  #find(space: number, page: number): number {
    const since = this.#given[(page ^ space) & this.#setMask]!;
    const i = guessAt(space, page) & (ABSENCES - 1);
    const isAbsent = this.#absentPage[i] === page && this.#absentSpace[i] === space;
    if (isAbsent && this.#absentSince[i] === since) return -1;
    const at = this.#search(space, page);
    if (at >= 0) return at;
    this.#absentPage[i] = page;
    this.#absentSpace[i] = space;
    this.#absentSince[i] = since;
    return -1;
  }

  /** Index of the entry for a page of a space, or -1. */
  #search(space: number, page: number): number {
    const base = ((page ^ space) & this.#setMask) * this.#ways;
    for (let i = base; i < base + this.#ways; i++) {
      if (this.#page[i] === page && this.#space[i] === space) {
        this.#guess[guessAt(space, page)] = i;
        return i;
      }
    }
    return -1;
  }

  insert(space: number, page: number, frame: number, rights: number): void {
    this.changes++;
    let at = this.#search(space, page);
    if (at < 0) {
      const set = (page ^ space) & this.#setMask;
      const next = this.#next[set]!;
      at = set * this.#ways + next;
      this.#next[set] = next + 1 === this.#ways ? 0 : next + 1;
      this.#given[set] = this.#given[set]! + 1;
      this.#guess[guessAt(space, page)] = at;
    }
    this.#page[at] = page;
    this.#space[at] = space;
    this.#frame[at] = frame;
    this.#rights[at] = rights;
  }

  /** Paging-structure cache: host frame of the leaf table that serves `group` of pages, or -1. */
  structure(space: number, group: number): number {
    const at = (group ^ space) & this.#structureMask;
    if (this.#structurePage[at] !== group || this.#structureSpace[at] !== space) return -1;
    this.rights = this.#structureRights[at]!;
    this.structureGuestFrame = this.#structureGuest[at]!;
    return this.#structureFrame[at]!;
  }

  /** `rights`: of the entries above the table; its frames are those of the host and the guest. */
  insertStructure(
    space: number,
    group: number,
    frame: { readonly host: number; readonly guest: number },
    rights: number,
  ): void {
    const at = (group ^ space) & this.#structureMask;
    this.#structured |= 1 << (space & 31);
    this.#structurePage[at] = group;
    this.#structureSpace[at] = space;
    this.#structureFrame[at] = frame.host;
    this.#structureGuest[at] = frame.guest;
    this.#structureRights[at] = rights;
  }

  /** Drops one page of a space, and the space's paging-structure entries (as INVLPG does). */
  dropPage(space: number, page: number): void {
    this.changes++;
    const base = ((page ^ space) & this.#setMask) * this.#ways;
    for (let i = base; i < base + this.#ways; i++) {
      if (this.#page[i] === page && this.#space[i] === space) this.#space[i] = 0;
    }
    if ((this.#structured & (1 << (space & 31))) === 0) return;
    for (let i = 0; i <= this.#structureMask; i++) {
      if (this.#structureSpace[i] === space) this.#structureSpace[i] = 0;
    }
  }

  /** INVEPT single-context: guest-physical and combined mappings of one EP4TA, all VPIDs. */
  invept(ep4ta: number): void {
    this.#renumber((s) => s.kind !== 'linear' && s.ep4ta === ep4ta);
  }

  /** INVEPT all-context. */
  inveptAll(): void {
    this.#renumber((s) => s.kind !== 'linear');
  }

  /** INVVPID single-context: linear and combined mappings of one VPID, not guest-physical ones. */
  invvpid(vpid: number): void {
    this.#renumber((s) => s.kind !== 'guest-physical' && s.vpid === vpid);
  }

  /** INVVPID all-context: linear and combined mappings of every VPID but 0. */
  invvpidAll(): void {
    this.#renumber((s) => s.kind !== 'guest-physical' && s.vpid !== 0);
  }

  /** TLB_CONTROL 3 and 7 at VMRUN, INVLPGB: everything of one ASID. */
  dropAsid(asid: number): void {
    this.#renumber((s) => s.ep4ta === asid);
  }

  /** INVLPGA: one linear page of an ASID, whatever its PCID. */
  dropPageOfAsid(asid: number, page: number): void {
    for (const s of this.#spaces) {
      if (s.kind !== 'guest-physical' && s.vpid === asid) this.dropPage(s.id, page);
    }
  }

  /** MOV to CR3 without the no-flush bit, INVPCID single-context: one PCID of the current VPID. */
  dropPcid(vpid: number, pcid: number): void {
    this.#renumber((s) => s.kind !== 'guest-physical' && s.vpid === vpid && s.pcid === pcid);
  }

  /** Everything, as after reset. */
  dropAll(): void {
    this.#renumber(() => true);
  }

  #renumber(hit: (space: Space) => boolean): void {
    for (const space of this.#spaces) if (hit(space)) space.id = this.#ids++;
    this.generation++;
    this.changes++;
  }
}
