/**
 * Guards that no counterexample shows necessary and that stay all the same, each with the reason;
 * and labels that no litmus program reaches. Whatever stands here without need is reported.
 */
export interface Argued {
  /** Id of a design, or `*`. */
  readonly design: string;
  readonly label: string;
  readonly why: string;
}

/** Shown necessary for tdp, by a thread of the host that posts. */
function unposted(design: string, label: string): Argued {
  const why = 'guests of the litmus programs have no kernel and send no interrupts of their own';
  return { design, label, why };
}

/** Logs of writes and windows under KPOP: what needs three CPUs or another axis. */
const LOGS_AND_WINDOWS = [
  ['kpop.log.forget', 'what stays in the log from before is named once without need'],
  ['kpop.host-log.forget', 'what stays in the log from before is named once without need'],
  ['kpop.log.off', 'a log that stays on loses nothing'],
  [
    'kpop.log.put-back',
    'of the call, whose page the host takes meanwhile: no litmus program has it',
  ],
  ['kpop.host-log.take', 'the locked operation that is shown for kpop.listed.take (log=pml)'],
  ...['kpop.host-log.on', 'kpop.log.note-host', 'kpop.listed.take', 'kpop.listed.note'].map(
    (label) => [label, 'shown where the host logs, or log=pml (test/check/kpop-dirty.test.ts)'],
  ),
  ...['kpop.harvest.clear', 'kpop.harvest.recheck', 'kpop.harvest.relabel'].map((label) => [
    label,
    'shown on three CPUs, or log=pml (test/check/kpop-dirty.test.ts)',
  ]),
  ...['kpop.removals.begin', 'kpop.removals.end', 'kpop.removals.wait'].map((label) => [
    label,
    'shown on three CPUs (test/check/kpop-dirty.test.ts)',
  ]),
].map(([label, why]) => ({ design: '*', label: label!, why: why! }));

const argued: readonly Argued[] = [
  ...LOGS_AND_WINDOWS,
  {
    design: '*',
    label: 'tdp.unmap-end.lock',
    why:
      'closing an invalidation raises the sequence before it lowers the count of open ones, ' +
      'and a fault reads them in the other order, so either makes it retry; KVM takes the ' +
      'lock all the same',
  },
  {
    design: 'kpop',
    label: 'run.take-requests',
    why:
      'in L0 alone nobody asks a vCPU for anything but its end; with requests of two kinds one ' +
      'that is set between the look and the clearing is lost (shown for tdp)',
  },
  {
    design: '*',
    label: 'kpop.kick.flag',
    why:
      'flushers that want the same CPU out share one interrupt; one that overlooks the flag ' +
      'sends its own',
  },
  {
    design: '*',
    label: 'halt.wait',
    why: 'who does not wait enters again at once, and the HLT of the guest exits again',
  },
  {
    design: '*',
    label: 'log.kick',
    why:
      'a page that is still in a CPU’s log is no bit yet: it keeps its D and is reported by the ' +
      'next harvest; the interrupt makes that sooner',
  },
  {
    design: '*',
    label: 'nested.invlpga.flush',
    why: 'every VMRUN and #VMEXIT drops what L1 and L2 have cached, for they have one ASID',
  },
  ...['log.harvest.lock', 'log.stop.lock'].map((label) => ({
    design: '*',
    label,
    why:
      'one thread of user space changes a slot in the litmus programs; the lock keeps two from ' +
      'counting and waiting past each other (shown for log.start.lock)',
  })),
  {
    design: '*',
    label: 'tdp.split.freeze',
    why: 'of split=zap, which is no default: there it is what tdp.collapse.freeze is here',
  },
  {
    design: '*',
    label: 'tdp.sweep.wait',
    why: 'tables of the litmus programs have one level below the root: no entry is frozen twice',
  },
  ...[
    ['root.get', 'a root that may be taken is valid, and who lets one go has found it invalid'],
    ['root.load.lock', 'two fast zaps would have to fall into one load: not in a litmus program'],
    ['root.unlink.lock', 'a record is free once its frame is gone, in one store'],
    ['root.yield.lock', 'taken again by a zap that others wait for; who drops it zaps on'],
    ['root.flush', 'under VMX the frame of a root has to come back as one: shown for tdp-npt'],
    ['slots.switch.wait', 'who does not wait looks again at once: the wait spares the turns'],
    ['notifier.end', 'nobody makes another set active meanwhile: the switch is never let through'],
    ['notifier.end.lock', 'the count falls by one locked operation; who waits looks at it again'],
  ].map(([label, why]) => ({ design: 'tdp', label: label!, why: why! })),
  ...['halt.announce', 'l1.post', 'l1.accept', 'l1.ipi'].map((label) => unposted('*', label)),
  ...['nested', 'kpop', 'kpop-stack'].flatMap((design) =>
    ['post.vector', 'post.request', 'post.kick', 'accept.vectors'].map((label) =>
      unposted(design, label),
    ),
  ),
  {
    design: 'kpop',
    label: 'kpop.run.claim',
    why: 'RUN belongs to whole stacks; L0 alone has no L1 vCPUs that could run one L2 vCPU twice',
  },
  {
    design: 'kpop',
    label: 'kpop.scope.lock',
    why: 'taken with lock=vm and lock=global only, where it stands for kpop.entry.locked',
  },
  {
    design: 'kpop',
    label: 'kpop.scope.unlock',
    why: 'taken with lock=vm and lock=global only, where it stands for kpop.entry.locked',
  },
  {
    design: 'kpop',
    label: 'xarray.insert.nomem',
    why: 'four pages fit into the root of the book: no node is ever missing',
  },
  unposted('kpop-policy', 'accept.vectors'),
  {
    design: 'kpop-policy',
    label: 'kpop.enter.fence',
    why: 'no page is unmapped there; shown necessary for kpop',
  },
  {
    design: 'kpop-policy',
    label: 'policy.halt',
    why: 'who does not wait lets the guest out of HLT early, and it looks and halts again',
  },
  {
    design: 'kpop-policy',
    label: 'run.ended',
    why: 'no thread waits there for the end of another',
  },
  {
    design: 'kpop-policy',
    label: 'run.take-requests',
    why:
      'the vector is posted before the request, and whoever clears a request late has looked for ' +
      'vectors since; with requests of two kinds one is lost (shown for tdp)',
  },
  { design: '*', label: 'rcu.rest', why: 'only a batch of 512 frames waits for its grace period' },
  { design: '*', label: 'rcu.wait', why: 'only a batch of 512 frames waits for its grace period' },
];

/** Why a label may stay; empty if nobody has said so. */
export function whyArgued(design: string, label: string): string {
  const found = argued.find((each) => {
    return each.label === label && (each.design === '*' || each.design === design);
  });
  return found?.why ?? '';
}
