/**
 * Guards that no counterexample shows necessary and that stay all the same, each with the reason;
 * and labels that no litmus program reaches. Whatever stands here without need is reported.
 */
export interface Argued {
  readonly design: string;
  readonly label: string;
  readonly why: string;
}

export const argued: readonly Argued[] = [];
