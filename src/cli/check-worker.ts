/** A thread that looks at the pieces of a check that it is sent, one after the other. */
import { parentPort, workerData } from 'node:worker_threads';
import { answerCheck, type CheckTask } from './check-task.ts';
import { Watch } from './watch.ts';

const watch = new Watch(workerData as Int32Array);
const port = parentPort!;

port.on('message', async (task: CheckTask) => {
  port.postMessage(await answerCheck(task, watch));
});
