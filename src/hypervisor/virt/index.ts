/** The virtualisation extensions that there are, and which one a machine has. */
import type { Preset } from '../../machine/preset/price.ts';
import { svm } from './svm.ts';
import type { Virtualisation } from './virt.ts';
import { vmx } from './vmx.ts';

export const VIRTUALISATIONS: readonly Virtualisation[] = [vmx, svm];

export function virtOf({ vendor }: Preset): Virtualisation {
  return vendor === 'amd' ? svm : vmx;
}
