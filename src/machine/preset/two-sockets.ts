/**
 * The same machines with two sockets whose CPUs are numbered in turn, as many firmwares do: half of
 * any number of vCPUs is on each socket. Prices, and their sources, are those of the machines.
 */
import { amdMilan } from './amd-milan.ts';
import { intelCascadeLake } from './intel-cascade-lake.ts';
import type { Preset } from './price.ts';

function onTwoSockets(preset: Preset): Preset {
  const title = `${preset.title}; CPUs dealt to two sockets`;
  return { ...preset, id: `${preset.id}-2s`, title, dealtTo: 2 };
}

export const twoSockets: readonly Preset[] = [intelCascadeLake, amdMilan].map(onTwoSockets);
