/** Three commands to try after a comparison; each runs as it stands, in the folder of the first. */
import { join, relative } from 'node:path';
import { quote, type Suggestion } from '../report/commands.ts';
import { packageRoot } from './package-root.ts';

/** `designs`: as they were named on the command line. */
export function nextCommands(designs: readonly string[]): readonly Suggestion[] {
  const kpop = invocation();
  const example = relative(process.cwd(), join(packageRoot(), 'examples', 'my-design.ts'));
  const path = example.startsWith('.') ? example : `./${example}`;
  const names = designs.map(quote).join(' ');
  const last = quote(designs.at(-1) ?? 'tdp');
  return [
    {
      command: `${kpop} compare ${names} --workload touch --vcpus 1,2,4,8,16,32`,
      why: 'how the designs scale when every vCPU faults in new pages',
    },
    {
      command: `${kpop} run ${last} --workload unmap:ranges=512 --vcpus 8 --sensitivity`,
      why: 'exits, locks and latency while pages are taken away, and the prices it hangs on',
    },
    {
      command: `${kpop} compare tdp ${quote(path)} --workload touch --vcpus 8`,
      why: 'a design of your own, in one file, beside a built-in one',
    },
  ];
}

/** How this kpop is called from a shell: by its name if it was, else by its path. */
function invocation(): string {
  if (/(^|[/\\])kpop$/.test(process.argv[1] ?? '')) return 'kpop';
  return `node ${relative(process.cwd(), join(packageRoot(), 'bin', 'kpop.js'))}`;
}
