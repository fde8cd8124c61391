/**
 * A TLB under exploration holds nothing of its own: what hardware may have cached is a set of the
 * adversary's, and an access is given the one entry it is to use, or none. Invalidations are
 * reported. Spaces are named by their EP4TA, the same in every copy of a system. On AMD, where all
 * spaces of one CPU that are explored carry one ASID, and without EPT, where all roots of a vCPU's
 * shadow carry its VPID, no invalidation tells them apart.
 */
import { Effect, type Tape } from '../../runtime/hart.ts';
import type { VendorId } from '../preset/price.ts';
import { type MappingKind, Tlb } from '../tlb.ts';

/** Combined and linear spaces are told apart from guest-physical ones, and never cached here. */
const OTHER_KINDS = 2 ** 24;
/** The space of the mappings of all roots under one ASID, or one VPID. */
const ONE_TAG = 0;
const ANY_SPACE = -1;

export interface UsedEntry {
  readonly space: number;
  readonly page: number;
  readonly frame: number;
  readonly rights: number;
}

export class ExploredTlb extends Tlb {
  /** The entry that the next access uses; no other lookup hits. */
  use: UsedEntry | undefined;
  tape: Tape | undefined;
  /**
   * Of a CPU that another hart's copy of the machine broadcasts to: what it has cached is dropped
   * when the next TLBSYNC there is over, and not before.
   */
  isOwed = false;

  readonly #isOneTag: boolean;
  /** Without EPT the mappings that are looked at are linear ones. */
  readonly #isFlat: boolean;

  constructor(vendor: VendorId = 'intel', isFlat = false) {
    super({ sets: 1, ways: 1, structures: 1, guesses: false });
    this.#isOneTag = vendor === 'amd' || isFlat;
    this.#isFlat = isFlat;
  }

  override space(kind: MappingKind, _vpid: number, _pcid: number, ep4ta: number): number {
    const tag = this.#isOneTag ? ONE_TAG : ep4ta;
    return (kind === 'guest-physical') !== this.#isFlat ? tag : OTHER_KINDS + tag;
  }

  override lookup(space: number, page: number, access: number): number {
    const { use } = this;
    if (use === undefined || use.page !== page) return -1;
    const of = this.#isOneTag ? ONE_TAG : use.space;
    if (of !== space) return -1;
    this.rights = use.rights;
    return (use.rights & access) === access ? use.frame : -1;
  }

  override insert(): void {
    // what a walk found may be cached: the adversary knows without being told
  }

  override structure(): number {
    return -1;
  }

  override insertStructure(): void {
    // the same
  }

  override dropPage(space: number, page: number): void {
    if (space >= OTHER_KINDS) return;
    this.tape?.emit(Effect.invalidate, this.#isOneTag ? ANY_SPACE : space, page);
  }

  override invept(ep4ta: number): void {
    this.tape?.emit(Effect.invalidate, ep4ta, -1);
  }

  override inveptAll(): void {
    this.tape?.emit(Effect.invalidate, -1, -1);
  }

  /** Drops linear and combined mappings; guest-physical ones survive. */
  override invvpid(): void {
    if (this.#isFlat) this.tape?.emit(Effect.invalidate, ANY_SPACE, -1);
  }

  override invvpidAll(): void {
    this.invvpid();
  }

  override dropPcid(): void {
    // the same
  }

  override dropAsid(): void {
    if (this.tape === undefined) this.isOwed = true;
    else this.tape.emit(Effect.invalidate, ANY_SPACE, -1);
  }

  override dropPageOfAsid(): void {
    // drops one linear mapping
  }

  override dropAll(): void {
    this.tape?.emit(Effect.invalidate, -1, -1);
  }
}
