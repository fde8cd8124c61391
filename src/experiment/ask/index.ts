/** The experiments that can be asked, by their number or their name. */
import { badInput } from '../../base/bad-input.ts';
import { suggestion } from '../../base/nearest.ts';
import type { Experiment } from './experiment.ts';
import { t1x1 } from './t1-1.ts';
import { t1x3 } from './t1-3.ts';
import { t1x5 } from './t1-5.ts';
import { t1x8 } from './t1-8.ts';
import { t2x5 } from './t2-5.ts';

export const experiments: readonly Experiment[] = [t1x1, t1x3, t1x5, t1x8, t2x5];

export function findExperiment(text: string): Experiment {
  const wanted = text.toLowerCase();
  const found = experiments.find(({ id, name }) => id.toLowerCase() === wanted || name === wanted);
  const known = experiments.flatMap(({ id, name }) => [id, name]);
  return found ?? badInput(`no experiment is called ${text}${suggestion(text, known)}`);
}
