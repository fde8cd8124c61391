/**
 * The designs on AMD's processors, for exploration: the same composition on a machine with SVM and
 * NPT, with the axes at their defaults but for those that only such a machine has. Timed runs
 * choose the machine by its preset.
 */
import { kpop } from './kpop.ts';
import { nested } from './nested.ts';
import type { Axes, Axis, Design } from './system.ts';
import { tdp } from './tdp.ts';

function defaultsOf({ axes }: Design): Axes {
  return Object.fromEntries(Object.entries(axes).map(([name, axis]) => [name, axis.default]));
}

/** `own`: axes that are explored here and not on Intel's, where their values are alike. */
function overNpt(design: Design, own: readonly string[] = []): Design {
  const axes = own.map((name): [string, Axis] => {
    const { alike: _, ...axis } = design.axes[name]!;
    return [name, axis];
  });
  return {
    ...design,
    id: `${design.id}-npt`,
    title: `${design.title}; on SVM and NPT`,
    axes: Object.fromEntries(axes),
    explored: { ...design.explored, vendor: 'amd' },
    build: (machine, demand, given, conditions) =>
      design.build(machine, demand, { ...defaultsOf(design), ...given }, conditions),
  };
}

export const tdpOverNpt: Design = overNpt(tdp, ['flush']);
export const nestedOverNpt: Design = overNpt(nested);
export const kpopOverNpt: Design = overNpt(kpop);
