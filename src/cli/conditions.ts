/**
 * Counting conditions (DESIGN.md section 5) from the command line: `--conditions
 * l1=cold,apicv=off`, or one option each. Those that this version holds at one value are accepted
 * at that value.
 */
import { badInput } from '../base/bad-input.ts';
import { suggestion } from '../base/nearest.ts';
import type { Conditions } from '../design/system.ts';

const KNOWN: Readonly<Record<string, readonly string[]>> = {
  pages: ['4k', '2m', '1g'],
  l1: ['warm', 'cold'],
  'fault-around': ['1'],
  tick: ['none', 'off', '100hz', '250hz', '1000hz'],
  apicv: ['on', 'off'],
  eoi: ['pv', 'apic'],
  upper: ['present', 'absent'],
  levels: ['4', '5'],
  'guest-levels': ['4', '5'],
};

/** Those that the system is built by, and what they are called there. */
const OF_SYSTEM: Readonly<Record<string, keyof Conditions>> = {
  l1: 'l1',
  apicv: 'apicv',
  eoi: 'eoi',
  tick: 'tick',
  pages: 'pages',
  levels: 'levels',
  'guest-levels': 'guestLevels',
};

export interface ConditionOptions {
  readonly conditions?: string | undefined;
  readonly l1?: string | undefined;
  readonly apicv?: string | undefined;
  readonly eoi?: string | undefined;
  readonly tick?: string | undefined;
  readonly upper?: string | undefined;
  readonly pages?: string | undefined;
  readonly levels?: string | undefined;
  readonly guestLevels?: string | undefined;
}

export interface AskedConditions {
  readonly system: Partial<Conditions>;
  readonly upper: 'present' | 'absent' | undefined;
}

export function readConditions(options: ConditionOptions): AskedConditions {
  const given = new Map<string, string>();
  const take = (name: string, value: string, place: string): void => {
    const values = Object.hasOwn(KNOWN, name) ? KNOWN[name] : undefined;
    if (values === undefined) {
      badInput(`${place}: unknown condition ${name}${suggestion(name, Object.keys(KNOWN))}`);
    }
    if (!values.includes(value)) {
      const only = values.length === 1 ? ` in this version of kpop` : '';
      const what = place === `--${name}` ? 'it' : name;
      badInput(`${place}: ${what} is ${values.join(' or ')}${only}, not ${value || 'empty'}`);
    }
    if ((given.get(name) ?? value) !== value) badInput(`condition ${name} is given twice`);
    given.set(name, value);
  };
  for (const part of options.conditions?.split(',') ?? []) {
    const equals = part.indexOf('=');
    if (equals <= 0) badInput(`--conditions: '${part}' is not condition=value`);
    take(part.slice(0, equals), part.slice(equals + 1), '--conditions');
  }
  const { l1, apicv, eoi, tick, upper, pages, levels, guestLevels } = options;
  for (const [name, value] of Object.entries({
    l1,
    apicv,
    eoi,
    tick,
    upper,
    pages,
    levels,
    'guest-levels': guestLevels,
  })) {
    if (value !== undefined) take(name, value, `--${name}`);
  }
  const system = Object.fromEntries(
    [...given].flatMap(([name, value]) => {
      const known = OF_SYSTEM[name];
      return known === undefined
        ? []
        : [[known, value === 'off' && name === 'tick' ? 'none' : value]];
    }),
  );
  return { system, upper: given.get('upper') as AskedConditions['upper'] };
}
