/** One worker thread: one processor of the pair. Started by `run.ts`, bundled by esbuild. */
import { parentPort, workerData } from 'node:worker_threads';
import { ThreadEngine } from './shared-machine.ts';
import { buildShared, type Task, type Told } from './world.ts';

const task = workerData as Task;
const tally = { freed: 0, overwritten: 0 };
const pair = buildShared(task, tally);
const shared = { memory: task.memory, control: task.control, threads: task.guests + 1 };
const engine = new ThreadEngine(pair.machine, task.cpu, shared, task.weaken);
engine.share();
engine.run();
const told: Told = { acts: engine.acts, interrupts: engine.interrupts, tally };
parentPort!.postMessage(told);
