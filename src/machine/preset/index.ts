/** The machines that can be simulated, by name. */
import { badInput } from '../../base/bad-input.ts';
import { suggestion } from '../../base/nearest.ts';
import { amdMilan } from './amd-milan.ts';
import { intelCascadeLake } from './intel-cascade-lake.ts';
import type { Preset } from './price.ts';
import { twoSockets } from './two-sockets.ts';

export const presets: readonly Preset[] = [intelCascadeLake, amdMilan, ...twoSockets];
export const DEFAULT_PRESET: string = intelCascadeLake.id;

export function findPreset(id: string): Preset {
  const known = presets.map((preset) => preset.id);
  return (
    presets.find((preset) => preset.id === id) ??
    badInput(`unknown machine ${id}${suggestion(id, known)}`)
  );
}
