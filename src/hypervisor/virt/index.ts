/** The virtualisation extensions that there are, and which one a machine has. */
import type { Preset } from '../../machine/preset/price.ts';
import type { Virtualisation } from './virt.ts';
import { vmx } from './vmx.ts';

export const VIRTUALISATIONS: readonly Virtualisation[] = [vmx];

export function virtOf(_preset: Preset): Virtualisation {
  return vmx;
}
