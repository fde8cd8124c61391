/**
 * No book: what is mapped L0's intents alone know. A fault asks for its MAP whoever else may have
 * asked already (the same MAP again is ok), the fence refuses what an invalidation has overtaken,
 * and an invalidation unmaps its whole range, mapped or not.
 */

import { defect } from '../../../base/assert.ts';
import type { Act, Routine } from '../../../runtime/act.ts';
import type { Context } from '../../../runtime/context.ts';
import type { Book, Inserted } from './book.ts';

export class NoBook implements Book {
  readonly keeps = false;
  readonly canWait = false;
  readonly slabs = [];

  *insert(): Routine<Inserted> {
    return { slot: 0, seen: 0 };
  }

  change(): Act {
    return defect('NoBook.change', 'there is nothing to be changed');
  }

  *sweep(): Routine<boolean> {
    return true;
  }

  empty(): Act {
    return defect('NoBook.empty', 'there is nothing to be emptied');
  }

  *wordOf(_cpu: Context): Routine<number> {
    return 0;
  }

  bytes(): number {
    return 0;
  }
}
