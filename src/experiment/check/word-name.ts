/** Words by the structure that they belong to, for people. */

import { hex } from '../../check/invariant/view.ts';
import type { Checked } from '../../design/system.ts';
import { FRAME_BYTES } from '../../machine/memory.ts';

type Structures = NonNullable<Checked['structures']>;

/** Names the word at a host-physical address. */
export function wordName(structures: Structures, at: number): string {
  for (const { layout, at: base } of structures) {
    if (at < base || at >= base + layout.bytes) continue;
    const fields = Object.entries(layout.at).filter(([, offset]) => base + offset <= at);
    const [field, offset] = fields.at(-1) ?? ['', 0];
    const index = (at - base - offset) / 8;
    const which = numberOf(structures, layout.name, base);
    return `${layout.name}${which}.${field}${index === 0 ? '' : `[${index}]`}`;
  }
  return `word ${(at % FRAME_BYTES) / 8} of frame ${hex(Math.floor(at / FRAME_BYTES))}`;
}

/** Which one it is of several structures of a layout. */
function numberOf(structures: Structures, name: string, at: number): string {
  const same = structures.filter(({ layout }) => layout.name === name);
  return same.length < 2 ? '' : ` ${same.findIndex((one) => one.at === at)}`;
}
