/** What a system of harts is made of. */
import type { Adversary, Likeness, LiveHart } from '../../runtime/hart.ts';
import type { Harts } from './harts.ts';

/** What a system promises about its states; questions that touch nothing. */
export interface Judgement {
  /** After every move; `hart` moved. */
  always(harts: Harts, hart: number): string | undefined;
  /** When nothing moves and all code has ended. */
  atRest(harts: Harts): string | undefined;
}

export interface HartsOptions {
  /** Words at the start; changed in place. */
  readonly words: Int32Array;
  readonly harts: number;
  /** Builds a live copy of which hart `hart` will be run. */
  readonly build: (hart: number) => LiveHart;
  readonly adversary: Adversary;
  readonly judgement: Judgement;
  /** Words of which only a part matters. */
  readonly likenesses?: readonly Likeness[];
  /** Labels that must be performed in some execution, for `seen`. */
  readonly sometimes?: readonly string[];
  /** What goes on for ever is cut: no hart performs the label more often. */
  readonly limits?: readonly Limit[];
}

export interface Limit {
  readonly label: string;
  readonly times: number;
}
