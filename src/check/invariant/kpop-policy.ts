/** Promise of KPOP's POLICY: what L0 answers is no older than what L1 knew to be in force. */
import type { StatePromise } from '../promise.ts';

/** Where a vCPU's answer is noted that was older than what was published as it entered. */
interface Answers {
  readonly seen: (vcpu: number) => number;
}

export function answersPromise({ seen }: Answers, vcpus: number): StatePromise {
  return {
    id: 'kpop.policy',
    title: 'no exit of L2 is answered by a table older than the last one published as it entered',
    source: 'primer/protection.md 8.2, T2-5',
    always: (view) => {
      for (let i = 0; i < vcpus; i++) {
        const [wanted, got] = [view.read(seen(i)), view.read(seen(i) + 8)];
        if (got !== 0) {
          return `vCPU ${i} entered under version ${wanted} and was answered by version ${got}`;
        }
      }
      return undefined;
    },
  };
}
