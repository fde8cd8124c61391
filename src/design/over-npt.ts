/**
 * The designs on AMD's processors, for exploration: the same composition on a machine with SVM and
 * NPT, with the axes at their defaults. Timed runs choose the machine by its preset.
 */
import { kpop } from './kpop.ts';
import type { Axes, Design } from './system.ts';
import { tdp } from './tdp.ts';

function defaultsOf({ axes }: Design): Axes {
  return Object.fromEntries(Object.entries(axes).map(([name, axis]) => [name, axis.default]));
}

function overNpt(design: Design): Design {
  return {
    ...design,
    id: `${design.id}-npt`,
    title: `${design.title}; on SVM and NPT`,
    axes: {},
    explored: { ...design.explored, vendor: 'amd' },
    build: (machine, demand, _axes, conditions) =>
      design.build(machine, demand, defaultsOf(design), conditions),
  };
}

export const tdpOverNpt: Design = overNpt(tdp);
export const kpopOverNpt: Design = overNpt(kpop);
