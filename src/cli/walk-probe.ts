/**
 * The accesses that `kpop walk` tries: from `--address`, from a probes file, or from the dump.
 * Addresses are 64 bit and become a page number and an offset here; this is the only place that
 * knows sign extension.
 *
 * Source: Intel SDM vol. 1, 3.3.7.1 (canonical addresses).
 */

import {
  type Access,
  EXECUTE,
  type Privilege,
  READ,
  SUPERVISOR,
  USER,
  WRITE,
} from '../machine/format/judge.ts';
import { UsageError } from './errors.ts';
import { type Dump, describe, fieldsOf, parseHex64, parseTable, readJson } from './walk-dump.ts';
import type { WalkOptions } from './walk-settings.ts';

export interface Probe {
  readonly address: bigint;
  readonly access: Access;
  /** Undefined: that of the format. */
  readonly privilege: Privilege | undefined;
  /** Frame of the root table, where it is not the dump's. */
  readonly root: number | undefined;
  /** Where it was given: for messages. */
  readonly place: string;
}

export const ACCESS_LETTERS = ['r', 'w', 'x'] as const;

const ACCESSES: Readonly<Record<string, Access>> = { r: READ, w: WRITE, x: EXECUTE };
const PRIVILEGES: Readonly<Record<string, Privilege>> = { user: USER, supervisor: SUPERVISOR };

/** Command line first; a probes file next; what the dump carries only if neither is there. */
export async function readProbes(options: WalkOptions, dump: Dump): Promise<readonly Probe[]> {
  const probes = (options.address ?? []).map(parseArgument);
  if (options.probes !== undefined) {
    const list: unknown = await readJson(options.probes);
    const inner = Array.isArray(list) ? list : fieldsOf(list, options.probes).probes;
    probes.push(...parseList(inner, options.probes));
  }
  if (probes.length === 0 && options.probes === undefined && dump.fields.probes !== undefined) {
    probes.push(...parseList(dump.fields.probes, `${dump.file}: probes`));
  }
  if (probes.length === 0) {
    throw new UsageError('walk: no address: give --address, --probes, or a dump with probes');
  }
  return probes;
}

/** `<address>[,r|w|x][,user|supervisor]`. */
export function parseArgument(text: string): Probe {
  const place = `--address ${text}`;
  const [address, ...rest] = text.split(',');
  let access: string | undefined;
  let privilege: string | undefined;
  for (const word of rest) {
    if (Object.hasOwn(ACCESSES, word) && access === undefined) access = word;
    else if (Object.hasOwn(PRIVILEGES, word) && privilege === undefined) privilege = word;
    else {
      throw new UsageError(`${place}: ${describe(word)} is none of r, w, x, user, supervisor`);
    }
  }
  return toProbe({ address, access, privilege }, place);
}

function parseList(list: unknown, place: string): Probe[] {
  if (!Array.isArray(list)) throw new UsageError(`${place}: not an array of probes`);
  return list.map((each: unknown, i) => {
    const at = `${place}[${i}]`;
    return toProbe(fieldsOf(each, at), at);
  });
}

function toProbe(fields: Readonly<Record<string, unknown>>, place: string): Probe {
  return {
    address: parseHex64(fields.address, `${place}: address`),
    access: choice(ACCESSES, fields.access ?? 'r', `${place}: access`),
    privilege:
      fields.privilege === undefined
        ? undefined
        : choice(PRIVILEGES, fields.privilege, `${place}: privilege`),
    root: fields.root === undefined ? undefined : parseTable(fields.root, `${place}: root`),
    place,
  };
}

function choice<T>(values: Readonly<Record<string, T>>, given: unknown, place: string): T {
  if (typeof given === 'string' && Object.hasOwn(values, given)) return values[given];
  const names = Object.keys(values).join(', ');
  throw new UsageError(`${place}: ${describe(given)} is none of ${names}`);
}

export interface Linear {
  /** Page number with the sign extension taken off. */
  readonly page: number;
  readonly offset: number;
  /** Whether the bits above `width` repeat its highest bit. */
  readonly canonical: boolean;
}

/** Splits an address; `width` is the number of bits that tables translate. */
export function splitAddress(address: bigint, width: number, signExtended: boolean): Linear {
  const canonical = BigInt.asUintN(64, BigInt.asIntN(width, address)) === address;
  const inside = signExtended ? BigInt.asUintN(width, address) : address;
  return {
    page: Number(inside >> 12n),
    offset: Number(address & 0xfffn),
    canonical: !signExtended || canonical,
  };
}
