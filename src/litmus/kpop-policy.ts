/** KPOP's POLICY: L2 executes what L0 answers while L1 publishes other tables. */
import { host, type Litmus, leave } from './litmus.ts';

export const kpopPolicyLitmus: readonly Litmus[] = [
  {
    id: 'policy-answer',
    title: 'a guest executes CPUID twice while another version of the answers is published',
    source: 'T2-5: no answer older than the policy published before the last entry',
    pages: 4,
    guests: [[leave, leave]],
    hosts: [[host('publish', 0)]],
    sometimes: ['policy.look', 'policy.publish'],
  },
  {
    id: 'policy-replace',
    title: 'a guest executes CPUID while versions are replaced until old ones are given back',
    source: 'primer/x86.md 6.8; RCU: a table is given back once nobody can be reading it',
    pages: 4,
    guests: [[leave]],
    hosts: [[host('publish', 0), host('publish', 1), host('publish', 2)]],
    sometimes: ['policy.look', 'policy.publish', 'rcu.check'],
  },
];
