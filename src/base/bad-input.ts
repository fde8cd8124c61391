/**
 * Bad usage or bad input: whoever gave it gets one clear sentence, and the command line ends with
 * status 2. It accuses neither kpop (`defect`) nor a design (`violation`).
 */
export class BadInput extends Error {
  override readonly name = 'BadInput';
}

export function badInput(sentence: string): never {
  throw new BadInput(sentence);
}
