/**
 * The command line: verbs, their options and help, and what a failure becomes. Data goes to stdout,
 * everything else to stderr; the exit status says how it ended (DESIGN.md section 5).
 */
import { Command, CommanderError } from 'commander';
import { DEFAULT_PRESET } from '../machine/preset/index.ts';
import { runAsk } from './ask.ts';
import { runCheck } from './check.ts';
import { runCompare } from './compare.ts';
import { failureOf, Status } from './failure.ts';
import { runImport } from './import.ts';
import { runList } from './list.ts';
import { survivePipes } from './output.ts';
import { packageVersion } from './package-root.ts';
import { runReplay } from './replay.ts';
import { runRun } from './run.ts';
import { runSchema } from './schema.ts';
import { count } from './session.ts';
import { runStart } from './start.ts';
import { addWalkOptions, runWalk, type WalkOptions } from './walk.ts';

const EXIT_STATUSES = `
Exit status: 0 done, everything as expected; 1 a promise is violated; 2 bad usage or input;
3 the budget ended before an answer; 130 interrupted; 70 a defect of kpop itself.`;

const DESIGN_HELP = `
A design is an id (kpop list designs), an id with axes (tdp:lock=write), or a file of your own
(./mine.ts) that exports one. A workload is an id with parameters (touch:pages=512,stride=2m) or
trace:<file>.`;

let status: number = Status.done;

/** Keeps the exit status that a verb ends with. */
function ending<A extends unknown[]>(action: (...args: A) => number | Promise<number>) {
  return async (...args: A): Promise<void> => {
    status = await action(...args);
  };
}

function build(): Command {
  const program = new Command('kpop')
    .description('A laboratory for memory virtualization: designs, schedules and promises')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .showSuggestionAfterError(true)
    .enablePositionalOptions()
    .addHelpText('after', EXIT_STATUSES);
  addList(program);
  addRun(program);
  addCompare(program);
  addCheck(program);
  addReplay(program);
  addAsk(program);
  addImport(program);
  addWalkOptions(program.command('walk'))
    .description('walk the page tables in a dump of a real machine')
    .action(ending((options: WalkOptions) => runWalk(options)));
  addStart(program);
  program
    .command('schema')
    .description('print the JSON schema of a document that --json prints')
    .argument('[document]', 'such as kpop.run/1; all names if absent')
    .action(ending(runSchema));
  return program;
}

const SENSITIVITY_HELP = 'also run again at both ends of every price that matters';

function addList(program: Command): void {
  program
    .command('list')
    .description('designs, workloads, machines and what else there is to choose from')
    .argument('[kind]', 'designs, workloads, litmus, promises, experiments or machines')
    .option('--json', 'print one JSON document, kpop.list/1')
    .action(ending(runList));
}

function addRun(program: Command): void {
  simulating(program.command('run'))
    .description('run one design on one workload, and print everything that was counted')
    .argument('<design>', 'an id, an id with axes, or a file that exports a design')
    .option('--vcpus <n>', 'vCPUs of the guest', '1')
    .option('--trace <file>', 'also write the events as text, as tracefs gives it')
    .option('--sensitivity', SENSITIVITY_HELP)
    .option('--json', 'print one JSON document, kpop.run/1')
    .action(ending(runRun));
}

function addCompare(program: Command): void {
  simulating(program.command('compare'))
    .description('run several designs on equal work, also with software work at 0 and at 2x')
    .argument('<designs...>', 'the first is what the others are compared with')
    .option('--vcpus <list>', 'numbers of vCPUs, as 1,2,4', '1')
    .option('--sensitivity', SENSITIVITY_HELP)
    .option('--json', 'print one JSON document, kpop.compare/1')
    .option('--html <file>', 'also write a report as one HTML file')
    .action(ending(runCompare));
}

function addCheck(program: Command): void {
  program
    .command('check')
    .description('look at every interleaving that matters, of designs under litmus programs')
    .argument('[designs...]', 'ids, ids with axes, or files that export a design', ['all'])
    .option('--litmus <names>', 'litmus programs, separated by commas (kpop list litmus)', 'all')
    .option('--memory <order>', 'sc or tso (default: both)')
    .option('--guards', 'weaken every labelled guard in turn, and show what breaks')
    .option('--budget <b>', '30s for all of it, or 100000steps for each piece')
    .option('--deep', 'go on far beyond the fixed budget')
    .option('--preemptions <n>', 'to so many preemptions, under every order and with many moves')
    .option('--fresh', 'look again at what was looked up')
    .option('--json', 'print one JSON document, kpop.check/1')
    .action(ending(runCheck));
}

function addReplay(program: Command): void {
  program
    .command('replay')
    .description('run one interleaving again, move by move')
    .argument('<schedule>', 'as kpop check prints it, in quotes; or a file that holds it')
    .option('--json', 'print one JSON document, kpop.replay/1')
    .action(ending(runReplay));
}

function simulating(command: Command): Command {
  return command
    .requiredOption('-w, --workload <w>', 'what the guest does (kpop list workloads)')
    .option(
      '--machine <m>',
      'prices and sizes of the hardware (kpop list machines)',
      DEFAULT_PRESET,
    )
    .option('--cpus <n>', 'physical CPUs (default: as many as are needed)')
    .option('--seed <n>', 'seed of every random choice', '1')
    .option('--conditions <list>', 'counting conditions, as l1=cold,apicv=off')
    .option('--l1 <state>', 'memory of L1 in L0: warm or cold')
    .option('--apicv <state>', 'APIC virtualisation: on or off')
    .option('--eoi <how>', 'end of interrupts: pv or apic')
    .option('--tick <rate>', 'timer of the guest: off, 100hz, 250hz or 1000hz')
    .option('--pages <size>', 'pages of the host behind the guest: 4k, 2m or 1g')
    .option('--levels <n>', 'levels of second-stage tables: 4 or 5')
    .option('--guest-levels <n>', 'levels of tables of the guest itself: 4 or 5')
    .option('--upper <state>', 'upper second-stage tables of touched pages: present or absent')
    .addHelpText('after', DESIGN_HELP);
}

function addAsk(program: Command): void {
  program
    .command('ask')
    .description('answer one of the open questions, with evidence (kpop list experiments)')
    .argument('<experiment>', 'its number or its name: T1-5, no-explicit-flush')
    .option('--quick', 'smaller sizes, the same designs')
    .option('--json', 'print one JSON document, kpop.answer/1')
    .action(ending(runAsk));
}

interface ImportFlags {
  readonly out?: string;
  readonly filter: string;
  readonly json?: boolean;
  readonly against?: string;
}

function addImport(program: Command): void {
  program
    .command('import')
    .description(
      'turn a recording (valgrind lackey text, page lists) into a trace file; ' +
        'count the events of an ftrace text by phase',
    )
    .argument('<file>', 'the recording, gzipped or not; - for standard input')
    .option('--out <trace>', 'the file to write (default: <name>.kpt.gz in this folder)')
    .option('--filter <pages>', 'pages of the LRU list that lines are filtered through', '16')
    .option('--against <design>', 'run the guest of an ftrace text under a design, and compare')
    .option('--json', 'print one JSON document')
    .action(
      ending((file: string, options: ImportFlags) => {
        const { out, json, against } = options;
        const filter = count('--filter', options.filter, 1, 65535);
        return runImport(file, { out, filter, json, against });
      }),
    );
}

function addStart(program: Command): void {
  program
    .command('start')
    .description('the main job: recorded programs under every design, compared')
    .option('--runs <n>', 'program runs per vCPU (default: 20)')
    .option('--quick', 'two runs per vCPU and no server: less work, same designs')
    .option('--out <folder>', 'where the HTML report goes', 'out')
    .option('--json', 'print one JSON document, kpop.compare/1')
    .action(ending(runStart));
}

/** Errors come back as exceptions, and nothing is printed by the parser but help. */
function quieten(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => undefined });
  command.commands.forEach(quieten);
}

/** Runs the command line; returns the exit status. */
export async function main(args: readonly string[]): Promise<number> {
  const program = build();
  quieten(program);
  try {
    if (args.length === 0) {
      const names = program.commands.map((command) => command.name()).join(', ');
      return complain('', `name a command: ${names}; kpop --help tells more`);
    }
    await program.parseAsync(args, { from: 'user' });
    return status;
  } catch (error) {
    const verb = program.commands.find((command) => command.name() === args[0])?.name() ?? '';
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return Status.done;
      return complain(verb, usageSentence(error.message));
    }
    const failure = failureOf(error);
    if (process.env.KPOP_STACK === '1') process.stderr.write(`${failure.stack}\n`);
    complain(verb, failure.sentence);
    return failure.status;
  }
}

/** Commander's message as one sentence: it has `error: ` before and a hint in brackets below. */
function usageSentence(message: string): string {
  return message
    .replace(/^error: /, '')
    .replace(/\s*\n\s*\((Did you mean .*)\)\s*$/, (_, hint: string) => `; ${hint.toLowerCase()}`)
    .replace(/\s*\n\s*/g, '; ');
}

function complain(verb: string, sentence: string): number {
  process.stderr.write(`kpop${verb === '' ? '' : ` ${verb}`}: ${sentence}\n`);
  return Status.badInput;
}

/** Ctrl-C where no verb has anything to keep: verbs that have listen themselves. */
function heedInterrupts(): void {
  process.on('SIGINT', () => {
    if (process.listenerCount('SIGINT') === 1) process.exit(Status.interrupted);
  });
}

survivePipes();
heedInterrupts();
process.exitCode = await main(process.argv.slice(2));
